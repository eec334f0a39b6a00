#!/usr/bin/env bash
# Library:  dcm2niix 1.0.20260724
# Guess:    A series with one slice missing becomes one NIfTI, with a warning.
# Seen:     It becomes two: one in which the gap is closed (10 slices, everything above too low by 2 mm), and one
#           named _Eq with interpolated slices (11).
# Matters:  Whoever lists *.nii counts the patient twice, or picks the file of wrong height by its simpler name.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile dcm2niix==1.0.20260724 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
from dicom_phantom import write_series

heights_mm = [0, 2, 4, 6, 8, 12, 14, 16, 18, 20]
write_series("ct", np.random.default_rng(0).integers(0, 3000, (10, 32, 32)), heights_mm=heights_mm)
os.makedirs("out")
tool = os.path.join(os.path.dirname(sys.executable), "dcm2niix")
subprocess.run([tool, "-b", "n", "-f", "scan", "-o", "out", "ct"], check=True, stdout=subprocess.DEVNULL)
made = {}
for name in sorted(os.listdir("out")):
    image = nib.load(f"out/{name}")
    made[name] = image.shape[2], float(image.header.get_zooms()[2])
    print(name, "slices and mm between them:", made[name])
as_stated = made == {"scan.nii": (10, 2.0), "scan_Eq_1.nii": (11, 2.0)}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
