"""Label maps and masks of others, in NIfTI, NRRD or MetaImage: where their parts lie in the world, and how large."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError, Quarantine
from lungline.readers.dicom_headers import check_inflated_size, quiet
from lungline.readers.raw import check_size
from lungline.storage.checksums import check

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
    labels, affine = _read(path)
    return _measured(labels, affine, None)


def components(path: Path, probability: NDArray | None = None) -> list[Instance]:
    """The connected parts (26 neighbours) of the voxels above 0; `probability` (Z, Y, X) lies on the same grid."""
    import cc3d

    labels, affine = _read(path)
    if probability is not None and probability.shape != labels.shape:
        found = f"{list(probability.shape)} beside {list(labels.shape)} (z, y, x)"
        raise LunglineError(f"{path}: expected probabilities on the grid of the image. Found {found}.")
    return _measured(cc3d.connected_components(labels > 0, connectivity=26), affine, probability)


def is_ambiguous(path: Path) -> bool:
    """Whether a map has a single label, and that one in several parts: nodules, or parts of one?"""
    import cc3d

    labels, _ = _read(path)
    number = len(np.unique(labels[labels > 0]))
    return number == 1 and int(cc3d.connected_components(labels > 0, connectivity=26).max()) > 1


def _read(path: Path) -> tuple[NDArray, NDArray[np.float64]]:
    """Labels (Z, Y, X), integers, and the affine (3, 4): index (x, y, z, 1) to mm, LPS."""
    import SimpleITK

    check(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
            raise LunglineError(f"{path}: expected one number for each voxel of a volume. Found another image.")
        columns, rows, slices = reader.GetSize()
        check_size(columns, rows, slices, bytes_per_voxel=8)
        image = reader.Execute()
    except Quarantine as error:
        raise LunglineError(f"{path}: {error.detail}.") from None
    except RuntimeError:
        raise LunglineError(f"{path}: expected an image in NIfTI, NRRD or MetaImage. It cannot be read.") from None
    labels = SimpleITK.GetArrayFromImage(image)
    if labels.dtype.kind == "f":
        if not np.array_equal(labels, np.rint(labels)):
            raise LunglineError(f"{path}: expected a label map, whole numbers. Found others.")
        labels = labels.astype(np.int64)
    direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return labels, np.column_stack([direction, image.GetOrigin()])


def _measured(labels: NDArray, affine: NDArray[np.float64], probability: NDArray | None) -> list[Instance]:
    where = np.nonzero(labels > 0)
    names, part = np.unique(labels[where], return_inverse=True)
    count = np.bincount(part, minlength=len(names))
    centre_zyx = [np.bincount(part, index, minlength=len(names)) / count for index in where]
    centres = np.column_stack([*centre_zyx[::-1], np.ones(len(names))]) @ affine.T
    volume = count * abs(float(np.linalg.det(affine[:, :3])))
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
    import highdicom

    check(path)
    found = []
    with quiet():
        try:
            check_inflated_size(path)
            seg = highdicom.seg.segread(path)
            series = str(seg.ReferencedSeriesSequence[0].SeriesInstanceUID)
            for number in seg.segment_numbers:
                volume = seg.get_volume(segment_numbers=[number])
                part, affine = volume.array[..., 0], volume.affine[:3, [2, 1, 0, 3]]
                labels = np.where(part > 0, int(number), 0)
                found += _measured(labels, affine, part)
        except (AttributeError, IndexError, TypeError, ValueError, RuntimeError, OSError, Quarantine) as error:
            why = type(error).__name__
            raise LunglineError(
                f"{path}: expected a DICOM SEG of a regular volume. It cannot be read ({why})."
            ) from None
    return series, found


def ball_diameter(volume_mm3: float) -> float:
    """Of the ball with this volume, mm."""
    return (6 * volume_mm3 / math.pi) ** (1 / 3)


def grids(folder: Path, scans: Sequence[str]) -> dict[str, tuple[NDArray[np.float64], float]]:
    """Of the images {scan}.* in a folder: the affine (3, 4) of (x, y, z, 1) to mm, LPS, and the slice distance in mm.

    Pixels are not read.
    """
    import SimpleITK

    found = {}
    listed = set(scans)
    for file in image_files(folder):
        scan = image_stem(file.name)
        if scan not in listed:
            continue
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(file))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            raise LunglineError(f"{file}: expected an image in NIfTI, NRRD or MetaImage. It cannot be read.") from None
        direction = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
        found[scan] = (np.column_stack([direction, reader.GetOrigin()]), float(reader.GetSpacing()[2]))
    return found
