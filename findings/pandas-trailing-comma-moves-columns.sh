#!/usr/bin/env bash
# Library:  pandas 3.1.1
# Guess:    Rows that end in one comma more than the header have an empty further column.
# Seen:     Their first column silently becomes the index, and every name moves by one: `id` holds the labels, `cancer`
#           nothing.
# Matters:  A table of labels that went through a spreadsheet trains on no label at all, or on ids, without a word.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import io

import pandas as pd

sound = pd.read_csv(io.StringIO("id,cancer\np1,1\np2,0\n"))
moved = pd.read_csv(io.StringIO("id,cancer\np1,1,\np2,0,\n"))
both = pd.read_csv(io.StringIO("id,cancer,\np1,1,\np2,0,\n"))
print(sound, moved, both, sep="\n\n")
as_stated = (
    list(sound["id"]) == list(both["id"]) == ["p1", "p2"]
    and list(moved.index) == ["p1", "p2"]
    and list(moved["id"]) == [1, 0]
    and bool(moved["cancer"].isna().all())
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
