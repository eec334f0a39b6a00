#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    REGULAR sampling of a registration's metric takes every n-th voxel and draws nothing; and a seed of 0 is a
#           seed like any other.
# Seen:     Regular samples are shifted at random, too, by a seed that is the clock unless one is given; 0 means the
#           clock as well. On one thread the motion then differs from run to run; with seed 1 it never does.
# Matters:  A pair of scans is laid on one another otherwise at each call, and a nodule near the tolerance is paired
#           today and new tomorrow, although the script says `seed=0`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import time

import numpy as np
import SimpleITK as sitk

rng = np.random.default_rng(0)
fixed = sitk.DiscreteGaussian(sitk.GetImageFromArray(rng.normal(size=(40, 44, 48)).astype(np.float32)), 4.0)
moving = sitk.Resample(fixed, sitk.TranslationTransform(3, (1.5, -1.0, 0.7)))


def motion(*seed):
    start = sitk.TranslationTransform(3)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.1, *seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 50)
    method.SetInitialTransform(start, inPlace=True)
    method.SetNumberOfThreads(1)
    method.Execute(fixed, moving)
    time.sleep(1.1)  # the clock is read in seconds
    return start.GetParameters()


seen = {}
for name, seed in (("no seed", ()), ("seed 0", (0,)), ("seed 1", (1,))):
    found = [motion(*seed) for _ in range(4)]
    seen[name] = len(set(found))
    print(name, "four runs,", seen[name], "motions; up to", f"{np.ptp(found, axis=0).max():.4f}", "voxels apart")
as_stated = seen["no seed"] > 1 and seen["seed 0"] > 1 and seen["seed 1"] == 1
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
