#!/usr/bin/env bash
# Library:  dcmqi 1.5.7, SimpleITK 2.5.7, highdicom 0.28.2
# Guess:    A FRACTIONAL SEG of a map of probabilities is read as the probabilities, at least to 1/255.
# Seen:     segimage2itkimage, SimpleITK and pixel_array give 64 for 0.25, an integer, and no hint of the divisor
#           (MaximumFractionalValue); only highdicom's own get_volume gives 0.251.
# Matters:  A threshold at 0.5 takes every voxel of more than 0 for nodule, so that the mask is that of the whole map,
#           without an error.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$(dirname "$0")/seg_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile dcmqi==1.5.7 SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import os
import subprocess
import sys

import SimpleITK as sitk
from seg_phantom import MASK, segmentation

made = segmentation(MASK * 0.25, "FRACTIONAL", max_fractional_value=255)
tool = os.path.join(os.path.dirname(sys.executable), "segimage2itkimage")
os.makedirs("out")
options = "--inputDICOM seg.dcm --outputDirectory out --outputType nii"
subprocess.run([tool, *options.split()], check=True, capture_output=True)
seen = {
    "dcmqi": sitk.GetArrayFromImage(sitk.ReadImage("out/1.nii.gz")).max().item(),
    "SimpleITK": sitk.GetArrayFromImage(sitk.ReadImage("seg.dcm")).max().item(),
    "pixel_array": made.pixel_array.max().item(),
    "get_volume": round(float(made.get_volume().array.max()), 3),
}
print("0.25 is read as", seen)
as_stated = seen == {"dcmqi": 64, "SimpleITK": 64, "pixel_array": 64, "get_volume": 0.251}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
