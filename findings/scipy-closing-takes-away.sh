#!/usr/bin/env bash
# Library:  scipy 1.17.1, SimpleITK 2.5.7
# Guess:    A closing only adds: every voxel of the mask is in its closing.
# Seen:     scipy.ndimage.binary_closing takes away the outermost voxels where the mask reaches the border of the array,
#           as many as there are iterations; that of SimpleITK does not.
# Matters:  Lungs that the field of view or the first and last slice cuts lose a rim of the thickness that was meant to
#           be gained, and nodules at the pleura there with it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile scipy==1.17.1 SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

lung = np.zeros((12, 20, 20), bool)
lung[:, 4:16, :16] = True  # reaches the first and last slice and one side of the field of view
seen = {}
for width in (1, 3):
    closed = ndimage.binary_closing(lung, iterations=width)
    image = sitk.GetImageFromArray(lung.astype(np.uint8))
    other = sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(image, [width] * 3, sitk.sitkCross)) > 0
    seen[width] = int((lung & ~closed).sum()), int((lung & ~other).sum())
    print(f"{width} voxels: of {lung.sum()} voxels scipy loses {seen[width][0]}, SimpleITK {seen[width][1]}")
lost = [12 * 12 * 16 - (12 - 2 * width) * 12 * (16 - width) for width in seen]
print("a rim of this width at the three borders:", lost)
as_stated = all(0 < scipy <= rim and itk == 0 for (scipy, itk), rim in zip(seen.values(), lost))
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
