#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    An image that is written to NIfTI and read back lies in the same physical space as the original, so both
#           can be added.
# Seen:     NIfTI keeps the origin in 32 bits; at -195 mm it moves by 1e-5 mm, which is more than the tolerance (1e-6
#           of a voxel): "not occupy the same physical space". MetaImage is exact.
# Matters:  A mask saved as NIfTI cannot be applied to its own CT read from DICOM, though only for some origins: small
#           test images pass.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk


ct = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
ct.SetOrigin((-195.123456, 30.3, -1004.7))
ct.SetSpacing((0.703125, 0.703125, 2.5))
adds = {}
for suffix in ("mha", "nii"):
    sitk.WriteImage(ct, f"ct.{suffix}")
    back = sitk.ReadImage(f"ct.{suffix}")
    try:
        ct + back
        adds[suffix] = True
    except RuntimeError as error:
        adds[suffix] = "same physical space" not in str(error)
    print(
        suffix,
        "origin moved by",
        max(abs(a - b) for a, b in zip(ct.GetOrigin(), back.GetOrigin())),
        "adds:",
        adds[suffix],
    )
as_stated = adds == {"mha": True, "nii": False}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
