#!/usr/bin/env bash
# Library:  h5py 3.16.0
# Guess:    Values assigned to a dataset of a smaller type become what numpy makes of them, or are refused.
# Seen:     HDF5 converts: 300 becomes 255 and -1000 becomes 0 in uint8, where numpy gives 44 and 24; NaN becomes 0.
#           There is no warning, and reading with astype does the same.
# Matters:  A mask with labels above 255, or HU in an unsigned dataset, is wrong in another way on disk than in memory;
#           a test that compares the file with `array.astype` fails, one that looks for wrapped values finds none.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile h5py==3.16.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import h5py
import numpy as np

hu = np.array([-1000, 300, 40], np.int16)
with h5py.File("ct.h5", "w") as file:
    stored = file.create_dataset("ct", (3,), np.uint8)
    stored[...] = hu
    fractions = file.create_dataset("fractions", (3,), np.int16)
    fractions[...] = np.array([40000.0, -40000.0, np.nan])
    seen = stored[...].tolist(), fractions[...].tolist(), file["fractions"].astype(np.uint8)[...].tolist()
print("int16 -> uint8:", seen[0], "numpy:", hu.astype(np.uint8).tolist())
print("float64 -> int16:", seen[1], "read as uint8:", seen[2])
as_stated = seen == ([0, 255, 40], [32767, -32768, 0], [255, 0, 0]) and hu.astype(np.uint8).tolist() == [24, 44, 40]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
