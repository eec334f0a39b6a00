#!/usr/bin/env bash
# Library:  pydicom 3.0.2
# Guess:    Without RescaleIntercept the slope alone is applied (intercept 0), and the result is float as always;
#           without either an error says that HU cannot be had.
# Seen:     If one of the two is missing, the stored values come back untouched, as uint16, silently; if the intercept
#           is there but empty, numpy raises about object arrays.
# Matters:  A slope of 2 or an intercept of -1024 is lost, for single scans of a cohort: lung at 100 instead of -924
#           HU.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut

stored = np.array([[100, 200]], np.uint16)
seen = {}
for name, keys in (
    ("both", {"RescaleSlope": 2, "RescaleIntercept": -1024}),
    ("no intercept", {"RescaleSlope": 2}),
    ("no slope", {"RescaleIntercept": -1024}),
    ("empty intercept", {"RescaleSlope": 2, "RescaleIntercept": None}),
):
    ds = Dataset()
    for key, value in keys.items():
        setattr(ds, key, value)
    try:
        hu = apply_modality_lut(stored, ds)
        seen[name] = hu.dtype.name, hu.ravel().tolist()
    except TypeError as error:
        seen[name] = type(error).__name__, []
    print(name, *seen[name])
raw = ("uint16", [100, 200])
as_stated = (
    seen["both"] == ("float64", [-824, -624])
    and seen["no intercept"] == seen["no slope"] == raw
    and seen["empty intercept"][0] == "UFuncTypeError"
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
