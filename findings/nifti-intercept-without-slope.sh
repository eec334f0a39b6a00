#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7, nibabel 5.4.2
# Guess:    A slope of 0 (or NaN) says that there is no scale, so both libraries return the stored numbers.
# Seen:     nibabel does; ITK takes the slope as 1 and adds the intercept: 1024 HU lie between the two readings of one
#           file.
# Matters:  Which reader a pipeline has decides whether air is at -1000 or at +24.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import nibabel as nib
import numpy as np
import SimpleITK as sitk

stored = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
as_stated = True
for slope in (0, np.nan, 1):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(stored.shape)
    header.set_sform(np.eye(4), 1)
    for key, value in {"scl_slope": slope, "scl_inter": 1024, "vox_offset": 352}.items():
        header[key] = value
    with open("image.nii", "wb") as file:
        file.write(header.binaryblock + bytes(4) + stored.tobytes(order="F"))
    plain = float(np.asarray(nib.load("image.nii").dataobj)[0, 0, 0])
    itk = float(sitk.GetArrayFromImage(sitk.ReadImage("image.nii"))[0, 0, 0])
    print("slope", slope, "intercept 1024, stored 0: nibabel", plain, "ITK", itk)
    as_stated = as_stated and (plain, itk) == (1024.0 if slope == 1 else 0.0, 1024.0)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
