#!/usr/bin/env bash
# Library:  pydicom 3.0.2
# Guess:    An element that may have several values, such as ImageType (VM 2-n), is a list of one where a file holds one
#           value, so that `"MIP" in ds.ImageType` asks for a whole word.
# Seen:     It is a plain str: `in` looks for a part of the word, and set(ds.ImageType) is the set of its letters.
# Matters:  Such files are common (ImageType DERIVED alone). A search for projections finds MIP in another word, a set of
#           words never holds ORIGINAL, and a loop over the words runs over letters.
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

seen = {}
for words in (["MIPMAP"], ["DERIVED", "MIPMAP"]):
    ds, file = Dataset(), BytesIO()
    ds.ImageType = words
    ds.save_as(file, implicit_vr=False, little_endian=True)
    file.seek(0)
    read = dcmread(file, force=True).ImageType
    seen[len(words)] = type(read).__name__, "MIP" in read, sorted(set(read))
    print(words, *seen[len(words)])
as_stated = seen == {1: ("str", True, ["A", "I", "M", "P"]), 2: ("MultiValue", False, ["DERIVED", "MIPMAP"])}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
