#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7, nibabel 5.4.2
# Guess:    Where qform and sform of a NIfTI differ, both readers take the sform, as the codes say both are valid.
# Seen:     nibabel takes the sform. ITK takes the qform when the sform code is another than 1 (2, 4: aligned, MNI),
#           and the sform when the code is 1: the same file stands in two places.
# Matters:  After a registration tool has written only the sform, masks made with nibabel and images read with ITK are
#           apart by the whole registration.
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

scanner, registered = np.diag([1, 1, 2, 1.0]), np.diag([1, 1, 2, 1.0])
registered[:3, 3] = 100, 50, 25
apart = {}
for qform_code, sform_code in ((1, 1), (1, 2), (1, 4), (2, 1)):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), scanner)
    image.set_qform(scanner, qform_code)
    image.set_sform(registered, sform_code)
    nib.save(image, "image.nii")
    one = nib.load("image.nii").affine[:3, 3]
    two = np.array(sitk.ReadImage("image.nii").GetOrigin()) * (-1, -1, 1)  # LPS to RAS
    apart[qform_code, sform_code] = float(np.linalg.norm(one - two))
    print("codes", (qform_code, sform_code), "nibabel", one, "ITK", two)
as_stated = {codes for codes, mm in apart.items() if mm > 100} == {(1, 2), (1, 4)} and apart[1, 1] == apart[2, 1] == 0
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
