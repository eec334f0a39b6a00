#!/usr/bin/env bash
# Library:  h5py 3.16.0
# Guess:    Every chunk of a dataset with compression="lzf" is compressed; gzip and lzf behave alike.
# Seen:     A chunk that lzf cannot make smaller is stored raw, and only its filter mask (1) says so; gzip stores it
#           longer than it was, with mask 0.
# Matters:  A reader that fetches chunks itself (parallel or remote reading of CT) and decompresses each gets nonsense
#           for noisy chunks only.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile h5py==3.16.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import h5py
import numpy as np

noise = np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8)
seen = {}
for name in ("gzip", "lzf"):
    for what, data in (("noise", noise), ("flat", np.zeros(4096, np.uint8))):
        with h5py.File("ct.h5", "w") as file:
            dataset = file.create_dataset("ct", data=data, chunks=(4096,), compression=name)
            mask, chunk = dataset.id.read_direct_chunk((0,))
        seen[name, what] = mask, chunk == data.tobytes(), len(chunk) > 4096
        print(name, what, "filter mask", mask, "raw:", chunk == data.tobytes(), "bytes", len(chunk))
as_stated = seen == {
    ("gzip", "noise"): (0, False, True),
    ("gzip", "flat"): (0, False, False),
    ("lzf", "noise"): (1, True, False),
    ("lzf", "flat"): (0, False, False),
}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
