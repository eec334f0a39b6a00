#!/usr/bin/env bash
# Library:  MedPy 0.5.2
# Guess:    For two empty masks Dice and Jaccard of one library go together (J = D / (2 - D)): both are 0, or both 1.
# Seen:     Dice is nan, Jaccard is 1.
# Matters:  Scans without a nodule are most of a screening cohort; the mean of one of two equivalent measures is nan,
#           or silently taken over fewer scans, and that of the other rises.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile MedPy==0.5.2 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import warnings

import numpy as np
from medpy.metric import binary

warnings.simplefilter("ignore")
empty = np.zeros((5, 5, 5), int)
one = float(binary.dc(empty, empty)), float(binary.jc(empty, empty))
print("Dice, Jaccard:", *one)
as_stated = bool(np.isnan(one[0])) and one[1] == 1
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
