#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    A text that is stored with an image is written in one line, or escaped, and comes back as it was.
# Seen:     A line break in it ends the line of the header: what follows is read as a key. An image with the comment
#           below comes back 7 mm away; with a plain second line it cannot be read at all.
# Matters:  DICOM texts (patient comments, protocol names) may hold line breaks, and SimpleITK copies them into
#           MetaImage headers.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

seen = {}
for comment in ("one line", "first line\nOffset = 7 7 7", "first line\nsecond line"):
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    image.SetMetaData("0010|4000", comment)
    sitk.WriteImage(image, "image.mha")
    try:
        seen[comment] = sitk.ReadImage("image.mha").GetOrigin()
    except RuntimeError as error:
        seen[comment] = type(error).__name__
    print(repr(comment), "->", seen[comment])
as_stated = list(seen.values()) == [(0.0, 0.0, 0.0), (7.0, 7.0, 7.0), "RuntimeError"]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
