#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7 (GDCM)
# Guess:    useSeriesDetails parts what lies under one SeriesInstanceUID: reconstructions of another slice thickness, series
#           number, kernel or image type.
# Seen:     One series, whatever differs; the details of one of its files are added to the id of all of them.
# Matters:  A soft and a sharp reconstruction of one place, or a projection among its slices, become one volume whose slices
#           alternate between the two.
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

seen = {}
for keyword, values in {
    "SliceThickness": (2, 5),
    "SeriesNumber": (1, 2),
    "ConvolutionKernel": ("B30f", "B70f"),
    "ImageType": (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "MIP"]),
}.items():
    for k, ds in enumerate(write_series(keyword, np.zeros((6, 4, 5)), heights_mm=[0, 0, 2, 2, 4, 4])):
        setattr(ds, keyword, values[k % 2])
        ds.save_as(f"{keyword}/{k:03d}.dcm", enforce_file_format=True)
    parted = sitk.ImageSeriesReader.GetGDCMSeriesIDs(keyword, True)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(keyword, parted[0], useSeriesDetails=True)
    seen[keyword] = len(parted), len(files)
    print(keyword, len(parted), "series with details, of", len(files), "files")
as_stated = set(seen.values()) == {(1, 6)}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
