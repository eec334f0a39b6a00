#!/usr/bin/env bash
# Library:  highdicom 0.28.2
# Guess:    A SEG of a mask in which nothing is marked is refused, or has no frame; `omit_empty_frames` (the default)
#           says so.
# Seen:     It is written with a frame of zeros for every image of the source, and one warning; the same parameter
#           leaves out every empty frame as soon as a single pixel is marked.
# Matters:  A scan without a nodule makes a file in which a nodule is described and every slice has a frame for it:
#           whoever counts segments or frames counts a finding.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$(dirname "$0")/seg_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from seg_phantom import MASK, segmentation

seen = {}
one = np.zeros_like(MASK)
one[2, 3, 4] = 1
for name, mask in (("empty", np.zeros_like(MASK)), ("one pixel", one)):
    made = segmentation(mask)
    seen[name] = (int(made.NumberOfFrames), int(made.number_of_segments), int(made.pixel_array.sum()))
    print(name, "frames, segments, marked pixels:", *seen[name])
as_stated = seen == {"empty": (6, 1, 0), "one pixel": (1, 1, 1)}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
