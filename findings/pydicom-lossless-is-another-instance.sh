#!/usr/bin/env bash
# Library:  pydicom 3.0.2
# Guess:    Lossless compression and decompression keep the SOPInstanceUID: no pixel has changed.
# Seen:     compress and decompress each write a new SOPInstanceUID by default, though the pixels are equal.
# Matters:  A segmentation or a table of annotations that refers to the old UIDs no longer finds its images after a
#           mere change of storage.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from dicom_phantom import write_series
from pydicom.uid import RLELossless

(ds,) = write_series("ct", np.random.default_rng(0).integers(0, 3000, (1, 16, 16)))
names, pixels = [ds.SOPInstanceUID], [ds.pixel_array.copy()]
ds.compress(RLELossless)
names, pixels = [*names, ds.SOPInstanceUID], [*pixels, ds.pixel_array.copy()]
ds.decompress()
names, pixels = [*names, ds.SOPInstanceUID], [*pixels, ds.pixel_array.copy()]
same = np.array_equal(pixels[0], pixels[1]) and np.array_equal(pixels[0], pixels[2])
print("names:", len(set(names)), "pixels are the same:", same)
as_stated = len(set(names)) == 3 and same
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
