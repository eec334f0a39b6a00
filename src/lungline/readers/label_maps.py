"""Label maps of other programs: NIfTI, MetaImage, NRRD, DICOM SEG. They are foreign files, and read in a sandbox.

A NIfTI may name its labels in a header extension, as the multi-label files of TotalSegmentator do (a CaretExtension
with a LabelTable). Where it names lobes or lungs, names count, not numbers: its versions number the lobes otherwise.
"""

import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungline.errors import LunglineError, Quarantine, missing
from lungline.imaging.volume import Volume
from lungline.readers.by_format import reader_of
from lungline.readers.dicom_sniff import is_dicom
from lungline.readers.raw import RawImage, check_affine, check_size
from lungline.readers.sandbox import Answer, run_in_sandbox
from lungline.scan_formats import scan_suffix, source_of_name

_LARGEST = 255  # label; TotalSegmentator's go to 117
_HEADER_BYTES = 1 << 16
#: SNOMED CT codes of what a segment may be, with the label that it gets: that of lungmask's lobes, or of its lungs.
_LOBE_CODES = {"44714003": 1, "41224006": 2, "42400003": 3, "72481006": 4, "266005": 5}
_LUNG_CODES = {"3341006": 1, "44029006": 2}
#: Names in a NIfTI, with the label that each gets, in the same way.
_LOBE_NAMES = {
    b"lung_upper_lobe_left": 1,
    b"lung_lower_lobe_left": 2,
    b"lung_upper_lobe_right": 3,
    b"lung_middle_lobe_right": 4,
    b"lung_lower_lobe_right": 5,
}
_LUNG_NAMES = {b"lung_right": 1, b"lung_left": 2}
_NAMED = re.compile(
    rb'<Label\b[^>]{0,200}?\bKey="(\d{1,3})"[^>]{0,200}>\s{0,20}(?:<!\[CDATA\[)?([a-z_]{1,40})(?=\]\]>|<)'
)
_LUNG, _SIDE_CODES = "39607008", {"24028007": 1, "7771000": 2}


@dataclass(frozen=True)
class LabelMap:
    """A label map with axes in LPS order.

    `is_part` says that only the slices with a label are there, as in a DICOM SEG.
    """

    volume: Volume  # int16 (Z, Y, X), 0 to 255
    is_part: bool = False


def read_label_map(path: Path) -> LabelMap:
    """Read a label map by its suffix, or its first bytes where it is DICOM.

    The segments of a DICOM SEG are numbered by what their codes say they are: lobes 1 to 5 as lungmask does (left
    upper, left lower, right upper, right middle, right lower), or else lungs (1 right, 2 left). `LunglineError` for
    what is no label map; its words do not name the file.
    """
    stored, is_part = _read_apart(path, _LARGEST)
    return LabelMap(stored.to_lps(), is_part)


def read_stored_labels(path: Path) -> Volume:
    """The labels, int16, 0 to 32767, as the file orders its axes; errors as of `read_label_map`."""
    return _read_apart(path, np.iinfo(np.int16).max)[0]


def _read_apart(path: Path, largest: int) -> tuple[Volume, bool]:
    if not path.is_file():
        raise LunglineError("expected a file. There is none; check its name.")

    def work() -> Answer:
        labels, affine, is_part = _read(path, largest)
        return labels, (affine.tolist(), is_part)

    try:
        array, (affine, is_part) = run_in_sandbox(work)
    except Quarantine as reason:
        raise LunglineError(f"the file cannot be read ({reason.flag}: {reason.detail}). Export it again.") from None
    return Volume(array, affine), is_part


def _read(path: Path, largest: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Labels int16 [k, j, i], their affine (zyx to LPS), and whether slices without a label may lack."""
    if path.name.lower().endswith(".nrrd"):
        image = _read_nrrd(path)
    elif scan_suffix(path.name):
        image = reader_of(source_of_name(path.name)).read(path)[0]
        if largest == _LARGEST and (label_of := _labels_by_name(path)) is not None:
            labels = label_of[_whole(image.array, largest)]
            return labels, image.affine_ijk[:, [2, 1, 0, 3]], False
    elif is_dicom(path):
        return _read_seg(path)
    else:
        raise LunglineError("expected .nii, .nii.gz, .mha, .mhd, .nrrd or a DICOM SEG. Found another file.")
    return _whole(image.array, largest), image.affine_ijk[:, [2, 1, 0, 3]], False


def _labels_by_name(path: Path) -> np.ndarray | None:
    """What each number, 0 to 255, of a NIfTI stands for by the names in its header; None where none is of a lobe."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return None
    with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as handle:
        header = handle.read(_HEADER_BYTES)
    named = {int(number): name for number, name in _NAMED.findall(header[348:])}
    for known in (_LOBE_NAMES, _LUNG_NAMES):
        numbers = {number: known[name] for number, name in named.items() if name in known and number <= _LARGEST}
        if numbers:
            label_of = np.zeros(_LARGEST + 1, np.int16)
            label_of[list(numbers)] = list(numbers.values())
            return label_of
    return None


def _whole(array: np.ndarray, largest: int) -> np.ndarray:
    """The labels as int16; `LunglineError` where they are no whole numbers from 0 to `largest`."""
    labels = array.astype(np.int16)
    if not np.array_equal(labels, array) or labels.min() < 0 or labels.max() > largest:
        found = f"{array.min():g} to {array.max():g}"
        raise LunglineError(f"expected labels, whole numbers from 0 to {largest}. Found {found}: an image?")
    return labels


def _read_nrrd(path: Path) -> RawImage:
    import SimpleITK as sitk

    with open(path, "rb") as handle:
        header = handle.read(_HEADER_BYTES).partition(b"\n\n")[0].lower().replace(b"\r", b"")
    if not header.startswith(b"nrrd") or b"\ndata file:" in header or b"\ndatafile:" in header:
        raise LunglineError("expected an NRRD with its voxels in the same file. Save it anew as .nrrd.")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
            found = f"{reader.GetDimension()} axes, {reader.GetNumberOfComponents()} numbers a voxel"
            raise LunglineError(f"expected a label map of three axes. Found {found}: save one without overlaps.")
        columns, rows, slices = reader.GetSize()
        check_size(columns, rows, slices, bytes_per_voxel=8)
        image = reader.Execute()
    except RuntimeError:  # its words hold the path
        raise LunglineError("expected an NRRD. SimpleITK cannot read it; save it anew.") from None
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    check_affine(affine)
    return RawImage(sitk.GetArrayFromImage(image), affine)


def _read_seg(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    try:
        from highdicom.seg import segread
    except ModuleNotFoundError:
        raise LunglineError(missing("highdicom")) from None

    try:
        seg = segread(path)
        numbers = {int(one.SegmentNumber): _codes_of(one) for one in seg.SegmentSequence}
        volume = seg.get_volume(combine_segments=True, segment_numbers=list(numbers), dtype=np.int16)
    except Exception as error:  # of many kinds, and its words may quote the file
        found = type(error).__name__
        raise LunglineError(f"expected a DICOM SEG of one grid without overlaps. Not readable ({found}).") from None
    label_of = np.zeros(max(numbers) + 1, np.int16)
    for known in (_LOBE_CODES, _LUNG_CODES):
        for number, codes in numbers.items():
            label_of[number] = next((known[code] for code in codes if code in known), 0)
        if label_of.any():
            return label_of[volume.array], np.asarray(volume.affine), True
    for number, codes in numbers.items():
        sides = [_SIDE_CODES[code] for code in codes if code in _SIDE_CODES]
        label_of[number] = (sides or [1])[0] if _LUNG in codes else 0
    if not label_of.any():
        raise LunglineError("expected segments coded as lung, left or right lung, or lobes (SNOMED CT). Found none.")
    return label_of[volume.array], np.asarray(volume.affine), True


def _codes_of(segment: Any) -> list[str]:
    """The code values that say what a segment is, and of which side."""
    types = list(segment.SegmentedPropertyTypeCodeSequence)
    types += [one for item in types for one in item.get("SegmentedPropertyTypeModifierCodeSequence", [])]
    return [str(item.CodeValue) for item in types]
