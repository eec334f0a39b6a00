#!/usr/bin/env bash
# Library:  ome-zarr 0.18.0
# Guess:    Every level of the pyramid that write_image makes of a volume with z, y and x has half the voxels of the
#           last in each direction.
# Seen:     Only y and x are halved: level 4 of a volume of 32 x 64 x 64 voxels has 32 x 4 x 4; z goes along only if
#           scale_factors names it.
# Matters:  A coarse level of a chest CT of 1 mm has voxels of 16 x 16 x 1 mm: a lung mask or a detector that takes it
#           for a small isotropic copy fails, and it is 16 times as large as one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile ome-zarr==0.18.0 zarr==3.1.6 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import zarr
from ome_zarr.writer import write_image

ct = np.zeros((32, 64, 64), np.int16)
axes = ["z", "y", "x"]
options = {"default": {}, "named": {"scale_factors": [{"z": 2, "y": 2, "x": 2}, {"z": 4, "y": 4, "x": 4}]}}
seen = {}
for name, more in options.items():
    group = zarr.open_group(f"{name}.zarr", mode="w")
    write_image(ct, group, axes=axes, scale={"z": 1.0, "y": 1.0, "x": 1.0}, **more)
    levels = group.attrs["ome"]["multiscales"][0]["datasets"]
    seen[name] = [(group[level["path"]].shape, level["coordinateTransformations"][0]["scale"]) for level in levels]
    print(name, seen[name])
as_stated = seen["default"][4] == ((32, 4, 4), [1.0, 16.0, 16.0]) and seen["named"][2] == ((8, 16, 16), [4.0, 4.0, 4.0])
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
