#!/usr/bin/env bash
# Library:  monai 1.6.1
# Guess:    DiceMetric of probabilities is the soft Dice, or that of a threshold at 0.5, or an error.
# Seen:     With one channel a class, every value that is not 0 counts as the class: 0.01 everywhere beside a perfect
#           nodule makes Dice 0.2. With a single channel only 1.0 counts: a nodule of 0.99 has Dice 0. There is no error
#           and no warning.
# Matters:  A forgotten AsDiscrete looks like a network that learns nothing, or, where the network's background is
#           exactly 0, like a perfect one whatever its threshold.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile monai==1.6.1 torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import torch
from monai.metrics import compute_dice

truth = torch.zeros(1, 1, 8, 8, 8)
truth[..., 2:6, 2:6, 2:6] = 1
seen = {}
for inside, outside in ((1.0, 0.0), (0.99, 0.0), (0.1, 0.0), (0.99, 0.01)):
    share = inside * truth + outside * (1 - truth)
    two = compute_dice(torch.cat([1 - share, share], 1), torch.cat([1 - truth, truth], 1), include_background=False)
    one = compute_dice(share, truth)
    seen[inside, outside] = round(two.item(), 3), round(one.item(), 3)
    print(f"probability {inside} inside, {outside} outside: Dice of two channels, of one:", *seen[inside, outside])
as_stated = list(seen.values()) == [(1.0, 1.0), (1.0, 0.0), (1.0, 0.0), (round(2 * 64 / (512 + 64), 3), 0.0)]
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
