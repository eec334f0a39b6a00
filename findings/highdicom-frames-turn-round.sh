#!/usr/bin/env bash
# Library:  highdicom 0.28.2
# Guess:    The frames of a SEG are stored in the order in which images and mask were given, here from z = 0 upwards.
# Seen:     They are stored from the top down, whichever order was given; pixel_array of the file read back is the
#           mask turned upside down.
# Matters:  A nodule in the left base of the lung is drawn at the height of the apex, by any reader that takes frame n
#           for slice n.
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


made = segmentation(MASK, omit_empty_frames=False)
heights = [
    float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in made.PerFrameFunctionalGroupsSequence
]
print("voxels a slice, given:", MASK.sum(axis=(1, 2)).tolist(), "stored:", made.pixel_array.sum(axis=(1, 2)).tolist())
print("z of the frames:", heights)
by_name = made.get_pixels_by_source_instance([ds.SOPInstanceUID for ds in SOURCE])[..., 0]
as_stated = (
    heights == [10, 8, 6, 4, 2, 0] and np.array_equal(made.pixel_array, MASK[::-1]) and np.array_equal(by_name, MASK)
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
