#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    `ElementDataFile = LIST 3D` with one file is another word for naming that file, or an error.
# Seen:     The image is read without an error, and its voxels are what happened to lie in memory (zeros, in a large
#           image).
# Matters:  A header that MetaIO's own documentation allows gives a picture of nothing, with exit code 0.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
from pathlib import Path

import numpy as np
import SimpleITK as sitk

voxels = np.random.default_rng(0).integers(-900, 300, (20, 32, 24)).astype("<i2")
sitk.WriteImage(sitk.GetImageFromArray(voxels), "image.mhd")
plain = Path("image.mhd").read_text()
assert "ElementDataFile = image.raw" in plain
Path("list.mhd").write_text(plain.replace("image.raw", "LIST 3D\nimage.raw"))
found = sitk.GetArrayFromImage(sitk.ReadImage("list.mhd"))
as_stored = bool(np.array_equal(found, voxels))
print(found.shape, "as stored:", as_stored, "stored", voxels.min(), voxels.max(), "read", found.min(), found.max())
as_stated = found.shape == voxels.shape and not as_stored
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
