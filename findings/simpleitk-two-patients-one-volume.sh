#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7 (GDCM)
# Guess:    Slices of two patients (PatientID, name, study, frame of reference) under one SeriesInstanceUID, as an exchange of
#           UIDs by hand leaves them, are listed as two series, at least with useSeriesDetails.
# Seen:     They are one series either way, and read as one volume without a warning.
# Matters:  Half of the volume is another person. Nothing later can tell: who and where must be compared before slices are
#           stacked.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk
from dicom_phantom import write_series
from pydicom.uid import generate_uid

study, frame_of_reference = generate_uid(), generate_uid()
for k, ds in enumerate(write_series("scan", np.zeros((6, 4, 5)))):
    if k >= 3:
        ds.PatientID, ds.PatientName = "P2", "Other^Chest"
        ds.StudyInstanceUID, ds.FrameOfReferenceUID = study, frame_of_reference
    ds.save_as(f"scan/{k:03d}.dcm", enforce_file_format=True)
series = [len(sitk.ImageSeriesReader.GetGDCMSeriesIDs("scan", details)) for details in (False, True)]
files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames("scan", useSeriesDetails=True)
size = sitk.ReadImage(files).GetSize()
print("series:", series, "| volume:", size)
as_stated = (series, size) == ([1, 1], (5, 4, 6))
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
