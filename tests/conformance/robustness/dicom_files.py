"""Write the phantom as a folder of DICOM files, one per slice, sound or changed in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.conformance.robustness.analytic_phantom import Array, Grid, make_grid
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.judge import Expect, GroundTruth

CT = UID("1.2.840.10008.5.1.4.1.1.2")
ROOT = "1.2.826.0.1.3680043.10.9999"
INTERCEPT = -1024
Change = Callable[[int, Dataset], object]
Build = Callable[[Path], Path]
GRID = make_grid()
FINE = make_grid((120, 40, 48), (1.0, 2.1, 1.7))
ANSWER, REFUSE, EITHER = (GroundTruth(e, GRID) for e in ("answer", "refuse", "either"))
MIDDLE = 27
UIDS = {
    "secondary": "1.2.840.10008.5.1.4.1.1.7",
    "dose": "1.2.840.10008.5.1.4.1.1.88.67",
    "enhanced": "1.2.840.10008.5.1.4.1.1.2.1",
    "dicomdir": "1.2.840.10008.1.3.10",
    "mr": "1.2.840.10008.5.1.4.1.1.4",
    "pet": "1.2.840.10008.5.1.4.1.1.128",
    "state": "1.2.840.10008.5.1.4.1.1.11.1",
}


def datasets(
    grid: Grid, hu: NDArray | None = None, *, positions: Array | None = None, series: int = 1, acquisition: int = 1
) -> list[Dataset]:
    """One dataset a slice; positions (K, 3) are those of the grid if not given."""
    hu = grid.hu() if hu is None else hu
    axes = grid.affine[:3, :3] / grid.spacing_zyx_mm
    if positions is None:
        positions = grid.affine[:3, 3] + np.arange(len(hu))[:, None] * grid.affine[:3, 0]
    made = []
    for k, plane in enumerate(hu):
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID, ds.SOPInstanceUID = CT, UID(f"{ROOT}.{series}.{acquisition}.{k + 1}")
        ds.StudyInstanceUID, ds.SeriesInstanceUID = UID(f"{ROOT}.7"), UID(f"{ROOT}.8.{series}")
        ds.FrameOfReferenceUID = UID(f"{ROOT}.9")
        ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.StudyDate, ds.StudyTime, ds.SeriesDate = "20000101", "120000", "20000101"
        ds.PatientName, ds.PatientID, ds.Manufacturer = "Phantom", "phantom", "benchmark"
        ds.PatientPosition, ds.SeriesNumber, ds.AcquisitionNumber = "HFS", series, acquisition
        ds.InstanceNumber = k + 1
        ds.SliceThickness = f"{grid.spacing_zyx_mm[0]:.6g}"
        ds.ImagePositionPatient = [f"{p:.8g}" for p in positions[k]]
        ds.ImageOrientationPatient = [f"{c:.9f}" for c in (*axes[:, 2], *axes[:, 1])]
        ds.PixelSpacing = [f"{s:.8g}" for s in grid.spacing_zyx_mm[1:]]
        ds.Rows, ds.Columns = plane.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept = 1, INTERCEPT
        store(ds, plane.astype(np.int32) - INTERCEPT, np.int16)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = CT
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        made.append(ds)
    return made


def store(ds: Dataset, values: NDArray, dtype: type, stored_bits: int | None = None) -> None:
    """Put stored values (rows, columns) into a dataset."""
    kind = np.dtype(dtype)
    bits = kind.itemsize * 8
    ds.BitsAllocated, ds.BitsStored = bits, stored_bits or bits
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(kind.kind == "i")
    ds.PixelData = values.astype(kind.newbyteorder("<")).tobytes()
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"


def stored(ds: Dataset) -> NDArray:
    """The stored values (rows, columns) of a dataset made by `store`."""
    kind = f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}"
    return np.frombuffer(ds.PixelData, kind).reshape(ds.Rows, ds.Columns).astype(np.int64)


def strip_slice(ds: Dataset) -> None:
    """Take away what makes a picture per slice of a CT: place, spacing and rescale."""
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(ds, key)


def write_all(folder: Path, made: Sequence[Dataset | None], name: Callable[[int], str] | None = None) -> Path:
    """Write the datasets that are not None; names tell no order unless `name` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, ds in enumerate(made):
        if ds is not None:
            write_one(folder / (name(k) if name else f"{(k * 37 + 11) % 1009:04d}-{k % 7}.dcm"), ds)
    return folder


def write_one(path: Path, ds: Dataset) -> None:
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_private or not syntax.is_transfer_syntax:
        pydicom.dcmwrite(path, ds, implicit_vr=False, little_endian=True)
    else:
        pydicom.dcmwrite(path, ds, enforce_file_format=True)


def files(folder: Path) -> list[Path]:
    """The files of a folder in the order of their slices."""

    def place(path: Path) -> float:
        return float(pydicom.dcmread(path, specific_tags=["InstanceNumber"]).InstanceNumber)

    return sorted(folder.glob("*.dcm"), key=place)


def hu_of(grid: Grid) -> NDArray[np.int16]:
    """HU of GRID or FINE, drawn once."""
    return _drawn(grid is GRID)


@lru_cache(maxsize=2)
def _drawn(coarse: bool) -> NDArray[np.int16]:
    return (GRID if coarse else FINE).hu()


def sound(grid: Grid = GRID) -> list[Dataset]:
    return datasets(grid, hu_of(grid))


def case(kind: str, name: object, build: Build, ground_truth: GroundTruth) -> Case:
    return Case(kind, str(name), "dicom", build, ground_truth)


def changed(change: Change, grid: Grid = GRID) -> Build:
    """A sound series whose dataset k went through `change(k, dataset)`; False leaves the file out."""

    def build(folder: Path) -> Path:
        made: list[Dataset | None] = []
        for k, ds in enumerate(sound(grid)):
            made.append(None if change(k, ds) is False else ds)
        return write_all(folder / "scan", made)

    return build


def setting(which: Callable[[int], bool], **values: object) -> Build:
    """A sound series with some elements set, or deleted where the value is None, in some slices."""

    def change(k: int, ds: Dataset) -> None:
        for key, value in values.items() if which(k) else ():
            if value is None:
                delattr(ds, key)
            else:
                setattr(ds, key, value)

    return changed(change)


def raw_text(which: Callable[[int], bool], key: str, text: str) -> Build:
    """A sound series with the text of one element replaced as bytes, valid or not."""

    def change(k: int, ds: Dataset) -> None:
        if which(k):
            ds[key].VR = "LO"  # pydicom checks numbers, not words
            ds[key].value = text

    return changed(change)


def spoiled(spoil: Callable[[Path, bytes], bytes | None], some: Sequence[int]) -> Build:
    """A sound series, the bytes of some of its files replaced; None removes the file."""

    def build(folder: Path) -> Path:
        write_all(folder / "scan", sound(), lambda k: f"{k:03d}.dcm")
        for k in some:
            path = folder / "scan" / f"{k:03d}.dcm"
            blob = spoil(path, path.read_bytes())
            path.unlink()
            if blob is not None:
                path.write_bytes(blob)
        return folder / "scan"

    return build


def beside(add: Callable[[Path], object]) -> Build:
    """A sound series, and what `add` puts into its folder."""

    def build(folder: Path) -> Path:
        write_all(folder / "scan", sound())
        add(folder / "scan")
        return folder / "scan"

    return build


def everywhere(k: int) -> bool:
    return True


def at(*some: int) -> Callable[[int], bool]:
    return lambda k: k in some


def half(k: int) -> bool:
    return k >= 30


PLACES = {"one": at(MIDDLE), "three": at(5, 30, 31), "half": half, "all": everywhere}


def a_few_else(few: Expect, many: Expect, place: str) -> GroundTruth:
    """Slices that count as missing: one in sixty may be filled."""
    return GroundTruth(few if place == "one" else many, GRID)


def with_values(ds: Dataset, **values: object) -> Dataset:
    for key, value in values.items():
        setattr(ds, key, value)
    return ds


def compress(ds: Dataset, syntax: UID) -> Dataset:
    ds.compress(syntax, generate_instance_uid=False)
    return ds
