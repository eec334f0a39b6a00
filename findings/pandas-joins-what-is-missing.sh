#!/usr/bin/env bash
# Library:  pandas 3.1.1
# Guess:    In a merge, as in SQL, a missing key is equal to nothing: rows without a patient stay alone.
# Seen:     Missing keys are equal: 2 rows without a patient on the left and 3 on the right make 6 pairs, with
#           how="left" too; NaN, None and NA alike.
# Matters:  Nodules whose patient was not found get the diagnosis of others in the same state, and the table grows,
#           quadratically. validate="many_to_one" finds it only if the right side has more than one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import pandas as pd

seen = {}
for name, missing, kind in (("None", None, "object"), ("NaN", np.nan, "float64"), ("NA", pd.NA, "Int64")):
    one = "P1" if name == "None" else 1
    nodules = pd.DataFrame({"patient": pd.array([one, missing, missing], kind), "mm": [4, 6, 9]})
    answers = pd.DataFrame({"patient": pd.array([one, missing, missing, missing], kind), "cancer": [0, 1, 0, 1]})
    seen[name] = [len(nodules.merge(answers, on="patient", how=how)) for how in ("inner", "left")]
    print(name, "rows of an inner and a left join (1 and 3 as in SQL):", seen[name])
one_missing = nodules.merge(answers[:2], on="patient", how="left", validate="many_to_one")
print("one missing on the right, validated:", one_missing.cancer.tolist())
as_stated = all(rows == [7, 7] for rows in seen.values()) and one_missing.cancer.tolist() == [0, 1, 1]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
