"""Small scans for tests: HU that look like a chest to the checks, and files that hold them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

CT = UID("1.2.840.10008.5.1.4.1.1.2")
ENHANCED_CT = UID("1.2.840.10008.5.1.4.1.1.2.1")
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def chest(shape: tuple[int, int, int] = (12, 30, 40), seed: int = 0) -> np.ndarray:
    """int16 HU (z, y, x) with the shares of air, lung and soft tissue that a chest has, and no symmetry."""
    rng = np.random.default_rng(seed)
    hu = rng.integers(-1000, -900, shape)
    hu[:, 4:-3, 5:-2] = rng.integers(0, 80, shape)[:, 4:-3, 5:-2]
    hu[1:-1, 8:-9, 9:-8] = rng.integers(-870, -800, shape)[1:-1, 8:-9, 9:-8]
    return hu.astype(np.int16)


def write_dicom(
    folder: Path,
    hu: np.ndarray,
    *,
    spacing_kji: Sequence[float] = (2.5, 2.1, 1.7),
    origin: Sequence[float] = (-31.0, -42.0, 13.0),
    orientation: Sequence[float] = AXIAL,
    positions: np.ndarray | None = None,
    change: Callable[[int, Dataset], object] | None = None,
    prefix: str = "f",
) -> Path:
    """Write one file per slice; `change(k, dataset)` may damage each before it is written.

    `positions` (K, 3) are otherwise a straight stack along the normal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    if positions is None:
        positions = np.array(origin) + np.outer(np.arange(len(hu)) * spacing_kji[0], normal)
    for k, plane in enumerate(hu):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = CT, UID(f"1.2.3.{k + 1}")
        dataset.SeriesInstanceUID, dataset.Modality = UID("1.2.3.4"), "CT"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.AcquisitionNumber, dataset.InstanceNumber = 1, (7 * k) % 5  # unrelated to the place
        dataset.ImagePositionPatient = [f"{p:.8g}" for p in positions[k]]
        dataset.ImageOrientationPatient = [f"{c:.9f}" for c in orientation]
        dataset.PixelSpacing = [f"{s:.8g}" for s in spacing_kji[1:]]
        dataset.SliceThickness = 99
        dataset.Rows, dataset.Columns = plane.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (plane.astype("<i2") + np.int16(1024)).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = CT
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if change is None or change(k, dataset) is not False:
            name = folder / f"{prefix}{(k * 37) % 101:03d}.dcm"
            pydicom.dcmwrite(name, dataset, enforce_file_format=True)
    return folder


def write_enhanced(
    path: Path,
    hu: np.ndarray,
    *,
    spacing_kji: Sequence[float] = (2.5, 2.1, 1.7),
    origin: Sequence[float] = (-31.0, -42.0, 13.0),
    change: Callable[[Dataset], object] | None = None,
    change_frame: Callable[[int, Dataset], object] | None = None,
) -> Path:
    """Write an enhanced CT: all slices in one file, in an order unrelated to their place.

    Orientation and spacing are shared; each frame has its own position and rescale.
    """

    def item(**tags) -> Items:
        inner = Dataset()
        for key, value in tags.items():
            setattr(inner, key, value)
        return Items([inner])

    order = sorted(range(len(hu)), key=lambda k: (7 * k) % 5)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENHANCED_CT, UID("1.2.3.1")
    dataset.SeriesInstanceUID, dataset.Modality = UID("1.2.3.4"), "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    shared = Dataset()
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=list(AXIAL))
    shared.PixelMeasuresSequence = item(PixelSpacing=list(spacing_kji[1:]), SliceThickness=99)
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for k in order:
        frame = Dataset()
        frame.FrameContentSequence = item(FrameAcquisitionNumber=1)
        position = [origin[0], origin[1], origin[2] + k * spacing_kji[0]]
        frame.PlanePositionSequence = item(ImagePositionPatient=position)
        frame.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=-1024 - k, RescaleType="HU")
        if change_frame:
            change_frame(k, frame)
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    dataset.PixelData = b"".join((hu[k].astype(np.int32) + 1024 + k).astype("<u2").tobytes() for k in order)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if change:
        change(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def write_nifti(
    path: Path, hu: np.ndarray, *, cut: slice = slice(None), flip_bit: int | None = None, endian: str = "<", **header
) -> Path:
    """Write a .nii or .nii.gz; `header` replaces fields, `cut` keeps a part of the file, `flip_bit` turns a bit."""
    affine = np.diag([-1.7, -2.1, 2.5, 1.0])
    affine[:3, 3] = 31, 42, 13
    made = nibabel.Nifti1Header(endianness=endian)
    made.set_data_dtype(hu.dtype)
    made.set_data_shape(hu.shape[::-1])
    made.set_xyzt_units("mm")
    made.set_sform(affine, code=1)
    made.set_qform(affine, code=1)
    for key, value in {"scl_slope": 1, "scl_inter": 0, "vox_offset": 352, **header}.items():
        made[key] = value
    content = made.binaryblock + bytes(4) + hu.astype(hu.dtype.newbyteorder(endian)).tobytes()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    damaged = bytearray(content[cut])
    if flip_bit is not None:
        damaged[flip_bit // 8] ^= 1 << flip_bit % 8
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged)
    return path


MHD_HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "-31 -42 13",
    "CenterOfRotation": "0 0 0",
    "AnatomicalOrientation": "RAI",
    "ElementSpacing": "1.7 2.1 2.5",
    "DimSize": "",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "",
}


def write_mhd(path: Path, hu: np.ndarray, **changes: str | None) -> Path:
    """Write a header and its `.raw`; `changes` replace keys of the header, None leaves one out."""
    sizes = " ".join(map(str, hu.shape[::-1]))
    header = {**MHD_HEADER, "DimSize": sizes, "ElementDataFile": f"{path.stem}.raw", **changes}
    header["ElementDataFile"] = header.pop("ElementDataFile")  # ends the header
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".raw").write_bytes(hu.tobytes())
    path.write_text("".join(f"{key} = {value}\n" for key, value in header.items() if value is not None))
    return path
