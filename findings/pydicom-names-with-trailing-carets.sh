#!/usr/bin/env bash
# Library:  pydicom 3.0.2
# Guess:    Doe^Jane and Doe^Jane^^^ are equal: DICOM lets a writer leave out the delimiters of empty components at the end
#           of a name (PS3.5, 6.2.1.1), and pydicom has a type of its own for names.
# Seen:     They are not equal, though all five components of the two are.
# Matters:  A patient whose images come from two writers looks like two patients, or two copies of a scan like scans of two
#           people, where names are compared as they are.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pydicom==3.0.2
venv/bin/python - <<'PYTHON'
from pydicom.valuerep import PersonName

PARTS = ("family_name", "given_name", "middle_name", "name_prefix", "name_suffix")
short, long = PersonName("Doe^Jane"), PersonName("Doe^Jane^^^")
equal = short == long
parts_equal = all(getattr(short, part) == getattr(long, part) for part in PARTS)
print("names equal:", equal, "| all components equal:", parts_equal)
as_stated = (equal, parts_equal) == (False, True)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
