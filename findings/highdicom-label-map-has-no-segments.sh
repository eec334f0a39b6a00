#!/usr/bin/env bash
# Library:  highdicom 0.28.2
# Guess:    A LABELMAP SEG with one described segment has one item in SegmentSequence and number_of_segments 1, as a
#           BINARY one.
# Seen:     There are two items (the first is the background, number 0), and number_of_segments is 0, while
#           segment_numbers is [1].
# Matters:  A loop over range(number_of_segments), or over SegmentSequence, finds no nodule, or takes the background
#           for one.
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


seen = {}
for kind in ("BINARY", "LABELMAP"):
    made = segmentation(MASK, kind)
    seen[kind] = (
        made.number_of_segments,
        list(made.segment_numbers),
        [int(s.SegmentNumber) for s in made.SegmentSequence],
    )
    print(kind, "number_of_segments", seen[kind][0], "segment_numbers", seen[kind][1], "items", seen[kind][2])
as_stated = seen == {"BINARY": (1, [1], [1]), "LABELMAP": (0, [1], [0, 1])}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
