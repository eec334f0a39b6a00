#!/usr/bin/env bash
# Library:  scikit-image 0.26.0
# Guess:    The solidity of a 3-D object that lies in one slice raises, or is that of the flat shape; a single voxel
#           has a diameter.
# Seen:     solidity is infinite with no more than a warning, area_convex and the minor axis are 0, and
#           feret_diameter_max of one voxel raises ValueError about a surface level.
# Matters:  Small nodules in thick slices are flat: one infinite feature in a table poisons a mean, a scaler or a
#           classifier.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import warnings

import numpy as np
from skimage.measure import regionprops

warnings.simplefilter("ignore")
label = np.zeros((5, 10, 10), np.uint8)
label[2, 2:8, 3:7] = 1
flat = regionprops(label)[0]
print("solidity", flat.solidity, "area_convex", flat.area_convex, "minor axis", flat.axis_minor_length)
label = np.zeros((5, 5, 5), np.uint8)
label[2, 2, 2] = 1
try:
    diameter = regionprops(label)[0].feret_diameter_max
except ValueError as error:
    diameter = str(error)
print("diameter of one voxel:", diameter)
as_stated = (
    np.isinf(flat.solidity)
    and flat.area_convex == 0
    and flat.axis_minor_length == 0
    and "urface level" in str(diameter)
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
