#!/usr/bin/env bash
# Library:  connected-components-3d 4.1.1
# Guess:    The same array gets the same labels, whether it lies in memory in C or in Fortran order.
# Seen:     The components are the same, their numbers are not: they count in the order of memory.
# Matters:  An array that came from nibabel (Fortran) and its copy in C order give candidates other names; tables
#           joined by label mix nodules.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile connected-components-3d==4.1.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import cc3d
import numpy as np

mask = np.random.default_rng(1).random((20, 21, 22)) > 0.9
row_major = cc3d.connected_components(np.ascontiguousarray(mask))
column_major = cc3d.connected_components(np.asfortranarray(mask))
pairs = {*zip(row_major[mask].tolist(), column_major[mask].tolist())}
print(
    "components:",
    row_major.max(),
    column_major.max(),
    "voxels with another number:",
    int((row_major != column_major).sum()),
)
as_stated = row_major.max() == column_major.max() == len(pairs) and bool((row_major != column_major).any())
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
