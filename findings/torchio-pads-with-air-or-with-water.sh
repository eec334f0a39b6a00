#!/usr/bin/env bash
# Library:  torchio 1.2.1
# Guess:    The transforms of one library fill what lies outside the scan with one value, its minimum or 0.
# Seen:     RandomAffine fills with the minimum (here -1000); Resample onto a larger grid, CropOrPad and Pad with 0,
#           which is water.
# Matters:  A scan that is padded to the size of a patch has a wall of water around its air, as dense as a nodule; the
#           same scan rotated has none, so that the network learns from the border which was done.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torchio==1.2.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import torch
import torchio as tio

ct = tio.ScalarImage(tensor=torch.full((1, 16, 16, 16), -1000.0))
ct.data[:, 4:12, 4:12, 4:12] = -850
transforms = {
    "RandomAffine": tio.RandomAffine(scales=0, degrees=(45, 45), translation=0),
    "Resample": tio.Resample(tio.ScalarImage(tensor=torch.zeros(1, 24, 24, 24))),
    "CropOrPad": tio.CropOrPad(24),
    "Pad": tio.Pad(4),
}
seen = {name: float(transform(ct).data[0, -1, -1, -1]) for name, transform in transforms.items()}
print("value of a corner that lies outside the scan:", seen)
as_stated = seen == {"RandomAffine": -1000, "Resample": 0, "CropOrPad": 0, "Pad": 0}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
