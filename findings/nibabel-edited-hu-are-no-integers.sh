#!/usr/bin/env bash
# Library:  nibabel 5.4.2
# Guess:    HU read with get_fdata from an int16 file, one voxel changed, saved with the same header, are the same
#           integers in the new file.
# Seen:     Because the array is float, a slope is made up that spreads the values over all of int16: the file says
#           int16, yet most voxels come back as fractions, up to half a step off.
# Matters:  Equality with a padding value (-1024), thresholds at whole HU, and "same bytes" checks fail after a
#           harmless edit.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile nibabel==5.4.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import nibabel as nib
import numpy as np

hu = np.arange(-1024, 3000, 7, dtype=np.int16).reshape(5, 5, 23)
nib.save(nib.Nifti1Image(hu, np.eye(4)), "a.nii")
first = nib.load("a.nii")
edited = first.get_fdata()
edited[0, 0, 0] = -1000
nib.save(nib.Nifti1Image(edited, first.affine, first.header), "b.nii")
second = nib.load("b.nii")
back = second.get_fdata()
print("type", second.get_data_dtype(), "slope", second.dataobj.slope, "largest error", np.abs(back - edited).max())
print("voxels that are whole numbers:", np.mean(back == np.round(back)))
as_stated = (
    second.get_data_dtype() == np.int16
    and second.dataobj.slope < 0.1
    and np.mean(back == np.round(back)) < 0.1
    and 0.01 < np.abs(back - edited).max() <= second.dataobj.slope / 2 + 1e-6
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
