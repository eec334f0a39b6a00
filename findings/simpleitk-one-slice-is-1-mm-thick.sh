#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    ReadImage of one slice of a CT gives its SliceThickness as the third spacing.
# Seen:     It gives 1 mm for every thickness; SpacingBetweenSlices, where it is there, is taken. Slices read one by one
#           and joined lie 1 mm apart.
# Matters:  Volumes of nodules from slices that were read in a loop are too small by the thickness, 2.5 or 5 times, on
#           scanners that leave out an optional element.
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
for thickness, between in ((2, None), (5, None), (5, 2.5)):
    for n, ds in enumerate(write_series(f"{thickness} {between}", np.zeros((3, 4, 5)), heights_mm=[0, 5, 10])):
        ds.SliceThickness = thickness
        if between:
            ds.SpacingBetweenSlices = between
        ds.save_as(f"{thickness} {between}/{n:03d}.dcm", enforce_file_format=True)
    slices = [sitk.ReadImage(f"{thickness} {between}/{n:03d}.dcm") for n in range(3)]
    joined = sitk.JoinSeries([piece[:, :, 0] for piece in slices])
    seen[thickness, between] = slices[0].GetSpacing()[2], joined.GetSpacing()[2]
    print(f"thickness {thickness}, between {between}: spacing of a slice, of three joined: {seen[thickness, between]}")
as_stated = seen == {(2, None): (1.0, 1.0), (5, None): (1.0, 1.0), (5, 2.5): (2.5, 1.0)}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
