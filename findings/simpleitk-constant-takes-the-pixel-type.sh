#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    A comparison or product with a number is done as in numpy: every unsigned voxel is > -1, a half of 40 HU
#           is 20 HU.
# Seen:     The number is first cast to the type of the voxels: uint16 > -1 and int16 < 40000 are false everywhere,
#           int16 * 0.5 is 0 everywhere; only / 2 gives floats.
# Matters:  A threshold at -400 HU on a CT still stored unsigned gives an empty mask, and a rescale by a slope of 0.5
#           an empty scan.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk


stored = sitk.GetImageFromArray(np.array([[[0, 5, 3000]]], np.uint16))
hu = sitk.GetImageFromArray(np.array([[[-700, 40, 3]]], np.int16))
seen = {
    "uint16 > -1": stored > -1,
    "uint16 >= -400": stored >= -400,
    "int16 < 40000": hu < 40000,
    "int16 * 0.5": hu * 0.5,
    "int16 / 2": hu / 2,
}
seen = {what: sitk.GetArrayFromImage(image).ravel().tolist() for what, image in seen.items()}
for what, values in seen.items():
    print(what, values)
nothing = [0, 0, 0]
as_stated = [*seen.values()] == [nothing, nothing, nothing, nothing, [-350.0, 20.0, 1.5]]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
