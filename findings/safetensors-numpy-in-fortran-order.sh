#!/usr/bin/env bash
# Library:  safetensors 0.8.0 (safetensors.numpy)
# Guess:    An array in Fortran order comes back with the same values, or is refused as safetensors.torch refuses it.
# Seen:     It is written as it lies in memory under its own shape: load gives another arrangement of the same
#           numbers, silently.
# Matters:  A CT or a weight matrix that was transposed, or came from nibabel, is scrambled on disk; sums and
#           histograms still agree.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from safetensors.numpy import load, save

plain = np.arange(6, dtype=np.float32).reshape(2, 3)
back = {}
for name, array in (("C order", plain), ("Fortran order", np.asfortranarray(plain)), ("transposed", plain.T)):
    back[name] = load(save({"a": array}))["a"]
    print(name, array.tolist(), "comes back as", back[name].tolist())
as_stated = (
    np.array_equal(back["C order"], plain)
    and back["Fortran order"].tolist() == [[0, 3, 1], [4, 2, 5]]
    and back["transposed"].tolist() == [[0, 1], [2, 3], [4, 5]]
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
