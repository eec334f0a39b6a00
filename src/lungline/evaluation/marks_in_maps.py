"""Label maps and masks of others, in NIfTI, NRRD or MetaImage: where their parts lie in the world, and how large."""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError, Quarantine
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.readers.deflated import check_inflated_size
from lungline.readers.dicom_headers import quiet
from lungline.readers.label_maps import read_stored_labels
from lungline.readers.sandbox import run_in_sandbox
from lungline.storage.checksums import check

_REPORT, _TEMPLATE = "126000", "1500"  # Imaging Measurement Report; its template
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True)
class Instance:
    """One label, or one connected part: its centroid in mm, LPS, and the diameter of the ball with its volume."""

    label: int
    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    #: The largest probability in it, or its volume in mm3 where there are no probabilities.
    score: float


def image_files(path: Path) -> list[Path]:
    """The images of a folder, at any depth, sorted; or the image itself.

    Where there are files `lung_nodules` of TotalSegmentator, its other classes are passed over.
    """
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.name.lower().endswith(SUFFIXES) and file.is_file())
    return [file for file in found if image_stem(file.name) == "lung_nodules"] or found


def image_stem(name: str) -> str:
    """The name of an image without its suffix; any other name as it is."""
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def instances(path: Path) -> list[Instance]:
    """The labels above 0 of a label map, in ascending order."""
    labels = _read(path)
    return _measured(labels.array, labels.affine, None)


def components(path: Path, probability: NDArray | None = None) -> list[Instance]:
    """The connected parts (26 neighbours) of the voxels above 0; `probability` (Z, Y, X) lies on the same grid."""
    import cc3d

    labels = _read(path)
    if probability is not None and probability.shape != labels.shape_zyx:
        found = f"{list(probability.shape)} beside {list(labels.shape_zyx)} (z, y, x)"
        raise LunglineError(f"{path}: expected probabilities on the grid of the image. Found {found}.")
    return _measured(cc3d.connected_components(labels.array > 0, connectivity=26), labels.affine, probability)


def is_ambiguous(path: Path) -> bool:
    """Whether a map has a single label, and that one in several parts: nodules, or parts of one?"""
    import cc3d

    labels = _read(path).array
    number = len(np.unique(labels[labels > 0]))
    return number == 1 and int(cc3d.connected_components(labels > 0, connectivity=26).max()) > 1


def _read(path: Path) -> Volume:
    """Labels as the file orders them."""
    check(path)
    try:
        return read_stored_labels(path)
    except LunglineError as error:
        raise LunglineError(f"{path}: {error}") from None


def _measured(labels: NDArray, affine: geometry.Affine, probability: NDArray | None) -> list[Instance]:
    where = np.nonzero(labels > 0)
    names, part = np.unique(labels[where], return_inverse=True)
    count = np.bincount(part, minlength=len(names))
    centres_zyx = np.column_stack([np.bincount(part, index, minlength=len(names)) / count for index in where])
    centres = geometry.voxel_to_world(affine, centres_zyx)
    volume = count * abs(float(np.linalg.det(affine[:3, :3])))
    scores = volume.astype(np.float64)
    if probability is not None:
        scores = np.full(len(names), -np.inf)
        np.maximum.at(scores, part, probability[where].astype(np.float64))
    return [
        Instance(int(name), (x, y, z), ball_diameter(mm3), float(score))
        for name, (x, y, z), mm3, score in zip(names, centres.tolist(), volume.tolist(), scores, strict=True)
    ]


def segments(path: Path) -> tuple[str, list[Instance]]:
    """The series that a DICOM SEG is about, and its segments; the score is the largest fraction, 1 of a binary one."""
    check(path)
    series, found = in_sandbox(lambda: _segments(path), f"{path}: expected a DICOM SEG of a regular volume.")
    return series, [Instance(label, tuple(centre), *rest) for label, centre, *rest in found]


def _segments(path: Path) -> tuple[str, list[tuple[Any, ...]]]:
    import highdicom

    found = []
    with quiet():
        check_inflated_size(path)
        seg = highdicom.seg.segread(path)
        for number in seg.segment_numbers:
            volume = seg.get_volume(segment_numbers=[number])
            part = volume.array[..., 0]
            found += _measured(np.where(part > 0, int(number), 0), volume.affine, part)
        return str(seg.ReferencedSeriesSequence[0].SeriesInstanceUID), [astuple(one) for one in found]


def modalities(files: Sequence[Path]) -> list[str]:
    """The modality that each file names; "" of what is no DICOM, and of SR that are no reports of measurements."""
    import pydicom

    def modality(file: Path) -> str:
        tags = ["Modality", "ConceptNameCodeSequence", "ContentTemplateSequence"]
        found = pydicom.dcmread(file, specific_tags=tags, force=True)
        name = str(found.get("Modality") or "")
        title, template = found.get("ConceptNameCodeSequence"), found.get("ContentTemplateSequence")
        is_report = (title and str(title[0].get("CodeValue")) == _REPORT) or (
            template and str(template[0].get("TemplateIdentifier")) == _TEMPLATE
        )
        return "" if name == "SR" and not is_report else name

    def work() -> list[str]:
        with quiet():
            return [modality(file) for file in files]

    return list(in_sandbox(work, "expected DICOM files."))


def in_sandbox(work: Callable[[], Any], expected: str) -> Any:
    """What `work` says of foreign files, as JSON holds it; `LunglineError` where they cannot be read."""
    try:
        return run_in_sandbox(lambda: (np.zeros(1, np.int16), work()))[1]
    except Quarantine as reason:
        raise LunglineError(f"{expected} It cannot be read ({reason.detail or reason.flag}).") from None


def ball_diameter(volume_mm3: float) -> float:
    """Of the ball with this volume, mm."""
    return (6 * volume_mm3 / math.pi) ** (1 / 3)


def grids(folder: Path, scans: Sequence[str]) -> dict[str, tuple[NDArray[np.float64], float]]:
    """Of the images {scan}.* in a folder: the affine (3, 4) of (x, y, z, 1) to mm, LPS, and the slice distance in mm.

    Pixels are not read.
    """
    listed = set(scans)
    files = [(image_stem(file.name), file) for file in image_files(folder) if image_stem(file.name) in listed]
    if not files:
        return {}
    found = in_sandbox(lambda: [(scan, *_grid(file)) for scan, file in files], f"{folder}: expected images.")
    return {scan: (np.array(affine), slice_mm) for scan, affine, slice_mm in found}


def _grid(file: Path) -> tuple[list[list[float]], float]:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise LunglineError(f"{file}: expected an image in NIfTI, NRRD or MetaImage. It cannot be read.") from None
    direction = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    return np.column_stack([direction, reader.GetOrigin()]).tolist(), float(reader.GetSpacing()[2])
