#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7, scikit-image 0.26.0
# Guess:    A ball of radius 1 is a voxel and its six neighbours, in SimpleITK as in scikit-image.
# Seen:     BinaryDilate with sitkBall turns one voxel into 19, 81, 179 for radius 1, 2, 3; skimage.morphology.ball
#           has 7, 33, 123.
# Matters:  A "2 mm margin" around a nodule is two and a half times as many voxels in one library as in the other.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk
from skimage.morphology import ball

voxel = np.zeros((9, 9, 9), np.uint8)
voxel[4, 4, 4] = 1
image = sitk.GetImageFromArray(voxel)
grown = [int(sitk.GetArrayFromImage(sitk.BinaryDilate(image, [r] * 3, sitk.sitkBall)).sum()) for r in (1, 2, 3)]
balls = [int(ball(r).sum()) for r in (1, 2, 3)]
print("SimpleITK", grown, "scikit-image", balls)
as_stated = grown == [19, 81, 179] and balls == [7, 33, 123]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
