#!/usr/bin/env bash
# Library:  scikit-image 0.26.0
# Guess:    blob_log, and its threshold, mean the same for a CT in int16 and for the same numbers in float32.
# Seen:     Integers are first divided by 32768: with a threshold of 50 HU the nodule of 900 HU contrast is found in
#           float32, not in int16; with the default (0.2) neither in int16.
# Matters:  A candidate finder that worked on resampled volumes (float) finds nothing in those read as they are, without
#           a warning.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile scikit-image==0.26.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from skimage.feature import blob_log

far2 = sum(axis**2 for axis in np.ogrid[-20:21, -20:21, -20:21])
hu = np.round(-850 + 900 * np.exp(-far2 / (2 * 4**2)))
seen = {}
for kind in ("float32", "int16"):
    for threshold in (50, 0.2, 50 / 32768):
        found = blob_log(hu.astype(kind), min_sigma=2, max_sigma=6, num_sigma=5, threshold=threshold)
        seen[kind, threshold] = len(found)
        print(kind, f"threshold {threshold:.4g}:", len(found), "nodules", found.tolist())
as_stated = list(seen.values()) == [1, 1, 1, 0, 0, 1]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
