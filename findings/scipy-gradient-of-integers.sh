#!/usr/bin/env bash
# Library:  scipy 1.17.1
# Guess:    gaussian_gradient_magnitude of a CT in int16 is that of the same numbers in float, rounded.
# Seen:     Derivatives are squared and added in int16: above 181 HU a voxel (an edge of 500 HU at sigma 1) the sum
#           wraps round. The edge of 1000 HU, as of lung and chest wall, has 26 for 364 HU a voxel, less than that of
#           100 HU.
# Matters:  Watersheds, edge maps and features built on it see soft edges and are blind where the edge is strongest.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import warnings

import numpy as np
from scipy import ndimage

warnings.simplefilter("ignore")
seen = {}
for step in (100, 400, 1000):
    hu = np.zeros((8, 8, 16), np.int16)
    hu[..., 8:] = step
    whole, exact = (ndimage.gaussian_gradient_magnitude(hu.astype(kind), 1)[4, 4] for kind in ("int16", "float64"))
    seen[step] = float(np.abs(whole - exact).max())
    print(f"edge of {step} HU: int16 {whole[6:10].tolist()}, float64 {exact[6:10].round(1).tolist()}")
as_stated = seen[100] < 2 > seen[400] and seen[1000] > 300
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
