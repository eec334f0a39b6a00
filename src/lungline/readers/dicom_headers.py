"""What the headers of a folder of DICOM files say: which are slices of a CT, and which series is the chest.

pydicom's warnings quote values of the header, which may identify a patient: they are silenced, and what
matters in them becomes a flag.
"""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lungline.errors import Quarantine
from lungline.readers import image_kinds, owners
from lungline.readers.deflated import check_inflated_size
from lungline.readers.dicom_elements import Known, Place
from lungline.readers.dicom_sniff import Counted, gunzipped, is_dicom, lacks_preamble, start_of_file
from lungline.readers.dicom_values import floats_of, number_of_element, orientation_of, text_of, whole_number_of
from lungline.readers.raw import MAX_FILES, ROOM_MM, is_file

_TAGS = [
    "SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "RescaleSlope", "RescaleIntercept", "LossyImageCompression",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ModalityLUTSequence", "SliceThickness",
    "ConvolutionKernel", "KVP", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase",
    "TriggerTime", "ContrastBolusAgent", *image_kinds.TAGS, *owners.TAGS, "FrameOfReferenceUID",
]  # fmt: skip
#: Where an enhanced CT says of each frame, or of all, what a classic slice says of itself.
_FRAME_GROUPS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "CTImageFrameTypeSequence", "FrameContentSequence", "CTReconstructionSequence",
    "RealWorldValueMappingSequence",
)  # fmt: skip
_OF_A_FRAME = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
)
#: What tells reconstructions of one series apart, beside where the slices lie.
_RECONSTRUCTION = (
    "ConvolutionKernel", "SliceThickness", "KVP", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase",
    "TriggerTime", "ContrastBolusAgent", "ImageType",
)  # fmt: skip
CT = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = {"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
_DICOMDIR = "1.2.840.10008.1.3.10"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MODALITIES = (
    "MR",
    "PT",
    "NM",
    "US",
    "CR",
    "DX",
    "MG",
    "XA",
    "SR",
    "PR",
    "SEG",
    "RTSTRUCT",
    "RTDOSE",
    "RTPLAN",
    "OT",
    "SC",
)


@dataclass(frozen=True)
class Slice:
    """The header of one CT slice, as far as it matters here; `frame` is 0 but in an enhanced CT.

    Position, orientation and spacing are None where missing or not valid; slope and intercept are None where missing,
    not finite where they are no numbers. `owner` (patient and study, `lungline.readers.owners`), series and frame of
    reference are identifiers: they are compared, and leave ingest nowhere.
    """

    path: Path
    series: str
    series_number: int
    acquisition: int
    instance: int
    use: str  # of `image_kinds`, as rank and kind
    rank: int
    kind: str
    rows: int
    columns: int
    position_xyz_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_ji_mm: tuple[float, ...] | None
    slope: float | None
    intercept: float | None
    syntax: str
    lossy: bool
    owner: tuple[str, ...]
    frame_of_reference: str
    says_hu: bool
    has_lut: bool
    kernel: str
    thickness_mm: float | None
    energy_kev: float | None
    reconstruction: str  # slices that differ in it are of different reconstructions of a series
    frame: int = 0
    place: Place | None = field(default=None, compare=False, repr=False)  # of the pixels, where nothing is unusual

    @property
    def has_geometry(self) -> bool:
        return None not in (self.position_xyz_mm, self.orientation, self.spacing_ji_mm)

    @property
    def normal(self) -> np.ndarray:
        """Unit world vector (3,) from this slice to the next."""
        o = self.orientation
        assert o is not None
        return np.cross(o[:3], o[3:])


@dataclass(frozen=True)
class Other:
    """An image that is no slice of a CT: the number of its series, and what it is, in words."""

    series_number: int
    kind: str


@dataclass(frozen=True)
class Folder:
    """What was found among the files: slices of a CT, and how many files are something else.

    `enhanced` are multi-frame files that do not say of each frame where it lies.
    """

    slices: list[Slice]
    others: Counter[Other] = field(default_factory=Counter)
    enhanced: int = 0
    damaged: int = 0
    not_dicom: int = 0


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom and highdicom without words: their warnings and logs quote values that may identify a patient."""
    loggers, settings = [logging.getLogger(name) for name in ("pydicom", "highdicom")], pydicom.config.settings
    levels, mode = [logger.level for logger in loggers], settings.reading_validation_mode
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        settings.reading_validation_mode = mode


def regular_files(path: Path) -> list[Path]:
    """The files directly in a folder (or the one file that `path` is), sorted by name; hidden ones are no scan's."""
    if path.is_file():
        return [path]
    with os.scandir(path) as entries:
        found = sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and is_file(entry))
    if len(found) > MAX_FILES:
        raise Quarantine("Q_LIMIT", f"{len(found)} files in one folder; at most {MAX_FILES}")
    return found


def read_folder(files: list[Path]) -> Folder:
    """Read the headers of all files, without their pixels; call inside `quiet`."""
    known = Known(_TAGS)
    found = [_read_one(path, known) for path in files]
    counts = Counter(word for word in found if isinstance(word, str))
    others = Counter(item for item in found if isinstance(item, Other))
    slices = [item for several in found if isinstance(several, list) for item in several]
    return Folder(owners.without_single_uids(slices), others, **counts)


def read_dataset(path: Path, **options: Any) -> Dataset:
    """pydicom's dataset of a file; one without preamble is read as what it begins with. Call inside `quiet`.

    Without the elements of the file itself, the transfer syntax is the uncompressed one that the elements are in.
    """
    bare = lacks_preamble(start_of_file(path))
    with gunzipped(open(path, "rb")) as file:
        counted: Any = Counted(file) if options.get("stop_before_pixels") else file
        dataset = pydicom.dcmread(counted, force=bare, **options)
    if bare and "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _read_one(path: Path, known: Known) -> list[Slice] | Other | str:
    """The slice (or the frames) of a file, what other image it is, or the word under which the file is counted.

    A slice whose header only says what that of another said, but for its place, is that other one moved.
    """
    if not path.stat().st_size:
        return "damaged"
    if not is_dicom(path):
        return "not_dicom"
    if (seen := known.alike(path)) is None:
        return _understand(path)
    alike, instance, position, place = seen
    if alike.found is None:
        found = _understand(path)
        if not (isinstance(found, list) and len(found) == 1):
            return found
        alike.found = found[0]
    moved = floats_of({"ImagePositionPatient": position}, "ImagePositionPatient", 3, _is_near)
    return [replace(alike.found, path=path, instance=instance, position_xyz_mm=moved, place=place)]


def _understand(path: Path) -> list[Slice] | Other | str:
    """What pydicom makes of a DICOM file; see `_read_one`."""
    try:
        check_inflated_size(path)
        header = read_dataset(path, stop_before_pixels=True, specific_tags=_TAGS)
        kind = str(header.file_meta.get("MediaStorageSOPClassUID", "") or header.get("SOPClassUID", ""))
        if kind == _DICOMDIR:
            return "not_dicom"
        if kind in _ENHANCED_CT or (header.get("NumberOfFrames") or 1) > 1:
            return _frames_of(path, header, kind) if text_of(header, "Modality") == "CT" else _other(header)
        found = _slice_of(path, header, kind)
        return [found] if isinstance(found, Slice) else found
    except (Quarantine, MemoryError):
        raise
    except Exception as error:  # pydicom raises about nine kinds of exception on damaged files, among them OSError
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return "damaged"


def _frames_of(path: Path, header: Dataset, kind: str) -> list[Slice] | Other | str:
    """The frames of an enhanced CT, if it says of each where it lies."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    if not frames or len(frames) != int(header.get("NumberOfFrames") or 0):
        return "enhanced"
    slices = []
    for number, frame in enumerate(frames):
        found = _slice_of(path, _flattened(header, frame), kind, number)
        if not isinstance(found, Slice):
            return found
        slices.append(found)
    return slices if all(item.has_geometry for item in slices) else "enhanced"


def _flattened(header: Dataset, frame: Dataset) -> Dataset:
    """What an enhanced CT says of one frame, in the words of a classic slice; the frame's own words come first."""
    flat = Dataset()
    flat.file_meta = header.file_meta
    flat.update({element.tag: element for element in header if element.keyword not in _OF_A_FRAME})
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for group in _FRAME_GROUPS:
        for item in (frame.get(group) or shared.get(group) or [])[:1]:
            flat.update({element.tag: element for element in item})
    flat.ImageType = flat.get("FrameType") or flat.get("ImageType")
    flat.AcquisitionNumber = flat.get("FrameAcquisitionNumber")
    return flat


def _other(header: Dataset, kind: str = "") -> Other:
    """An image that is no slice of a CT; of its words only those are told that say nothing of a patient."""
    modality = text_of(header, "Modality")
    return Other(
        whole_number_of(header, "SeriesNumber"), kind or (modality if modality in _MODALITIES else "no CT image")
    )


def _is_near(xyz_mm: tuple[float, ...]) -> bool:
    return max(map(abs, xyz_mm)) < ROOM_MM


def _slice_of(path: Path, header: Dataset, sop_class: str, frame: int = 0) -> Slice | Other | str:
    if (text_of(header, "Modality") if "Modality" in header else "CT" if sop_class == CT else "") != "CT":
        return _other(header)
    if sop_class == _SECONDARY_CAPTURE or header.get("SamplesPerPixel", 1) != 1:
        return _other(header, "screen capture")
    kind = image_kinds.kind_of(header)
    if kind.use == "other":
        return _other(header, kind.words)
    if not all(header.get(key) for key in ("Rows", "Columns", "SeriesInstanceUID")):
        return "damaged"
    return Slice(
        path=path,
        series=str(header.SeriesInstanceUID),
        series_number=whole_number_of(header, "SeriesNumber"),
        acquisition=whole_number_of(header, "AcquisitionNumber"),
        instance=whole_number_of(header, "InstanceNumber"),
        frame=frame,
        use=kind.use,
        rank=kind.rank,
        kind=kind.words,
        rows=int(header.Rows),
        columns=int(header.Columns),
        position_xyz_mm=floats_of(header, "ImagePositionPatient", 3, _is_near),
        orientation=orientation_of(header),
        spacing_ji_mm=floats_of(header, "PixelSpacing", 2, lambda spacing: min(spacing) > 0),
        slope=number_of_element(header, "RescaleSlope"),
        intercept=number_of_element(header, "RescaleIntercept"),
        syntax=str(header.file_meta.TransferSyntaxUID),
        lossy=str(header.get("LossyImageCompression", "")).strip() == "01",
        owner=owners.owner_of(header),
        frame_of_reference=text_of(header, "FrameOfReferenceUID"),
        says_hu=image_kinds.says_hu(header),
        has_lut="ModalityLUTSequence" in header,
        kernel=text_of(header, "ConvolutionKernel"),
        thickness_mm=number_of_element(header, "SliceThickness"),
        energy_kev=image_kinds.energy_kev(header),
        reconstruction="\n".join(text_of(header, key) for key in _RECONSTRUCTION),
    )
