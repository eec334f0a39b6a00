#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7, highdicom 0.28.2
# Guess:    ReadImage of a DICOM SEG is refused, or gives a label image of 0, 1, 2 in the place of the CT.
# Seen:     The frames of all segments are stacked, one on the other, as 0 and 255, 1 mm apart; where slices without a
#           nodule lie between, the pixels are 1 mm wide, too. There is no error.
# Matters:  A mask of a plausible size that a viewer shows: volumes are wrong by the spacing, nodules lie in slices
#           where they are not, and two of them are one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$(dirname "$0")/seg_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk
from seg_phantom import MASK, segmentation

two = MASK.copy()
two[3, 6, 6] = two[4, 1, 1] = 2
parted = np.zeros_like(MASK)
parted[0, 3, 3] = parted[3, 3, 3] = parted[5, 3, 3] = 1
seen = {}
for name, mask, segments in (("one", MASK, 1), ("two segments", two, 2), ("slices between", parted, 1)):
    segmentation(mask, segments=segments)
    read = sitk.ReadImage("seg.dcm")
    array = sitk.GetArrayFromImage(read)
    seen[name] = (array > 0).sum(axis=(1, 2)).tolist(), [round(step, 3) for step in read.GetSpacing()], int(array.max())
    print(f"{name}: pixels a slice {mask.astype(bool).sum(axis=(1, 2)).tolist()}, read {seen[name]}")
as_stated = seen == {
    "one": ([4, 8], [0.8, 0.7, 2.0], 255),
    "two segments": ([4, 8, 1, 1], [0.8, 0.7, 1.0], 255),
    "slices between": ([1, 1, 1], [1.0, 1.0, 1.0], 255),
}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
