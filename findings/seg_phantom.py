"""A CT of six slices, a mask in two of them, and the DICOM segmentation of it; needs highdicom."""

import highdicom as hd
import numpy as np
from dicom_phantom import write_series
from pydicom.sr.codedict import codes

SOURCE = write_series("ct", np.zeros((6, 8, 9)))
MASK = np.zeros((6, 8, 9), np.uint8)
MASK[2, 3:5, 2:6] = 1
MASK[3, 3:5, 2:4] = 1


def segmentation(mask_zyx, kind="BINARY", segments=1, **options):
    """Write a segmentation of the CT with this many segments, 1 unless said, and read it back."""
    nodules = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label="nodule",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, segments + 1)
    ]
    hd.seg.Segmentation(
        source_images=SOURCE,
        pixel_array=mask_zyx,
        segmentation_type=kind,
        segment_descriptions=nodules,
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        **options,
    ).save_as("seg.dcm")
    return hd.seg.segread("seg.dcm")
