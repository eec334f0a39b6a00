"""What becomes of bad input, row by row: the contract with whoever brings a scan.

Each line is a scan, the flags that it must carry, and, where its voxels must be untouched, `same`: every voxel
at its place in the world, in HU, with padding at -1024.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from lungline.readers.dicom_headers import quiet
from lungline.stages import ingest
from lungline.storage import hdf5
from scans import chest, write_dicom, write_enhanced, write_mhd, write_nifti

HU = chest((60, 34, 40))
FEW = HU[:12]
AFFINE = np.array([[0, 0, 1.7, -31], [0, 2.1, 0, -42], [2.5, 0, 0, 13], [0, 0, 0, 1]])
same = "same"

Make = Callable[[Path], tuple[Path, str]]


# ---- scans, as short as can be -----------------------------------------------------------------------------


def dicom(hu=FEW, *more: Callable[[Path], object], **options) -> Make:
    """A series, written with the options of `write_dicom`; then `more` happens to its folder."""

    def make(folder: Path) -> tuple[Path, str]:
        with quiet():
            write_dicom(folder / "raw", hu, **options)
            for act in more:
                act(folder / "raw")
        return folder / "raw", "dicom"

    return make


def enhanced(hu=FEW, *more, **options) -> Make:
    def make(folder):
        write_enhanced(folder / "raw" / "all.dcm", hu, **options)
        for act in more:
            act(folder / "raw")
        return folder / "raw", "dicom"

    return make


def mhd(hu=FEW, *more, **header) -> Make:
    def make(folder):
        path = write_mhd(folder / "a.mhd", hu, **header)
        for act in more:
            act(folder)
        return path, "mhd"

    return make


def nifti(hu=FEW, name="a.nii.gz", **options) -> Make:
    return lambda folder: (write_nifti(folder / name, hu, **options), "nifti")


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def link_to_itself(folder: Path) -> None:
    (folder / "a.raw").unlink()
    (folder / "a.raw").symlink_to("a.raw")


def every(**tags):
    """Each slice gets these tags; None takes one away."""

    def change(k, dataset):
        for key, value in tags.items():
            if value is None:
                del dataset[key]
            else:
                setattr(dataset, key, value)

    return change


def only(where, change):
    return lambda k, dataset: change(k, dataset) if k in where else None


def without(*slices):
    return lambda k, dataset: k not in slices


def pixels(stored, dtype="<i2", **tags):
    """Each slice k holds the stored values `stored[k]` of a type, and the tags say so."""

    def change(k, dataset):
        every(**tags)(k, dataset)
        dataset.PixelData = stored[k].astype(dtype).tobytes()

    return change


def beside(hu, **options):
    """More slices in the same folder."""
    return lambda folder: write_dicom(folder, hu, prefix="more", **options)


def files(count, act):
    """The `count` files of the highest slices are acted upon."""

    def do(folder):
        by_height = sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
        for path in by_height[-count:]:
            act(path)

    return do


def rewritten(act):
    """All files are read, changed and written again."""

    def do(folder):
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            act(dataset)
            dataset.save_as(path)

    return do


def bytes_of(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def extra(name, content=b"text"):
    return lambda folder: (folder / name).write_bytes(content)


def as_zraw(change=bytes, **header):
    """A compressed MetaImage whose stream is changed after its size was written down."""

    def act(folder):
        packed = change(zlib.compress(FEW.tobytes()))
        (folder / "a.raw").write_bytes(packed)

    return mhd(FEW, act, CompressedData="True", **header)


def compressed_as(syntax, lossless=True):
    def act(dataset):
        dataset.compress(syntax, generate_instance_uid=False)
        if not lossless:
            dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.91")

    return act


def big_endian(k, dataset):
    pixels(STORED, ">i2")(k, dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian


def mpeg(dataset):
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 40])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")


def tilted(degrees):
    angle = np.deg2rad(degrees)
    positions = np.array([-31.0, -42.0, 13.0]) + np.outer(np.arange(len(FEW)) * 2.5, (0, 0, 1))
    return {"orientation": (1, 0, 0, 0, np.cos(angle), -np.sin(angle)), "positions": positions}


def at(z_mm):
    """Positions of slices at these heights."""
    z = np.asarray(z_mm, dtype=float)
    return np.stack([np.full_like(z, -31), np.full_like(z, -42), z + 13], axis=1)


def padded(*values):
    hu = FEW.copy()
    hu[:, 0, : len(values)] = values
    return hu


def with_nan():
    hu = FEW.astype(np.float32)
    hu[3, 4, 5] = np.nan
    return hu


def drop(*keys):
    """Of an enhanced CT: the groups of frame 3 that are left out."""
    return lambda k, frame: [frame.__delattr__(key) for key in keys] if k == 3 else None


def raised_from(gap):
    """Of an enhanced CT: from frame `gap` on, every frame lies one step higher."""

    def change(k, frame):
        if k >= gap:
            frame.PlanePositionSequence[0].ImagePositionPatient[2] += 2.5

    return change


def truncated_copy(folder):
    path = folder / "more000.dcm"
    path.write_bytes(path.read_bytes()[:-90])


STORED = FEW.astype(np.int32) + 1024
TILTED_HALF = only(range(6), every(ImageOrientationPatient=[1, 0, 0, 0, 0.9848078, -0.1736482]))
HALF_WAY = {"origin": (-31.0, -42.0, 14.25), "change": every(AcquisitionNumber=2)}
LOW_EVEN = pixels(FEW, RescaleSlope=None, RescaleIntercept=None)
RAW_EVEN = every(RescaleSlope=None, RescaleIntercept=None)
SCOUT = {"orientation": (1, 0, 0, 0, 0, -1), "change": every(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])}
OTHER = UID("1.2.3.9")
CAPTURE = every(SeriesInstanceUID=OTHER, SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.7"), Modality="OT")
MIP = every(SeriesInstanceUID=OTHER, ImageType=["DERIVED", "SECONDARY", "MIP"], SeriesNumber=-1)
DOSE = every(SeriesInstanceUID=OTHER, Modality="SR")
GREY = np.full_like(FEW, 40)
HEAD = np.where((FEW > -950) & (FEW < -600), 40, FEW).astype(np.int16)

# ---- the contract ------------------------------------------------------------------------------------------

CONTRACT: dict[str, list[tuple[str, Make, str, object]]] = {
    "slices missing": [
        ("one of 60", dicom(HU, change=without(30)), "W_GAP_FILLED", None),
        ("three side by side", dicom(HU, change=without(30, 31, 32)), "Q_MISSING_SLICES", None),
        ("one of 12, which is more than 2 %", dicom(change=without(5)), "Q_MISSING_SLICES", None),
    ],
    "duplicate positions, overlapping acquisitions": [
        ("a damaged copy", dicom(HU, beside(HU), truncated_copy), "W_DUPLICATE_SLICES", same),
        ("copies under other names", dicom(HU, beside(HU[:20])), "W_DUPLICATE_SLICES", same),
        (
            "a part scanned twice",
            dicom(HU, beside(HU[:20] + np.int16(9), change=every(AcquisitionNumber=2))),
            "W_MULTI_ACQUISITION",
            same,
        ),
        (
            "a second acquisition half way between",
            dicom(FEW, beside(FEW + np.int16(9), **HALF_WAY)),
            "W_MULTI_ACQUISITION",
            same,
        ),
        ("nothing parts them", dicom(FEW, beside(FEW + np.int16(9))), "Q_DUPLICATE_SLICES", None),
    ],
    "several series, localizer, secondary capture, dose report in one folder": [
        ("localizer in the same series", dicom(FEW, beside(FEW[:2], **SCOUT)), "W_SERIES_CHOSEN", same),
        ("projections of many slices", dicom(FEW, beside(FEW, change=MIP)), "W_SERIES_CHOSEN", same),
        ("secondary capture", dicom(FEW, beside(FEW[:2], change=CAPTURE)), "W_SERIES_CHOSEN", same),
        ("dose report", dicom(FEW, beside(FEW[:1], change=DOSE)), "W_SERIES_CHOSEN", same),
        (
            "a shorter series",
            dicom(HU, beside(HU[:20], change=every(SeriesInstanceUID=OTHER))),
            "W_SERIES_CHOSEN",
            same,
        ),
    ],
    "order of files, InstanceNumber unrelated to z": [
        ("always so in these tests", dicom(HU), "", same),
        ("no InstanceNumber", dicom(change=every(InstanceNumber=None)), "", same),
    ],
    "non-uniform spacing": [
        (
            "up to a factor of 2",
            dicom(FEW[:8], positions=at([0, 2, 4.1, 6.6, 8.2, 10, 12.5, 14])),
            "W_NONUNIFORM",
            None,
        ),
        ("more", dicom(FEW[:8], positions=at([0, 1, 2, 3, 4, 6.6, 9.1, 11.7])), "Q_NONUNIFORM_SPACING", None),
    ],
    "gantry tilt": [
        ("12 degrees", dicom(**tilted(12)), "W_TILT", None),
        ("50 degrees", dicom(**tilted(50)), "Q_BAD_TILT", None),
    ],
    "position, orientation or PixelSpacing missing, or changing within the series": [
        ("no position", dicom(change=every(ImagePositionPatient=None)), "Q_NO_GEOMETRY", None),
        ("no orientation", dicom(change=every(ImageOrientationPatient=None)), "Q_NO_GEOMETRY", None),
        ("no PixelSpacing", dicom(change=every(PixelSpacing=None)), "Q_NO_GEOMETRY", None),
        (
            "no position at one end",
            dicom(HU, change=only([59], every(ImagePositionPatient=None))),
            "W_SLICES_DROPPED",
            None,
        ),
        (
            "no position in the middle",
            dicom(HU, change=only([30], every(ImagePositionPatient=None))),
            "W_SLICES_DROPPED W_GAP_FILLED",
            None,
        ),
        (
            "half of the slices stand across",
            dicom(HU, change=only(range(30), every(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]))),
            "Q_NO_GEOMETRY",
            None,
        ),
        (
            "no position in half",
            dicom(HU, change=only(range(30), every(ImagePositionPatient=None))),
            "Q_NO_GEOMETRY",
            None,
        ),
        ("another spacing in half", dicom(change=only(range(6), every(PixelSpacing=[1, 1]))), "Q_NO_GEOMETRY", None),
        ("another tilt in half", dicom(change=TILTED_HALF), "Q_NO_GEOMETRY", None),
        (".mhd without spacing", mhd(ElementSpacing=None), "Q_NO_GEOMETRY", None),
        (".mhd without position", mhd(Offset=None), "Q_NO_GEOMETRY", None),
        ("NIfTI without sform and qform", nifti(sform_code=0, qform_code=0), "Q_NO_GEOMETRY", None),
        (
            "NIfTI whose qform turns neither way",
            nifti(sform_code=0, pixdim=[1.5, 1.7, 2.1, 2.5, 0, 0, 0, 0]),
            "Q_NO_GEOMETRY",
            None,
        ),
        (
            "NIfTI whose pixdim and sform differ",
            nifti(qform_code=0, pixdim=[1, 1, 1, 1, 0, 0, 0, 0]),
            "Q_NO_GEOMETRY",
            None,
        ),
        ("MetaImage at the other end of the world", mhd(FEW, Offset="1e300 0 0"), "Q_NO_GEOMETRY", None),
        ("NIfTI with the qform alone", nifti(sform_code=0), "", same),
        ("NIfTI whose sform and qform differ", nifti(srow_x=[-1.7, 0, 0, 60]), "Q_NO_GEOMETRY", None),
        ("NIfTI in metres", nifti(xyzt_units=1), "Q_NO_GEOMETRY", None),
        ("NIfTI in micrometres", nifti(xyzt_units=3), "Q_NO_GEOMETRY", None),
        ("NIfTI that does not name its unit", nifti(xyzt_units=0), "", same),
    ],
    "SliceThickness": [
        ("99 mm, as always in these tests", dicom(), "", same),
        ("none", dicom(change=every(SliceThickness=None)), "", same),
    ],
    "rescale missing / varying / nan, inf, 0": [
        ("missing, and the values are HU", dicom(change=LOW_EVEN), "W_ASSUMED_HU", same),
        ("missing, and they are not", dicom(change=RAW_EVEN), "Q_NO_RESCALE", None),
        ("missing in one slice", dicom(change=only([4], every(RescaleSlope=None))), "Q_NO_RESCALE", None),
        (
            "another one in each slice",
            dicom(
                change=lambda k, d: (
                    pixels(FEW.astype(np.int32) * 2 + 2048 + k, RescaleSlope=0.5)(k, d)
                    or setattr(d, "RescaleIntercept", -1024 - k / 2)
                )
            ),
            "",
            same,
        ),
        ("nan", dicom(change=every(RescaleSlope="nan")), "Q_BAD_RESCALE", None),
        ("inf", dicom(change=only([4], every(RescaleIntercept="inf"))), "Q_BAD_RESCALE", None),
        ("0", dicom(change=every(RescaleSlope=0)), "Q_BAD_RESCALE", None),
        ("NIfTI: scl_slope", nifti((FEW + 1024) * np.int16(2), scl_slope=0.5, scl_inter=-1024), "", same),
        ("NIfTI: scl_slope 0, which means none", nifti(scl_slope=0, scl_inter=7), "", same),
        ("NIfTI: scl_slope nan", nifti(scl_slope=np.nan, scl_inter=np.nan), "Q_BAD_RESCALE", None),
        ("NIfTI: scl_inter inf", nifti(scl_inter=np.inf), "Q_BAD_RESCALE", None),
        ("NIfTI: scl_slope negative", nifti(scl_slope=-1), "Q_BAD_RESCALE", None),
    ],
    "padding -2000, -3024, -1500, wrong PixelPaddingValue": [
        ("DICOM", dicom(padded(-2000, -3024, -1500)), "", padded(-1024, -1024, -1024)),
        (".mhd", mhd(padded(-2000, -3024, -1500)), "", padded(-1024, -1024, -1024)),
        ("NIfTI", nifti(padded(-2000, -3024, -1500)), "", padded(-1024, -1024, -1024)),
        ("a PixelPaddingValue that tissue has", dicom(change=every(PixelPaddingValue=1064)), "", same),
        (
            "a PixelPaddingValue above all tissue",
            dicom(padded(9000), change=every(PixelPaddingValue=10024)),
            "",
            padded(-1024),
        ),
    ],
    "signed/unsigned, 12 of 16 bits, big endian": [
        ("unsigned", dicom(change=pixels(STORED, "<u2", PixelRepresentation=0)), "", same),
        ("12 of 16 bits", dicom(change=every(BitsStored=12, HighBit=11)), "", same),
        (
            "12 of 16 bits, signed, the rest empty",
            dicom(change=pixels(FEW.astype(int) & 0x0FFF, "<u2", BitsStored=12, HighBit=11, RescaleIntercept=0)),
            "",
            same,
        ),
        (
            "12 of 16 bits with an overlay above them",
            dicom(change=pixels(STORED | 0x8000, "<u2", BitsStored=12, HighBit=11, PixelRepresentation=0)),
            "",
            same,
        ),
        ("MONOCHROME1: display only", dicom(change=every(PhotometricInterpretation="MONOCHROME1")), "", same),
        ("big endian DICOM", dicom(change=big_endian), "", same),
        ("big endian .mhd", mhd(FEW.astype(">i2"), BinaryDataByteOrderMSB="True"), "", same),
        ("big endian NIfTI", nifti(endian=">"), "", same),
    ],
    "transfer syntaxes": [
        ("RLE", dicom(FEW, rewritten(compressed_as(RLELossless))), "", same),
        ("JPEG-LS, lossless", dicom(FEW, rewritten(compressed_as(JPEGLSLossless))), "", same),
        ("JPEG 2000, lossless", dicom(FEW, rewritten(compressed_as(JPEG2000Lossless))), "", same),
        (
            "JPEG 2000, which may be lossy",
            dicom(FEW, rewritten(compressed_as(JPEG2000Lossless, False))),
            "W_LOSSY",
            same,
        ),
        ("lossy before it was stored", dicom(change=every(LossyImageCompression="01")), "W_LOSSY", same),
        ("MPEG", dicom(FEW, rewritten(mpeg)), "Q_UNSUPPORTED_SYNTAX", None),
    ],
    "enhanced multi-frame CT": [
        ("geometry and rescale of each frame", enhanced(), "", same),
        ("compressed", enhanced(FEW, rewritten(compressed_as(RLELossless))), "", same),
        ("compressed as JPEG 2000", enhanced(FEW, rewritten(compressed_as(JPEG2000Lossless))), "", same),
        ("a frame is missing", enhanced(HU[np.r_[0:30, 31:60]], change_frame=raised_from(30)), "W_GAP_FILLED", None),
        ("a frame without position", enhanced(change_frame=drop("PlanePositionSequence")), "Q_ENHANCED_CT", None),
        (
            "no orientation",
            enhanced(change=lambda d: d.SharedFunctionalGroupsSequence[0].__delattr__("PlaneOrientationSequence")),
            "Q_ENHANCED_CT",
            None,
        ),
        (
            "no spacing",
            enhanced(change=lambda d: d.__delattr__("SharedFunctionalGroupsSequence")),
            "Q_ENHANCED_CT",
            None,
        ),
        (
            "no frames' groups",
            enhanced(change=lambda d: d.__delattr__("PerFrameFunctionalGroupsSequence")),
            "Q_ENHANCED_CT",
            None,
        ),
        (
            "another number of frames",
            enhanced(change=lambda d: setattr(d, "NumberOfFrames", 11)),
            "Q_ENHANCED_CT",
            None,
        ),
        (
            "a frame without rescale",
            enhanced(change_frame=drop("PixelValueTransformationSequence")),
            "Q_NO_RESCALE",
            None,
        ),
        (
            "pixels cut off",
            enhanced(FEW, lambda f: bytes_of(lambda b: b[:-900])(f / "all.dcm")),
            "Q_DAMAGED_SLICES",
            None,
        ),
        ("many frames in a classic file", dicom(FEW[:1], change=every(NumberOfFrames=20)), "Q_ENHANCED_CT", None),
    ],
    "truncated, empty or header-only files; Thumbs.db, DICOMDIR, text": [
        ("pixels cut off in one", dicom(HU, files(1, bytes_of(lambda b: b[:-90]))), "W_DAMAGED_SLICES", None),
        ("cut off in the header", dicom(HU, files(1, bytes_of(lambda b: b[:300]))), "W_DAMAGED_SLICES", None),
        ("one is empty", dicom(HU, files(1, bytes_of(lambda b: b""))), "W_DAMAGED_SLICES", None),
        ("half are empty", dicom(HU, files(30, bytes_of(lambda b: b""))), "Q_DAMAGED_SLICES", None),
        ("header only", dicom(HU, change=only([59], every(PixelData=None))), "W_DAMAGED_SLICES", None),
        ("all header only", dicom(HU, change=every(PixelData=None)), "Q_DAMAGED_SLICES", None),
        ("Thumbs.db and text", dicom(FEW, extra("Thumbs.db"), extra("read me.txt")), "W_FILES_SKIPPED", same),
        ("a link to itself", dicom(FEW, lambda folder: (folder / "a").symlink_to("a")), "", same),
        ("DICOMDIR is not followed", dicom(FEW, extra("DICOMDIR", b"\0" * 128 + b"DICM")), "W_FILES_SKIPPED", same),
        ("no mark of DICOM: never forced", dicom(FEW, files(12, bytes_of(lambda b: b[132:]))), "Q_NO_CT_SERIES", None),
        ("NIfTI cut off", nifti(cut=slice(0, -300)), "Q_BAD_NIFTI", None),
        ("NIfTI without its last checksum", nifti(cut=slice(0, -3)), "Q_BAD_NIFTI", None),
        ("NIfTI with a wrong checksum", nifti(flip_bit=-60), "Q_BAD_NIFTI", None),
        ("plain NIfTI cut off", nifti(name="a.nii", cut=slice(0, -2)), "Q_BAD_NIFTI", None),
        ("NIfTI header of two files", nifti(magic=b"ni1"), "Q_BAD_NIFTI", None),
        ("a pipe instead of a file", lambda folder: (pipe(folder / "a.nii"), "nifti"), "Q_UNREADABLE", None),
        ("pixels in a link to itself", mhd(FEW, link_to_itself), "Q_BAD_MHD", None),
        ("NIfTI of two volumes", nifti(dim=[4, 40, 34, 6, 2, 1, 1, 1]), "Q_BAD_NIFTI", None),
        ("NIfTI of one volume in four dimensions", nifti(dim=[4, 40, 34, 12, 1, 1, 1, 1]), "", same),
        ("empty NIfTI", nifti(cut=slice(0, 0)), "Q_BAD_NIFTI", None),
    ],
    "flipped, oblique, prone, feet first": [
        ("prone", dicom(FEW[:, ::-1, ::-1], orientation=(-1, 0, 0, 0, -1, 0), origin=(35.3, 27.3, 13)), "", same),
        (
            "feet first",
            dicom(FEW[::-1, :, ::-1], orientation=(-1, 0, 0, 0, 1, 0), origin=(35.3, -42, 40.5)),
            "",
            same,
        ),
        ("PatientPosition says nothing", dicom(change=every(PatientPosition="FFP")), "", same),
        (
            ".mhd, flipped as in LUNA16",
            mhd(np.ascontiguousarray(FEW[:, ::-1, ::-1]), TransformMatrix="-1 0 0 0 -1 0 0 0 1", Offset="35.3 27.3 13"),
            "",
            same,
        ),
    ],
    ".mhd: path escape, wrong size, truncated, bomb, bad spacing or matrix": [
        ("compressed, whole", as_zraw(), "", same),
        ("path escape", mhd(ElementDataFile="../a.raw"), "Q_BAD_MHD", None),
        ("absolute path", mhd(ElementDataFile="/dev/zero"), "Q_BAD_MHD", None),
        ("no data file", mhd(FEW, lambda folder: (folder / "a.raw").unlink()), "Q_BAD_MHD", None),
        ("wrong size", mhd(DimSize="40 34 11"), "Q_BAD_MHD", None),
        ("truncated", as_zraw(lambda b: b[:-9]), "Q_BAD_MHD", None),
        ("without its last checksum", as_zraw(lambda b: b[:-1]), "Q_BAD_MHD", None),
        ("a flipped bit", as_zraw(lambda b: b[:-1] + bytes([b[-1] ^ 1])), "Q_BAD_MHD", None),
        ("bomb", as_zraw(lambda b: zlib.compress(bytes(1 << 24))), "Q_BAD_MHD", None),
        ("huge", mhd(DimSize="2000 2000 4000"), "Q_LIMIT", None),
        ("spacing nan", mhd(ElementSpacing="nan 1 1"), "Q_BAD_SPACING", None),
        ("spacing 0", mhd(ElementSpacing="0 1 1"), "Q_BAD_SPACING", None),
        ("spacing of metres", mhd(ElementSpacing="0.0017 0.0021 0.0025"), "Q_BAD_SPACING", None),
        ("matrix of zeros", mhd(TransformMatrix="0 0 0 0 0 0 0 0 0"), "Q_BAD_DIRECTION", None),
        ("matrix with a shear", mhd(TransformMatrix="1 0 0 0.6 0.8 0 0 0 1"), "Q_BAD_DIRECTION", None),
    ],
    "not a chest, air only, constant, non-finite, huge": [
        ("a head", mhd(HEAD), "Q_NOT_CHEST_CT", None),
        ("air only", dicom(np.minimum(FEW, -900)), "Q_NOT_CHEST_CT", None),
        ("inverted grey values", mhd((2047 - FEW).astype(np.int16)), "Q_NOT_CHEST_CT", None),
        ("constant", nifti(GREY), "Q_BAD_VOXELS", None),
        ("nan in .mhd", mhd(with_nan(), ElementType="MET_FLOAT"), "Q_BAD_VOXELS", None),
        ("nan in NIfTI", nifti(with_nan()), "Q_BAD_VOXELS", None),
        ("huge NIfTI", nifti(dim=[3, 2000, 2000, 4000, 1, 1, 1, 1]), "Q_LIMIT", None),
        ("huge DICOM", dicom(change=every(Rows=60000)), "Q_LIMIT", None),
    ],
}


CASES = [(row, *case) for row, cases in CONTRACT.items() for case in cases]


@pytest.mark.parametrize(("row", "what", "make", "flags", "voxels"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_bad_input_is_used_with_a_warning_or_named(tmp_path, row, what, make, flags, voxels):
    raw, source = make(tmp_path)
    ingest.run(raw, tmp_path / "out.h5", source=source)
    header = hdf5.read_header(tmp_path / "out.h5")
    assert " ".join(flag.flag for flag in header.flags) == flags, header.flags
    if flags.startswith("Q_"):
        assert hdf5.field_names(tmp_path / "out.h5") == []
    if voxels is not None:
        ct = hdf5.read_volume(tmp_path / "out.h5", "ct")
        np.testing.assert_array_equal(ct.array, HU[: len(ct.array)] if voxels is same else voxels)
        np.testing.assert_allclose(ct.affine, AFFINE, atol=1e-4)
