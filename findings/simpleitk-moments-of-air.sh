#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    CenteredTransformInitializer with MOMENTS lays the centres of two bodies on each other.
# Seen:     In HU, air weighs -1000 and tissue +40: the centre comes out far beside the body, and the bodies are moved
#           the wrong way. With HU + 1000 it is right.
# Matters:  A registration of two chest CT starts farther apart than without initialisation; it may then end in a
#           wrong place without an error.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk


z, y, x = np.mgrid[:40, :64, :64]


def chest(x0, y0, air):
    hu = np.full(z.shape, air, np.float32)
    hu[(y - y0) ** 2 + (x - x0) ** 2 < 100] = air + 1040
    return sitk.GetImageFromArray(hu)


moments = sitk.CenteredTransformInitializerFilter.MOMENTS
found = {}
for air in (-1000, 0):
    start = sitk.CenteredTransformInitializer(chest(45, 20, air), chest(20, 40, air), sitk.Euler3DTransform(), moments)
    start = sitk.Euler3DTransform(start)
    centre, move = np.array(start.GetCenter()[:2]), np.array(start.GetTranslation()[:2])
    found[air] = np.linalg.norm(centre - (45, 20)), float(move @ (-25, 20))
    print(f"air {air}: centre {centre.round(1)} (the body's is 45, 20), move {move.round(1)} (should be -25, 20)")
as_stated = found[-1000][0] > 15 and found[-1000][1] < 0 and found[0][0] < 0.5 and found[0][1] > 1000
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
