#!/usr/bin/env bash
# Library:  highdicom 0.28.2
# Guess:    The volume of a SEG has the slices of the CT that it was made from; empty frames that were left out are
#           zeros.
# Seen:     get_volume runs from the first to the last slice with a segment: 2 of 6 slices come back. The affine is
#           right, the shape is not that of the CT.
# Matters:  mask * ct fails for most scans, works for those where the nodules span all slices, and after padding at
#           one end puts a nodule elsewhere.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$(dirname "$0")/seg_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from seg_phantom import MASK, SOURCE, segmentation


volume = segmentation(MASK).get_volume()
print("CT", MASK.shape, "SEG", volume.spatial_shape, "SEG starts at z =", float(volume.affine[2, 3]), "mm")
kept = segmentation(MASK, omit_empty_frames=False).get_volume()
print("with omit_empty_frames=False", kept.spatial_shape)
as_stated = volume.spatial_shape == (2, 8, 9) and kept.spatial_shape == (6, 8, 9)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
