#!/usr/bin/env bash
# Library:  monai 1.6.1
# Guess:    A detector that finds all nodules without a false positive has an FROC score of 1, whatever scores it gives.
# Seen:     compute_froc_curve_data leaves out the lowest score as a threshold: one nodule in four is lost, and where
#           all candidates have the same score the curve is the origin and its score 0. One made-up candidate below all
#           mends it.
# Matters:  Sensitivity at the lenient end of the curve is too low, most of all for few scans, rounded scores, and marks
#           of readers, which have one score.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile monai==1.6.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from monai.metrics import compute_froc_curve_data, compute_froc_score


def froc(false_positives, hits):
    return float(compute_froc_score(*compute_froc_curve_data(np.array(false_positives), np.array(hits), 4, 4)))


seen = {
    "four nodules, four hits": froc([], [0.9, 0.8, 0.7, 0.6]),
    "the same, all with score 1": froc([], [1.0, 1.0, 1.0, 1.0]),
    "and a false positive below all": froc([0.0], [1.0, 1.0, 1.0, 1.0]),
}
for what, score in seen.items():
    print(what, score)
as_stated = list(seen.values()) == [0.75, 0.0, 1.0]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
