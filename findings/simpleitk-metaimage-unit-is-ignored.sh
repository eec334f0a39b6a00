#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    Where a MetaImage says that its distances are centimetres or micrometres, or how elements become
#           intensities, ITK applies it, as it does with the unit of a NIfTI.
# Seen:     DistanceUnits and ElementToIntensityFunctionSlope change nothing: spacing and voxels are what stands in the
#           file.
# Matters:  A header that states its unit and its scale is read ten times too small and without its scale.
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

voxels = np.arange(24, dtype="<i2").reshape(2, 3, 4)
sitk.WriteImage(sitk.GetImageFromArray(voxels), "image.mhd")
plain = Path("image.mhd").read_text()
seen = {}
for line in ("DistanceUnits = cm", "DistanceUnits = um", "ElementToIntensityFunctionSlope = 2"):
    Path("image.mhd").write_text(plain.replace("DimSize", f"{line}\nDimSize"))
    image = sitk.ReadImage("image.mhd")
    seen[line] = image.GetSpacing(), bool(np.array_equal(sitk.GetArrayFromImage(image), voxels))
    print(line, "spacing", image.GetSpacing(), "voxels as stored", seen[line][1])
as_stated = all(found == ((1.0, 1.0, 1.0), True) for found in seen.values())
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
