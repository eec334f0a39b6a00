#!/usr/bin/env bash
# Library:  xarray 2026.9.0
# Guess:    Two arrays of the same shape whose z coordinates differ by rounding are added slice by slice, or refused.
# Seen:     Only slices whose z is equal to the last bit are kept: a CT whose z is float64 times a mask whose z is
#           float32 has 0 of 4 slices, and 3 of 4 where one z differs by 1e-12 mm. There is no warning.
# Matters:  Slices fall out of a mask, of a mean, of a volume in ml; an empty sum is 0 and looks like no nodule.
#           xarray.set_options(arithmetic_join="exact") makes it an error.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile xarray==2026.9.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import xarray as xr

z_mm = np.array([-100.1, -97.6, -95.1, -92.6])
ct = xr.DataArray(np.ones((4, 2)), dims=("z", "x"), coords={"z": z_mm})
masks = {
    "float32": ct.assign_coords(z=z_mm.astype(np.float32)),
    "one digit": ct.assign_coords(z=z_mm + [0, 0, 0, 1e-12]),
}
seen = {name: ((ct * mask).sizes["z"], float((ct * mask).sum())) for name, mask in masks.items()}
print("slices of 4 that are left, and their sum (8 in truth):", seen)
as_stated = seen == {"float32": (0, 0.0), "one digit": (3, 6.0)}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
