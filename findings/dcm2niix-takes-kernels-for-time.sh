#!/usr/bin/env bash
# Library:  dcm2niix 1.0.20260724
# Guess:    Slices of two kernels at the same places, under one SeriesInstanceUID, become two files, or a warning.
# Seen:     They become one file of four dimensions: the soft reconstruction is the first point in time, the sharp one
#           the second; exit code 0.
# Matters:  A reader that takes the first of the fourth axis has the soft kernel by the order of instance numbers alone;
#           one that averages over time, or wants three dimensions, gets a third image or none.
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

stored = np.repeat([100, 900] * 4, 8 * 9).reshape(8, 8, 9)
for n, ds in enumerate(write_series("ct", stored, heights_mm=[0, 0, 2, 2, 4, 4, 6, 6])):
    ds.ConvolutionKernel = ("B30f", "B70f")[n % 2]
    ds.save_as(f"ct/{n:03d}.dcm", enforce_file_format=True)
os.makedirs("out")
tool = os.path.join(os.path.dirname(sys.executable), "dcm2niix")
done = subprocess.run([tool, "-b", "n", "-f", "scan", "-o", "out", "ct"], capture_output=True, text=True)
seen = {}
for name in os.listdir("out"):
    array = nib.load(f"out/{name}").get_fdata()
    seen[name] = array.shape, array.mean(axis=(0, 1, 2)).tolist()
print("exit code", done.returncode, "kernel" in done.stdout.lower(), seen)
as_stated = done.returncode == 0 and seen == {"scan.nii": ((9, 8, 4, 2), [-924.0, -124.0])}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
