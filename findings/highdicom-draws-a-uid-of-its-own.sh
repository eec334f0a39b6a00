#!/usr/bin/env bash
# Library:  highdicom 0.28.2
# Guess:    A SEG of the same mask, source and UIDs, made at the same moment, is the same file.
# Seen:     DimensionOrganizationUID is drawn anew each time; no parameter sets it. Nothing else but dates and times
#           differs.
# Matters:  Two exports of one answer cannot be compared by a checksum, and an archive that looks at the bytes keeps
#           both, although every UID was given.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$(dirname "$0")/seg_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import highdicom as hd
from seg_phantom import MASK, segmentation

given = iter(["1.2.3.1", "1.2.3.2"] * 2)
hd.UID = lambda: next(given)  # the two UIDs that the phantom asks for: the same for both files
made = [segmentation(MASK) for _ in range(2)]


def walk(one, other):
    """Keywords of elements that differ, without dates and times."""
    found = set()
    for a, b in zip(one, other, strict=True):
        assert a.tag == b.tag
        if a.VR == "SQ":
            for x, y in zip(a.value, b.value, strict=True):
                found |= walk(x, y)
        elif a.value != b.value and a.VR not in ("DA", "TM", "DT"):
            found.add(a.keyword)
    return found


seen = walk(*made)
print("elements that differ:", *seen)
as_stated = made[0].SOPInstanceUID == made[1].SOPInstanceUID and seen == {"DimensionOrganizationUID"}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
