"""Inputs as people have them, kinds by variations: what is valid is read to the last voxel, all else is named."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import hdf5plugin
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.encaps import encapsulate

from lungline.errors import Quarantine
from lungline.imaging.geometry import spacing_zyx_mm
from lungline.readers.scan import raw_files, read_scan
from scans import chest, write_dicom, write_mhd, write_nifti

HU = chest()
SLICES, ROWS, COLUMNS = HU.shape
SPACING_ZYX = (2.5, 2.1, 1.7)  # of all writers
READ = "read"
AROUND = HU.copy()  # round field of view: what lies outside is air
_j, _i = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
OUTSIDE = ((_j - ROWS / 2) / (ROWS / 2)) ** 2 + ((_i - COLUMNS / 2) / (COLUMNS / 2)) ** 2 > 1
AROUND[:, OUTSIDE] = -1024


# ---- MetaImage ------------------------------------------------------------------------------------------------


def mhd(**changes: str | None) -> Callable[[Path], Path]:
    return lambda folder: write_mhd(folder / "a.mhd", HU, **changes)


def header_edited(edit: Callable[[str], str], **changes: str | None) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write_mhd(folder / "a.mhd", HU, **changes)
        path.write_text(edit(path.read_text()))
        return path

    return build


def before_data(lines: str) -> Callable[[Path], Path]:
    """Further lines before the one that ends the header."""
    return header_edited(lambda text: text.replace("ElementDataFile", f"{lines}\nElementDataFile"))


def by_simpleitk(name: str, *, packed: bool = False, **keys: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        image = sitk.GetImageFromArray(HU)
        image.SetSpacing(SPACING_ZYX[::-1])
        for key, value in keys.items():
            image.SetMetaData(key, value)
        sitk.WriteImage(image, str(folder / name), useCompression=packed)
        return folder / name

    return build


def in_slices(
    data: str, names: Callable[[int], str], *, packed: bool = False, listed: Sequence[str] = ()
) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write_mhd(folder / "a.mhd", HU, ElementDataFile=data, CompressedData=str(packed))
        with open(path, "a") as header:
            header.writelines(f"{name}\n" for name in listed)
        for k, plane in enumerate(HU):
            raw = plane.tobytes()
            (folder / names(k)).write_bytes(zlib.compress(raw) if packed else raw)
        return path

    return build


def with_nan(where: np.ndarray) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        values = HU.astype("f4")
        values[..., where] = np.nan
        return write_mhd(folder / "a.mhd", values, ElementType="MET_FLOAT")

    return build


MIDDLE = np.zeros((ROWS, COLUMNS), dtype=bool)
MIDDLE[ROWS // 2, COLUMNS // 2] = True
DICOM_KEYS = {
    "0008|0060": "CT",
    "0010|0010": "Test^Only",
    "0020|0032": "1\\2\\3",
    "0028|0030": "4\\4",
    "0028|1053": "2",
}
META = {
    "keys of SimpleITK": (by_simpleitk("a.mha", **DICOM_KEYS), READ),
    "keys of SimpleITK, packed": (by_simpleitk("a.mhd", packed=True, **DICOM_KEYS), READ),
    "a value of several lines": (by_simpleitk("a.mha", **{"0010|4000": "first\nsecond"}), READ),
    "a value in Latin-1": (
        lambda folder: _bytes(
            write_mhd(folder / "a.mhd", HU, Comment="@"), lambda raw: raw.replace(b"@", b"M\xfcller")
        ),
        READ,
    ),
    "keys of grand-challenge": (mhd(PatientSex="F", SliceThickness="99.0", StudyDate="20200101"), READ),
    "keys of elastix": (mhd(ITK_InputFilterName="MetaImageIO", TransformType="Euler", ElementSize="9 9 9"), READ),
    "a hundred keys": (before_data("\n".join(f"0029|10{k:02d} = {'x' * 200}" for k in range(100))), READ),
    "a colon for the equals sign": (before_data("Vendor: Acme"), READ),
    "flags in small letters": (mhd(BinaryData="true", CompressedData="false", BinaryDataByteOrderMSB="0"), READ),
    "a CT by its word": (mhd(Modality="MET_MOD_CT", DistanceUnits="mm"), READ),
    "an unknown modality": (mhd(Modality="MET_MOD_UNKNOWN", DistanceUnits="?"), READ),
    "an MR": (mhd(Modality="MET_MOD_MR"), "Q_NO_CT_SERIES: Modality is MR, not CT"),
    "an MR, in DICOM's words": (before_data("0008|0060 = MR"), "Q_NO_CT_SERIES: 0008|0060 is MR, not CT"),
    "an iodine map": (before_data("0028|1054 = MGML"), "Q_NO_CT_SERIES: 0028|1054 (RescaleType) is not HU"),
    "centimetres": (mhd(DistanceUnits="cm"), "Q_BAD_SPACING: DistanceUnits are centimetres, not mm"),
    "micrometres": (mhd(DistanceUnits="um"), "Q_BAD_SPACING: DistanceUnits are micrometres, not mm"),
    "two byte orders that agree": (mhd(ElementByteOrderMSB="False"), READ),
    "two byte orders that contradict": (
        mhd(ElementByteOrderMSB="True"),
        "Q_BAD_MHD: BinaryDataByteOrderMSB and ElementByteOrderMSB contradict one another",
    ),
    "intensities scaled by 1": (mhd(ElementToIntensityFunctionSlope="1", ElementToIntensityFunctionOffset="0.0"), READ),
    "intensities scaled by 2": (mhd(ElementToIntensityFunctionSlope="2"), "Q_BAD_MHD: ElementToIntensityFunctionSlope"),
    "the same offset in two words": (mhd(Position="-31 -42 13"), READ),
    "two offsets": (mhd(Position="-31 -42 14"), "Q_NO_GEOMETRY: Offset and Position contradict one another"),
    "a key that is nearly one": (
        mhd(elementspacing="1 1 1"),
        "Q_BAD_MHD: line 13 of the header holds a key that is near",
    ),
    "a LIST": (in_slices("LIST", "s{:03d}".format, listed=[f"s{k:03d}" for k in range(SLICES)]), READ),
    "a LIST 2D, packed": (
        in_slices("LIST 2D", "s{:03d}.zraw".format, packed=True, listed=[f"s{k:03d}.zraw" for k in range(SLICES)]),
        READ,
    ),
    "a LIST with blank lines": (
        in_slices("LIST", "s{}.raw".format, listed=["", *(f"s{k}.raw" for k in range(SLICES)), ""]),
        READ,
    ),
    "a LIST that lacks a slice": (
        in_slices("LIST", "s{}.raw".format, listed=[f"s{k}.raw" for k in range(SLICES - 1)]),
        f"Q_BAD_MHD: ElementDataFile names {SLICES - 1} files for {SLICES} slices",
    ),
    "a LIST that names a slice twice": (
        in_slices("LIST", "s{}.raw".format, listed=[f"s{max(k, 1)}.raw" for k in range(SLICES)]),
        "Q_BAD_MHD: ElementDataFile names a file twice",
    ),
    "a LIST of volumes": (in_slices("LIST 3D", "s{}".format, listed=["a.raw"]), "Q_BAD_MHD: a LIST of files is read"),
    "a LIST of one file with all slices": (
        in_slices("LIST", "s{}.raw".format, listed=["a.raw"]),
        f"Q_BAD_MHD: ElementDataFile names 1 files for {SLICES} slices",
    ),
    "a LIST that leads out": (
        in_slices("LIST", "s{}.raw".format, listed=["../s0.raw"] * SLICES),
        "Q_BAD_MHD: ElementDataFile is not a plain file name",
    ),
    "a pattern": (in_slices(f"s%03d.raw 1 {SLICES} 1", lambda k: f"s{k + 1:03d}.raw"), READ),
    "a pattern without numbers": (in_slices("s%d.raw", lambda k: f"s{k + 1}.raw"), READ),
    "a pattern in steps": (in_slices(f"s%02d.raw 0 {3 * SLICES - 1} 3", lambda k: f"s{3 * k:02d}.raw"), READ),
    "pixels behind a header of their own": (
        lambda folder: _with_junk(write_mhd(folder / "a.mhd", HU, HeaderSize="7")),
        READ,
    ),
    "pixels at the end of their file": (
        lambda folder: _with_junk(write_mhd(folder / "a.mhd", HU, HeaderSize="-1")),
        READ,
    ),
    "NaN around a round field": (with_nan(OUTSIDE), "around"),
    "NaN within the field": (with_nan(MIDDLE), "Q_BAD_VOXELS: the image holds values that are not finite"),
}


def _bytes(path: Path, edit: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(edit(path.read_bytes()))
    return path


def _with_junk(path: Path) -> Path:
    _bytes(path.with_suffix(".raw"), lambda raw: b"7 bytes" + raw)
    return path


# ---- NIfTI ----------------------------------------------------------------------------------------------------


def nifti(name: str = "a.nii.gz", **changes: object) -> Callable[[Path], Path]:
    return lambda folder: write_nifti(folder / name, HU, **changes)  # type: ignore[arg-type]


def by_nibabel(kind: type, name: str, values: np.ndarray = HU) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        image = kind(values.transpose(2, 1, 0), np.diag([-1.7, -2.1, 2.5, 1]))
        if hasattr(image.header, "set_xyzt_units"):
            image.header.set_xyzt_units("mm")
        nibabel.save(image, folder / name)
        return next(folder.glob(f"{name.partition('.')[0]}.[hn]*"))

    return build


def renamed(build: Callable[[Path], Path], name: Callable[[str], str]) -> Callable[[Path], Path]:
    def done(folder: Path) -> Path:
        path = build(folder)
        for file in list(folder.iterdir()):
            file.rename(folder / name(file.name))
        return folder / name(path.name)

    return done


NIFTI = {
    "a slope that is NaN": (nifti(scl_slope=np.nan, scl_inter=np.nan), READ),
    "a slope that is NaN, unpacked": (nifti("a.nii", scl_slope=np.nan), READ),
    "an intercept without a slope": (
        nifti(scl_slope=np.nan, scl_inter=-1024),
        "Q_BAD_RESCALE: scl_inter is -1024 beside a scl_slope that is no number",
    ),
    "a slope of 0": (nifti(scl_slope=0, scl_inter=7), READ),
    "an intercept that is NaN": (nifti(scl_inter=np.nan), "Q_BAD_RESCALE: scl_inter is nan beside scl_slope 1"),
    "a negative spacing": (
        nifti(pixdim=(1, -2, 2, 2, 0, 0, 0, 0)),
        "Q_BAD_NIFTI: the header is not valid: pixdim[1,2,3] should be positive",
    ),
    **{
        f"{count} dimensions": (
            nifti("a.nii", dim=(count, COLUMNS, ROWS, SLICES, 1, 1, 1, 1)),
            f"Q_BAD_NIFTI: dim[0], the number of dimensions, is {count}; expected 3 to 7",
        )
        for count in (0, 2, 9, -1)
    },
    "a type that is none": (nifti(datatype=999), "Q_BAD_NIFTI: the header is not valid: data code 999 not recognized"),
    "a slope that is infinite": (nifti(scl_slope=np.inf), "Q_BAD_RESCALE: scl_slope is inf"),
    "NIfTI-2": (by_nibabel(nibabel.Nifti2Image, "a.nii"), READ),
    "NIfTI-2, packed": (by_nibabel(nibabel.Nifti2Image, "a.nii.gz"), READ),
    "NIfTI-2, cut": (
        lambda folder: _bytes(by_nibabel(nibabel.Nifti2Image, "a.nii")(folder), lambda raw: raw[:-2]),
        "Q_BAD_NIFTI: the file holds",
    ),
    "a pair": (by_nibabel(nibabel.Nifti1Pair, "a.img"), READ),
    "a pair, packed": (by_nibabel(nibabel.Nifti1Pair, "a.img.gz"), READ),
    "a pair of NIfTI-2": (by_nibabel(nibabel.Nifti2Pair, "a.img"), READ),
    "a pair in capitals": (renamed(by_nibabel(nibabel.Nifti1Pair, "a.img"), str.upper), READ),
    "half a pair": (
        lambda folder: _without(by_nibabel(nibabel.Nifti1Pair, "a.img")(folder), ".img"),
        "Q_BAD_NIFTI: the header says that the voxels lie in an .img beside it, and there is none",
    ),
    "Analyze": (by_nibabel(nibabel.Spm2AnalyzeImage, "a.img"), "Q_BAD_NIFTI: the header carries no mark of NIfTI"),
    "bytes behind the end": (
        lambda folder: _bytes(write_nifti(folder / "a.nii", HU), lambda raw: raw + b"more"),
        "Q_BAD_NIFTI: there are more bytes than the header announces",
    ),
    "metres": (nifti(xyzt_units=1), "Q_NO_GEOMETRY: the unit of length (xyzt_units) is metres, not mm"),
    "micrometres": (nifti(xyzt_units=3), "Q_NO_GEOMETRY: the unit of length (xyzt_units) is micrometres, not mm"),
    "mm and seconds": (nifti(xyzt_units=10), READ),
    "NaN around a round field": (
        by_nibabel(nibabel.Nifti1Image, "a.nii.gz", np.where(AROUND == -1024, np.nan, HU).astype("f4")),
        "around",
    ),
    "one volume of a time series": (nifti(dim=(4, COLUMNS, ROWS, SLICES, 1, 1, 1, 1)), READ),
}


def _without(path: Path, suffix: str) -> Path:
    path.with_suffix(suffix).unlink()
    return path


# ---- DICOM ----------------------------------------------------------------------------------------------------


def dicom(
    change: Callable[[int, pydicom.Dataset], object] | None = None, after: Callable[[Path], object] | None = None
) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write_dicom(folder / "series", HU, change=change)
        for file in sorted(path.iterdir()) if after else ():
            after(file)  # type: ignore[misc]
        return path

    return build


def cut_preamble(file: Path) -> None:
    file.write_bytes(file.read_bytes()[132:])


def without_file_elements(implicit: bool, little: bool = True) -> Callable[[Path], None]:
    def rewrite(file: Path) -> None:
        dataset = pydicom.dcmread(file)
        del dataset.file_meta
        dataset.preamble = None
        if not little:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        pydicom.dcmwrite(file, dataset, implicit_vr=implicit, little_endian=little)
        assert file.read_bytes()[128:132] != b"DICM"

    return rewrite


def as_htj2k(syntax: str) -> Callable[[int, pydicom.Dataset], None]:
    def change(_: int, dataset: pydicom.Dataset) -> None:
        plane = np.frombuffer(dataset.PixelData, "<u2").reshape(ROWS, COLUMNS)
        with h5py.File(io.BytesIO(), "w") as file:  # the filter writes a plain code stream
            stored = file.create_dataset("x", data=plane, chunks=plane.shape, **hdf5plugin.Htj2k())
            stream = stored.id.read_direct_chunk((0, 0))[1]
        dataset.PixelRepresentation = 0
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = syntax

    return change


def padded(value: int, limit: int | None, filled: int, mask: np.ndarray) -> Callable[[int, pydicom.Dataset], None]:
    """PixelPaddingValue and its range, and what stands in the picture there; stored values, HU + 1024."""

    def change(_: int, dataset: pydicom.Dataset) -> None:
        plane = np.frombuffer(dataset.PixelData, "<i2").reshape(ROWS, COLUMNS).copy()
        plane[mask] = filled
        dataset.PixelData = plane.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", value)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS", limit)

    return change


DICOM = {
    "no preamble": (dicom(after=cut_preamble), READ),
    "no preamble, no suffix": (dicom(after=lambda f: (cut_preamble(f), f.rename(f.with_suffix("")))), READ),
    "no elements of the file, implicit": (dicom(after=without_file_elements(True)), READ),
    "no elements of the file, explicit": (dicom(after=without_file_elements(False)), READ),
    "no elements of the file, big endian": (dicom(after=without_file_elements(False, little=False)), READ),
    "HTJ2K, lossless": (dicom(as_htj2k("1.2.840.10008.1.2.4.201")), READ),
    "HTJ2K, by resolution": (dicom(as_htj2k("1.2.840.10008.1.2.4.202")), READ),
    "HTJ2K, maybe lossy": (dicom(as_htj2k("1.2.840.10008.1.2.4.203")), READ),
    "a film": (
        dicom(as_htj2k("1.2.840.10008.1.2.4.102")),
        "Q_UNSUPPORTED_SYNTAX",
    ),
    "a range of padding above all HU": (dicom(padded(5000, 5100, 5050, OUTSIDE)), "around"),
    "a range of padding that is metal": (dicom(padded(3900, 4095, 4000, OUTSIDE)), "around"),
    "a range of padding at 86 to 96 HU": (dicom(padded(1110, 1120, 1119, OUTSIDE)), "around"),
    "a range of padding, its ends turned round": (dicom(padded(5100, 5000, 5050, OUTSIDE)), "around"),
    "a range of padding in the middle of the body": (dicom(padded(1064, 1064, 1064, MIDDLE)), "tissue"),
    "a padding value alone": (dicom(padded(-2000, None, -2000, OUTSIDE)), "around"),
}

KINDS = {"mhd": META, "nifti": NIFTI, "dicom": DICOM}
CASES = [(source, name, *case) for source, cases in KINDS.items() for name, case in cases.items()]


@pytest.mark.parametrize(("source", "name", "build", "expected"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_what_the_format_allows_is_read_and_all_else_is_named(source, name, build, expected, tmp_path) -> None:
    path = build(tmp_path)
    if expected in (READ, "around", "tissue"):
        ct, _ = read_scan(path, source)
        tissue = np.where(MIDDLE, np.int16(40), HU)
        np.testing.assert_array_equal(ct.array, {READ: HU, "around": AROUND, "tissue": tissue}[expected])
        np.testing.assert_allclose(spacing_zyx_mm(ct.affine), SPACING_ZYX, rtol=1e-6)
        assert len(raw_files(path, source)) == len([file for file in _scan_files(path) if file.is_file()])
    else:
        with pytest.raises(Quarantine) as caught:
            read_scan(path, source)
        assert str(caught.value).startswith(expected)


def _scan_files(path: Path) -> list[Path]:
    """All files of the folder that the case made, but the .raw beside a header whose pixels lie elsewhere."""
    files = list((path if path.is_dir() else path.parent).iterdir())
    spare = path.with_suffix(".raw")
    elsewhere = path.suffix == ".mhd" and "a.raw" not in path.read_text(errors="replace")
    return [file for file in files if not (elsewhere and file == spare)]
