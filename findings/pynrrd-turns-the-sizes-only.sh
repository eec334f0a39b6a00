#!/usr/bin/env bash
# Library:  pynrrd 1.1.3
# Guess:    With index_order="C" the header goes with the array: what is first in the array (z) takes the first of the
#           space directions.
# Seen:     Only the sizes are turned round. Directions given in the order of the array are written as they are: of a CT
#           with slices 2.5 mm apart the slices come back 0.8 mm apart, and beside one another in x.
# Matters:  Volumes are right (the product is the same), shapes, diameters and directions are not; nothing fails as long
#           as all axes have a direction.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pynrrd==1.1.3 SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import nrrd
import numpy as np
import SimpleITK as sitk

ct = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
directions_zyx = [(0, 0, 2.5), (0, 0.7, 0), (0.8, 0, 0)]  # one row an axis of the array, each in x, y, z
header = {"space": "left-posterior-superior", "space directions": directions_zyx, "space origin": (1, 2, 3)}
nrrd.write("ct.nrrd", ct, header, index_order="C")
read = sitk.ReadImage("ct.nrrd")
step_z = np.subtract(read.TransformIndexToPhysicalPoint((0, 0, 1)), read.GetOrigin())
print("same array:", np.array_equal(sitk.GetArrayFromImage(read), ct), "| from slice to slice, in x, y, z:", step_z)
back, header_back = nrrd.read("ct.nrrd", index_order="C")
print("pynrrd itself: shape", back.shape, "sizes", header_back["sizes"], header_back["space directions"].tolist())
as_stated = (
    np.array_equal(sitk.GetArrayFromImage(read), ct)
    and np.allclose(step_z, (0.8, 0, 0))
    and back.shape == (2, 3, 4)
    and header_back["sizes"].tolist() == [4, 3, 2]
    and np.array_equal(header_back["space directions"], directions_zyx)
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
