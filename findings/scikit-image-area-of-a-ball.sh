#!/usr/bin/env bash
# Library:  scikit-image 0.26.0
# Guess:    The mesh area of a digital ball comes closer to 4 pi r2 as the voxels become finer.
# Seen:     It stays 8 to 9 % too large from a radius of 5 to one of 40 voxels, so that the sphericity of a perfect ball
#           is 0.92; of a ball with soft edges (the part of each voxel inside) both are right within 3 %.
# Matters:  Sphericity, surface to volume and surface density of nodules have a bias that finer slices do not cure, and
#           that a mask of probabilities does not have: the two cannot be compared.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile scikit-image==0.26.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from skimage import measure

seen = {}
for radius in (5, 10, 20, 40):
    half = radius + 3
    far = np.sqrt(sum(axis**2 for axis in np.ogrid[-half : half + 1, -half : half + 1, -half : half + 1]))
    for name, ball in (("mask", (far <= radius) * 1.0), ("soft", np.clip(radius - far + 0.5, 0, 1))):
        vertices, faces, *_ = measure.marching_cubes(ball, 0.5)
        area = measure.mesh_surface_area(vertices, faces)
        sphericity = (36 * np.pi * ball.sum() ** 2) ** (1 / 3) / area
        seen[name, radius] = area / (4 * np.pi * radius**2), sphericity
        print(f"{name}, radius {radius}: area {seen[name, radius][0]:.3f} of the ball's, sphericity {sphericity:.3f}")
as_stated = all(
    (1.08 < area < 1.095 and 0.91 < sphericity < 0.925) if name == "mask" else abs(area - 1) < 0.03 > abs(sphericity - 1)
    for (name, _), (area, sphericity) in seen.items()
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
