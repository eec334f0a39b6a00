#!/usr/bin/env bash
# Library:  rt-utils 1.2.7
# Guess:    The contour that is made of a mask encloses the area of its pixels, within rounding.
# Seen:     It runs through the centres of the outermost pixels, half a pixel inside: 14.0 mm2 for 20.2 mm2, a point for
#           a single pixel; around a hole it runs outside. Read back by rt-utils itself the mask is the same, voxel by
#           voxel.
# Matters:  The round trip hides it. A planning system that fills the contours measures a small nodule a third too
#           small, and one of a pixel is gone.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile rt-utils==1.2.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
import pydicom
from dicom_phantom import write_series
from rt_utils import RTStructBuilder

write_series("ct", np.zeros((4, 40, 40)))
mask_yxz = np.zeros((40, 40, 4), bool)
mask_yxz[10:16, 20:26, 1] = True
mask_yxz[5, 5, 2] = True
made = RTStructBuilder.create_new(dicom_series_path="ct")
made.add_roi(mask=mask_yxz, name="nodule")
made.save("contours.dcm")
back = RTStructBuilder.create_from("ct", "contours.dcm").get_roi_mask_by_name("nodule")
seen = []
for contour in pydicom.dcmread("contours.dcm").ROIContourSequence[0].ContourSequence:
    x, y, z = np.array(contour.ContourData, float).reshape(-1, 3).T
    area_mm2 = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    pixels = int(mask_yxz[..., round(z[0] / 2)].sum())
    print(f"z = {z[0]} mm: {pixels} pixels, {pixels * 0.7 * 0.8:.2f} mm2; {len(x)} points around {area_mm2:.2f} mm2")
    seen.append((pixels, len(x), round(area_mm2, 3)))
print("the same mask read back:", np.array_equal(back, mask_yxz))
as_stated = seen == [(36, 4, 14.0), (1, 1, 0.0)] and np.array_equal(back, mask_yxz)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
