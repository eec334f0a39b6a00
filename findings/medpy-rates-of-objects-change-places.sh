#!/usr/bin/env bash
# Library:  MedPy 0.5.2
# Guess:    As its documentation says, obj_tpr is the share of the reference's nodules that are found, obj_fpr that of
#           the answer's nodules that are none.
# Seen:     Found nodules are divided by the number of the answer's objects, missed ones by that of the reference's: for
#           4 nodules, 3 of them found, and 3 marks too many, tpr is 3/6 and fpr 1/4. The first example of the
#           documentation does not give what it prints.
# Matters:  A detector with many false positives is reported with few of them and with a low sensitivity; one that marks
#           next to nothing has a perfect "sensitivity".
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile MedPy==0.5.2 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from medpy.metric import binary

truth, answer = np.zeros((2, 8, 40), bool)
truth[2:4, 1:3] = truth[2:4, 6:8] = truth[2:4, 11:13] = truth[2:4, 16:18] = True
answer[2:4, 1:3] = answer[2:4, 6:8] = answer[2:4, 11:13] = True
answer[6, 21] = answer[6, 26] = answer[6, 31] = True
seen = binary.obj_tpr(answer, truth), binary.obj_fpr(answer, truth)
print("tpr, fpr:", *seen, "| sensitivity 0.75, share of false marks 0.5")
example = binary.obj_tpr(np.array([1, 0, 1, 0, 0]), np.array([1, 0, 1, 0, 1]))
print("example of the documentation, 0.667 there:", example)
as_stated = seen == (0.5, 0.25) and example == 1.0
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
