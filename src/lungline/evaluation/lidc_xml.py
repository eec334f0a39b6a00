"""Nodules of LIDC-IDRI from its XML: every reading session, merged as LUNA-16 merged them.

Sources: LIDC's "XML file documentation" (The Cancer Imaging Archive, 2006) for the elements; McNitt-Gray et al.,
Academic Radiology 14 (2007), 1464, for the outline, which runs through the first pixels outside the nodule; Setio et
al., Medical Image Analysis 42 (2017), 1, for merging.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.evaluation.mark_readers import read_xml
from lungline.evaluation.marks_in_maps import ball_diameter, grids, in_sandbox
from lungline.nodules.annotations import Nodule
from lungline.readers.deflated import check_inflated_size
from lungline.readers.dicom_headers import quiet
from lungline.readers.raw import MAX_IN_PLANE
from lungline.storage.tables import decimal

_NOT_MEASURED = -1.0  # as LUNA-16 writes it
_PARALLEL = 0.999  # cosine: columns and rows run along the patient's left and back


@dataclass(frozen=True)
class Grid:
    """Of an axial scan: world x and y in mm of the pixel (0, 0), mm a column and a row, and the slice distance."""

    origin_xy_mm: tuple[float, float]
    pixel_xy_mm: tuple[float, float]
    slice_mm: float


@dataclass(frozen=True)
class Reading:
    """What one reader marked: of a nodule of 3 mm and more its centre and the diameter of the ball of its volume."""

    reader: int
    centre_xyz_mm: tuple[float, float, float]
    #: -1 for a nodule below 3 mm and for what is no nodule: only a point is marked.
    diameter_mm: float


def lidc_truth(
    files: Sequence[Path], images: Path | None, scans: Sequence[str], agreement: int
) -> tuple[list[Nodule], list[Nodule]]:
    """The nodules that at least `agreement` readers (1 to 4) outlined, and all other findings, which count neither way.

    `images` holds the scans, {SeriesInstanceUID}.mhd and the like or DICOM: outlines are in pixels. Files about scans
    that are not listed, and those of radiographs (IdriReadMessage), are passed over.
    """
    if not 1 <= agreement <= 4:
        raise LunglineError(f"--agreement: expected 1 to 4 readers. Got {agreement}.")
    if images is None:
        raise LunglineError("LIDC's outlines are in pixels: name the folder of the scans with --images.")
    roots = {}
    for file in files:
        root = read_xml(file)
        if root.tag.rpartition("}")[2] != "LidcReadMessage":
            if len(files) > 1:
                continue
            raise LunglineError(f"{file}: expected LIDC's XML of a CT, a LidcReadMessage. Found another.")
        series = _text(root, "ResponseHeader/SeriesInstanceUid", file)
        if series in scans:
            if series in roots:
                raise LunglineError(f"{file}: a second XML of a scan. Give one each.")
            roots[series] = (file, root)
    known = _all_grids(images, list(roots))
    nodules: list[Nodule] = []
    others: list[Nodule] = []
    for scan, (file, root) in roots.items():
        if scan not in known:
            raise LunglineError(
                f"{images}: expected the scan of {file.name}. There is none with its SeriesInstanceUID."
            )
        marked = readings(root, file, known[scan])
        for group in merged([one for one in marked if one.diameter_mm > 0]):
            enough = len({one.reader for one in group}) >= agreement
            (nodules if enough else others).append(Nodule(scan, *_mean(group)))
        others += [Nodule(scan, one.centre_xyz_mm, one.diameter_mm) for one in marked if one.diameter_mm < 0]
    return nodules, others


def merged(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Readings of one nodule: any two whose distance is below the sum of their radii, and what they lead to."""
    groups: list[list[Reading]] = []
    for one in readings:
        near = [group for group in groups if any(_same(one, other) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(other for group in near for other in group), one])
    return groups


def _same(one: Reading, other: Reading) -> bool:
    apart = np.linalg.norm(np.subtract(one.centre_xyz_mm, other.centre_xyz_mm))
    return bool(apart < (one.diameter_mm + other.diameter_mm) / 2)


def _mean(group: Sequence[Reading]) -> tuple[tuple[float, float, float], float]:
    x, y, z = np.mean([one.centre_xyz_mm for one in group], axis=0).tolist()
    return (x, y, z), float(np.mean([one.diameter_mm for one in group]))


def readings(root: ElementTree.Element, file: Path, grid: Grid) -> list[Reading]:
    """Everything that is marked in an XML, session by session."""
    found = []
    for reader, session in enumerate(_all(root, "readingSession")):
        for number, nodule in enumerate(_all(session, "unblindedReadNodule")):
            where = f"{file}, session {reader + 1}, nodule {number + 1}"
            slices = [_slice(roi, where) for roi in _all(nodule, "roi")]
            if not slices:
                raise LunglineError(f"{where}: expected a roi. There is none.")
            found.append(_reading(reader, slices, grid))
        for number, point in enumerate(_all(session, "nonNodule")):
            where = f"{file}, session {reader + 1}, nonNodule {number + 1}"
            x, y = (decimal(_text(point, f"locus/{name}", where), name) for name in ("xCoord", "yCoord"))
            z_mm = decimal(_text(point, "imageZposition", where), "imageZposition")
            found.append(Reading(reader, (*_world(grid, x, y), z_mm), _NOT_MEASURED))
    return found


@dataclass(frozen=True)
class _Slice:
    z_mm: float
    adds: bool  # False: what it holds is cut out of the nodule
    outline_xy: NDArray[np.int64]  # (n, 2), column and row


def _slice(roi: ElementTree.Element, where: str) -> _Slice:
    points = [
        [int(decimal(_text(edge, name, where), name)) for name in ("xCoord", "yCoord")] for edge in _all(roi, "edgeMap")
    ]
    if not points:
        raise LunglineError(f"{where}: expected an edgeMap in each roi. One has none.")
    if not all(0 <= n < MAX_IN_PLANE for point in points for n in point):
        raise LunglineError(f"{where}: expected pixels from 0 to {MAX_IN_PLANE - 1} in an edgeMap. Found others.")
    z_mm = decimal(_text(roi, "imageZposition", where), "imageZposition")
    return _Slice(z_mm, _text(roi, "inclusion", where).upper() == "TRUE", np.array(points))


def _reading(reader: int, slices: Sequence[_Slice], grid: Grid) -> Reading:
    """A nodule from its slices; one without a pixel inside its outlines is a point: below 3 mm, or a line."""
    weights: dict[float, dict[tuple[int, int], None]] = {}
    for one in sorted(slices, key=lambda one: not one.adds):  # first what is added
        pixels = weights.setdefault(one.z_mm, {})
        for pixel in inside(one.outline_xy):
            if one.adds:
                pixels[pixel] = None
            else:
                pixels.pop(pixel, None)
    place = np.array([(*pixel, z_mm) for z_mm, pixels in weights.items() for pixel in pixels], dtype=np.float64)
    if not len(place):
        every = np.concatenate([np.column_stack([s.outline_xy, np.full(len(s.outline_xy), s.z_mm)]) for s in slices])
        x, y, z = every.mean(axis=0).tolist()
        return Reading(reader, (*_world(grid, x, y), z), _NOT_MEASURED)
    x, y, z = place.mean(axis=0).tolist()
    voxel_mm3 = abs(grid.pixel_xy_mm[0] * grid.pixel_xy_mm[1]) * grid.slice_mm
    return Reading(reader, (*_world(grid, x, y), z), ball_diameter(len(place) * voxel_mm3))


def inside(outline_xy: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The pixels (column, row) that an outline (n, 2) encloses, those of the outline itself left out."""
    from scipy import ndimage

    low = outline_xy.min(axis=0) - 1
    drawn = np.zeros(outline_xy.max(axis=0) - low + 2, dtype=bool)
    for start, end in zip(outline_xy, np.roll(outline_xy, -1, axis=0), strict=True):
        steps = int(np.abs(end - start).max()) + 1
        line = np.rint(np.linspace(start, end, steps)).astype(np.int64) - low
        drawn[line[:, 0], line[:, 1]] = True
    return [(int(x), int(y)) for x, y in np.argwhere(ndimage.binary_fill_holes(drawn) & ~drawn) + low]


def _world(grid: Grid, column: float, row: float) -> tuple[float, float]:
    (x, y), (across, down) = grid.origin_xy_mm, grid.pixel_xy_mm
    return x + across * column, y + down * row


def _all_grids(images: Path, scans: Sequence[str]) -> Mapping[str, Grid]:
    found = {}
    for scan, (affine, slice_mm) in grids(images, scans).items():
        along = affine[:, :2] / np.linalg.norm(affine[:, :2], axis=0)
        if min(along[0, 0], along[1, 1]) < _PARALLEL:
            raise LunglineError(
                f"{images}: a scan whose rows or columns do not run to the patient's left and back (a header that is "
                "flipped, or a tilt). LIDC's outlines do not fit it; give its DICOM files."
            )
        found[scan] = Grid((float(affine[0, 3]), float(affine[1, 3])), (affine[0, 0], affine[1, 1]), slice_mm)
    return found | _dicom_grids(images, set(scans) - set(found))


def _dicom_grids(images: Path, scans: Iterable[str]) -> dict[str, Grid]:
    """From the headers of the DICOM files of these series."""
    wanted = set(scans)
    if not wanted:
        return {}
    files = sorted(file for file in images.rglob("*") if file.suffix.lower() in (".dcm", "") and file.is_file())
    heights: dict[str, list[float]] = {}
    plane: dict[str, tuple[list[float], list[float], list[float]]] = {}
    for series, *place in in_sandbox(lambda: _planes(files, wanted), f"{images}: expected DICOM files."):
        heights.setdefault(series, []).append(place[0][2])
        plane[series] = (place[0], place[1], place[2])
    found = {}
    for series, (position, orientation, spacing) in plane.items():
        if min(orientation[0], orientation[4]) < _PARALLEL:
            raise LunglineError(f"{images}: a scan that is not axial. LIDC's outlines do not fit it.")
        apart = np.diff(sorted(set(heights[series])))
        slice_mm = float(np.median(apart)) if len(apart) else 1.0
        found[series] = Grid((position[0], position[1]), (spacing[1], spacing[0]), slice_mm)
    return found


def _planes(files: Sequence[Path], wanted: Collection[str]) -> list[tuple[Any, ...]]:
    """Series, position, orientation and spacing of every file that is a slice of a wanted series."""
    import pydicom

    tags = ["SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
    found = []
    with quiet():
        for file in files:
            try:
                check_inflated_size(file)
                header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
                series = str(header.SeriesInstanceUID)
                place = [[float(n) for n in header[tag].value] for tag in tags[1:]]
                if [len(numbers) for numbers in place] != [3, 6, 2]:
                    continue
            except Exception:  # another file
                continue
            if series in wanted:
                found.append((series, *place))
    return found


def _all(parent: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """The children with this name, in LIDC's namespace or in none; LIDC writes Uid and UID."""
    return [child for child in parent if child.tag.rpartition("}")[2].lower() == name.lower()]


def _text(parent: ElementTree.Element, path: str, where: object) -> str:
    """The text at `path`, in any namespace."""
    found = parent
    for name in path.split("/"):
        children = _all(found, name)
        if not children:
            raise LunglineError(f"{where}: expected an element '{path}'. There is none.")
        found = children[0]
    return (found.text or "").strip()
