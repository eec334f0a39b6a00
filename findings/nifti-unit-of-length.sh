#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7, nibabel 5.4.2
# Guess:    The unit of length in a NIfTI header is read by neither library: spacing is what stands in pixdim.
# Seen:     ITK turns metre and micron into mm, nibabel leaves the numbers alone: one file, voxels of 1 mm or of 1000
#           mm.
# Matters:  Micro-CT files carry microns; a pipeline that mixes both readers measures nodules of two sizes from one
#           file.
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

seen = {}
for unit in ("mm", "meter", "micron"):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([1, 1, 2, 1.0]))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, "image.nii")
    itk = [round(mm, 6) for mm in sitk.ReadImage("image.nii").GetSpacing()]
    plain = [float(mm) for mm in nib.load("image.nii").header.get_zooms()]
    seen[unit] = itk, plain
    print(unit, "ITK", itk, "nibabel", plain)
as_stated = seen == {
    "mm": ([1, 1, 2], [1, 1, 2]),
    "meter": ([1000, 1000, 2000], [1, 1, 2]),
    "micron": ([0.001, 0.001, 0.002], [1, 1, 2]),
}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
