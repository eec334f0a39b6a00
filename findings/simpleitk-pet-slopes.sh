#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7 (GDCM)
# Guess:    A PET series, whose slices have each their own RescaleSlope, is read with the right value in every slice.
# Seen:     The first slice decides the type of the voxels. If its slope is 1, the volume is uint16, and the values of
#           all later slices lose their fractions.
# Matters:  In PET-CT the low uptakes vanish (0.75 becomes 0), silently, and only in series whose first slope happens
#           to be whole.
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

stored = np.random.default_rng(0).integers(0, 8, (4, 8, 9))
worst = {}
for name, slopes in (("first is whole", [1, 0.5, 0.25, 1.5]), ("first is not", [0.5, 1, 0.25, 1.5])):
    write_series(name, stored, slopes, modality="PT")
    volume = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(name))
    exact = stored * np.array(slopes)[:, None, None]
    worst[name] = np.abs(sitk.GetArrayFromImage(volume) - exact).max(axis=(1, 2)).round(6).tolist()
    print(name, volume.GetPixelIDTypeAsString(), "largest error a slice:", worst[name])
as_stated = worst == {"first is whole": [0, 0.5, 0.75, 0.5], "first is not": [0, 0, 0, 0]}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
