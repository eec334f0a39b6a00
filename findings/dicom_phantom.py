"""A series of DICOM files of made-up voxels, for findings that need one; needs pydicom and numpy."""

import os

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid


def write_series(folder, stored_zyx, slopes=None, heights_mm=None, modality="CT"):
    """Write one file a slice, 2 mm apart from z = 0 upwards unless `heights_mm` says otherwise; return the datasets."""
    os.makedirs(folder)
    count = len(stored_zyx)
    slopes, heights_mm = slopes or [1] * count, heights_mm or [2 * n for n in range(count)]
    kind = PositronEmissionTomographyImageStorage if modality == "PT" else CTImageStorage
    study, series, frame_of_reference = generate_uid(), generate_uid(), generate_uid()
    made = []
    for n, (pixels_yx, slope, height_mm) in enumerate(zip(stored_zyx, slopes, heights_mm, strict=True)):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = kind
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame_of_reference
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Phantom^Chest", "P1", "", ""
        ds.StudyDate, ds.StudyTime, ds.StudyID = "20200101", "120000", "1"
        ds.AccessionNumber, ds.ReferringPhysicianName, ds.Manufacturer = "", "", "none"
        ds.Modality, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = modality, 1, 1, n + 1
        ds.ImageType, ds.PatientPosition, ds.PositionReferenceIndicator = ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS", ""
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, -20, height_mm]
        ds.PixelSpacing, ds.SliceThickness = [0.7, 0.8], 2
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
        ds.Rows, ds.Columns = pixels_yx.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
        ds.RescaleSlope = slope
        if modality == "CT":
            ds.RescaleIntercept, ds.RescaleType, ds.KVP = -1024, "HU", 120
        else:
            ds.RescaleIntercept, ds.Units = 0, "BQML"
        ds.PixelData = np.ascontiguousarray(pixels_yx).astype("<u2").tobytes()
        ds.save_as(os.path.join(folder, f"{n:03d}.dcm"), enforce_file_format=True)
        made.append(ds)
    return made
