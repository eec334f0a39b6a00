#!/usr/bin/env bash
# Library:  dicom2nifti 2.6.2
# Guess:    convert_directory makes one file for every series, that is, for every SeriesInstanceUID.
# Seen:     Files are named by SeriesNumber and SeriesDescription; where two series share both, as the same protocol in
#           two patients or at two visits does, the second overwrites the first, without a warning.
# Matters:  Two scans in, one out; which of them is left depends on their UIDs. A cohort in one folder loses most of its
#           patients.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile dicom2nifti==2.6.2 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import os

import dicom2nifti
import nibabel as nib
import numpy as np
from dicom_phantom import write_series

for patient, value in (("P1", 100), ("P2", 900)):
    for n, ds in enumerate(write_series(f"dicom/{patient}", np.full((5, 8, 9), value))):
        ds.PatientID, ds.SeriesNumber, ds.SeriesDescription = patient, 3, "Chest"
        ds.save_as(f"dicom/{patient}/{n:03d}.dcm", enforce_file_format=True)
os.makedirs("nifti")
dicom2nifti.convert_directory("dicom", "nifti")
seen = {name: nib.load(f"nifti/{name}").get_fdata().mean() for name in os.listdir("nifti")}
print("two series (-924 and -124 HU) became", seen)
as_stated = list(seen) == ["3_chest.nii.gz"] and seen["3_chest.nii.gz"] in (-924, -124)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
