#!/usr/bin/env bash
# Library:  dcmqi 1.5.7
# Guess:    itkimage2segimage refuses a mask whose size of voxels and place are not those of the CT that it is given.
# Seen:     A mask that was made from an array (voxels of 1 mm, at the origin) becomes a SEG of the patient and of the
#           frame of reference of the CT, with exit code 0; only the references from its frames to the CT's slices are
#           missing.
# Matters:  The one slip that everybody makes with arrays goes into the archive as a finding, 10 to 20 mm beside the
#           nodule and of another volume.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile dcmqi==1.5.7 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import json
import os
import subprocess
import sys

import numpy as np
import pydicom
import SimpleITK as sitk
from dicom_phantom import write_series

source = write_series("ct", np.zeros((6, 8, 9)))
ct = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames("ct"))


def code(value, meaning):
    return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}


segment = {
    "labelID": 1,
    "SegmentLabel": "nodule",
    "SegmentAlgorithmType": "MANUAL",
    "SegmentedPropertyCategoryCodeSequence": code("49755003", "Morphologically Altered Structure"),
    "SegmentedPropertyTypeCodeSequence": code("27925004", "Nodule"),
}
with open("segments.json", "w") as file:
    json.dump({"SeriesDescription": "nodules", "SeriesNumber": "300", "segmentAttributes": [[segment]]}, file)
mask = np.zeros((6, 8, 9), np.uint8)
mask[2:4, 3:5, 2:6] = 1
as_made = sitk.GetImageFromArray(mask)
placed = sitk.GetImageFromArray(mask)
placed.CopyInformation(ct)
tool = os.path.join(os.path.dirname(sys.executable), "itkimage2segimage")
seen = {}
for name, image in (("placed", placed), ("as made", as_made)):
    sitk.WriteImage(image, "mask.nii.gz")
    options = "--inputImageList mask.nii.gz --inputDICOMDirectory ct --inputMetadata segments.json --outputDICOM seg.dcm"
    code_of_exit = subprocess.run([tool, *options.split()], capture_output=True).returncode
    seg = pydicom.dcmread("seg.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    first = seg.PerFrameFunctionalGroupsSequence[0]
    seen[name] = (
        code_of_exit,
        seg.FrameOfReferenceUID == source[0].FrameOfReferenceUID,
        [float(step) for step in (*measures.PixelSpacing, measures.SliceThickness)],
        [float(place) for place in first.PlanePositionSequence[0].ImagePositionPatient],
        "DerivationImageSequence" in first,
    )
    print(name, "exit code, frame of reference, voxel in mm, place, reference to a slice:", *seen[name])
as_stated = seen == {
    "placed": (0, True, [0.7, 0.8, 2.0], [-10.0, -20.0, 4.0], True),
    "as made": (0, True, [1.0, 1.0, 1.0], [0.0, 0.0, 2.0], False),
}
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
