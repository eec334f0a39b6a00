#!/usr/bin/env bash
# Library:  connected-components-3d 4.1.1
# Guess:    largest_k numbers what it keeps by size: label 1 is the largest.
# Seen:     Of four components the three largest are numbered from the smallest up; where there are no more than k, they
#           are numbered by their place in the array, whatever their sizes.
# Matters:  `largest_k(mask, k=2) == 1` is the smaller lung, or the right one, or the lower one, as there is a third
#           component or not; a script that was tried on noisy masks fails on clean ones.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile connected-components-3d==4.1.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import cc3d
import numpy as np

mask = np.zeros((20, 20, 20), bool)
for first, width in ((1, 2), (5, 5), (12, 3), (17, 1)):
    mask[(slice(first, first + width),) * 3] = True
seen = {}
for k in (3, 4, 5):
    seen[k] = np.bincount(cc3d.largest_k(mask, k=k).ravel())[1:].tolist()
    print(f"the {k} largest of 8, 125, 27 and 1 voxels: sizes of labels 1, 2, ...: {seen[k]}")
as_stated = seen == {3: [8, 27, 125], 4: [8, 125, 27, 1], 5: [8, 125, 27, 1]}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
