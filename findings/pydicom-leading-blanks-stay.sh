#!/usr/bin/env bash
# Library:  pydicom 3.0.2
# Guess:    Blanks before and after a value of CS or LO go when a file is read: neither is significant (PS3.5, 6.2).
# Seen:     Blanks at the end go, blanks at the start stay, without a warning.
# Matters:  Modality " CT" is not "CT" and RescaleType " HU" is not "HU": a filter drops a sound series, and one patient has
#           two ids.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pydicom==3.0.2
venv/bin/python - <<'PYTHON'
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

ds, file = Dataset(), BytesIO()
ds.Modality, ds.RescaleType, ds.PatientID = " CT ", " HU ", " 007 "
ds.save_as(file, implicit_vr=False, little_endian=True)
file.seek(0)
read = dcmread(file, force=True)
seen = [read.Modality, read.RescaleType, read.PatientID]
print(seen)
as_stated = seen == [" CT", " HU", " 007"]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
