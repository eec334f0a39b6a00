#!/usr/bin/env bash
# Library:  SimpleITK 2.5.7
# Guess:    The median HU of a label is the median, to the voxel (numpy).
# Seen:     Both label statistics filters read it off a coarse histogram: here 6 and 14 HU beside the true median, and
#           one bright voxel far away, outside the label, is enough to change it.
# Matters:  The median attenuation decides between ground-glass and solid nodules; a metal implant elsewhere in the
#           chest moves it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import SimpleITK as sitk


dice = np.random.default_rng(0)
label = np.zeros((20, 20, 20), np.uint8)
label[5:10, 5:10, 5:10] = 1


def medians(far_away):
    hu = np.full(label.shape, -1000, np.int16)
    hu[label > 0] = np.random.default_rng(0).integers(-700, 100, 125)
    hu[7, 7, 7] = 600
    hu[0, 0, 0] = far_away
    one, two = sitk.LabelStatisticsImageFilter(), sitk.LabelIntensityStatisticsImageFilter()
    one.Execute(sitk.GetImageFromArray(hu), sitk.GetImageFromArray(label))
    two.Execute(sitk.GetImageFromArray(label), sitk.GetImageFromArray(hu))
    return float(np.median(hu[label > 0])), one.GetMedian(1), two.GetMedian(1)


plain, metal = medians(-1000), medians(3071)
for what, (true, first, second) in (("plain", plain), ("metal elsewhere", metal)):
    print(f"{what}: true {true:.1f}, LabelStatistics {first:.1f}, LabelIntensityStatistics {second:.1f}")
as_stated = plain[0] == metal[0] and all(abs(value - metal[0]) > 2 for value in metal[1:]) and plain[1:] != metal[1:]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
