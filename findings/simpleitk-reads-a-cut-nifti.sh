#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    A .nii whose last slice was lost in copying cannot be read.
# Seen:     ITK reads it: exit without an exception, the size that the header names, and other numbers where the slice
#           was.
# Matters:  An interrupted copy becomes a CT with the lung's lower end made up; only the length of the file tells.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import os

import numpy as np
import SimpleITK as sitk

hu = np.random.default_rng(0).integers(-900, 300, (40, 32, 24)).astype(np.int16)
sitk.WriteImage(sitk.GetImageFromArray(hu), "whole.nii")
with open("whole.nii", "rb") as whole, open("cut.nii", "wb") as cut:
    cut.write(whole.read()[: -hu[-1].nbytes])
found = sitk.GetArrayFromImage(sitk.ReadImage("cut.nii"))
same = [bool(np.array_equal(a, b)) for a, b in zip(found, hu, strict=True)]
print(os.path.getsize("cut.nii"), "bytes of", os.path.getsize("whole.nii"), "shape", found.shape)
print(sum(same), "of", len(same), "slices as written; in the last one HU", found[-1].min(), "to", found[-1].max())
as_stated = found.shape == hu.shape and not same[-1] and all(same[:-1])
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
