"""Whether a folder is LUNA-16 as the challenge gives it: scans, headers, tables. No pixel is read.

What is known of LUNA-16, and from where:

- 888 scans in ten subsets, 1,186 nodules; slices at most 2.5 mm thick (luna16.grand-challenge.org/Data; Setio et al.,
  Medical Image Analysis 42, 2017, 1). The list of scans is that of its evaluation script, and 601 of them have nodules.
- `candidates_V2.csv`: 754,975 candidates, 1,557 of class 1 (the same page).

Of the scans, and of all annotations but those of one scan, only a SHA-256 stands here: it says whether a copy is
right, not what it should hold. Which scan lies in which subset is not known here, only how many each holds.

Some headers are flipped: TransformMatrix reverses rows and columns. LIDC's XML counts rows and columns of the DICOM
files, so it does not fit these; annotations are in world coordinates and do, if the matrix is read.
"""

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError, Quarantine
from lungline.imaging import geometry
from lungline.nodules.annotations import Nodule, lie_inside, nodules_outside, read_annotations
from lungline.readers.metaimage import check_metaimage
from lungline.storage.spreadsheets import cells, first_row
from lungline.storage.submissions import read_ids
from lungline.storage.tables import decimal, table_text_of

_PLACES = ("", "CSVFILES", "evaluationScript/annotations", "evaluationScript")
_IDENTITY = np.eye(3)
#: Of the places of a scan's findings: this share must lie in its grid. Candidates are not checked one by one.
_INSIDE = 0.99


@dataclass(frozen=True)
class Facts:
    """What is known of a data set in LUNA-16's layout."""

    scans_per_subset: tuple[int, ...]
    uids_sha256: str  # of the sorted ids, one a line
    nodules: int
    scans_with_nodules: int
    annotations_sha256: str  # of `annotation_lines`, one a line
    not_hashed: str  # scan whose annotations are not in that
    candidates: int
    candidate_nodules: int  # of class 1
    uid_prefix: str
    rows: int = 512  # and columns
    thickest_mm: float = 2.5

    @property
    def scans(self) -> int:
        """How many there are."""
        return sum(self.scans_per_subset)


LUNA16 = Facts(
    scans_per_subset=(89,) * 8 + (88,) * 2,
    uids_sha256="3090bf0d4d56ca8131811fa461cca49c7e7803f21089c8122b75e0b668952d43",
    nodules=1186,
    scans_with_nodules=601,
    annotations_sha256="1ef702e51f8f4d79652c74bcf5614c2f9dcc807e1856c42c4fe65ccbb2a088e5",
    not_hashed="1.3.6.1.4.1.14519.5.2.1.6279.6001.154677396354641150280013275227",
    candidates=754_975,
    candidate_nodules=1557,
    uid_prefix="1.3.6.1.4.1.14519.5.2.1.6279.6001.",
)


@dataclass
class Report:
    """What was found: a line for each fault, and for each thing to know; the headers that can be read."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scans: dict[str, Path] = field(default_factory=dict)  # by id, also those whose header is damaged
    readable: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Grid:
    shape_zyx: tuple[int, int, int]
    affine: geometry.Affine
    matrix: NDArray[np.float64]  # directions of columns, rows and slices, as columns

    @property
    def is_flipped(self) -> bool:
        return not np.allclose(self.matrix, _IDENTITY, atol=1e-3)

    def with_matrix(self, matrix: NDArray[np.float64]) -> "_Grid":
        """The same voxels and first voxel, with other directions."""
        affine = self.affine.copy()
        affine[:3, :3] = (matrix * geometry.spacing_zyx_mm(self.affine)[::-1])[:, ::-1]
        return _Grid(self.shape_zyx, affine, matrix)

    def inside(self, places_xyz_mm: NDArray[np.float64]) -> float:
        """The share of the places (n, 3) that lie in the grid."""
        return float(lie_inside(self.shape_zyx, self.affine, places_xyz_mm).mean())


def check_copy(folder: Path, facts: Facts = LUNA16) -> Report:
    """Check a folder with `subset0` .. `subset9`, and its tables, there or in CSVFILES or evaluationScript.

    `LunglineError` if there is no such folder.
    """
    if not folder.is_dir():
        raise LunglineError(f"{folder}: no such folder. Name the one that holds subset0 to subset9.")
    report = Report()
    grids = {}
    for subset, expected in enumerate(facts.scans_per_subset):
        for uid, path in _scans_of(folder, subset, expected, facts, report):
            if uid in report.scans:
                there = report.scans[uid].parent.name
                report.faults.append(f"{path.parent.name}/{uid}: this scan lies in {there}, too. Remove one.")
            elif grid := _grid(path, facts, report):
                grids[uid] = grid
            report.scans.setdefault(uid, path)
    report.readable = set(grids)
    beside = (path for path in folder.iterdir() if not path.name.startswith("."))
    strays = [path for path in beside if path.suffix.lower() in (".mhd", ".raw", ".zraw")]
    report.faults += [f"{path.name}: lies outside the subsets, and is not read. Move it." for path in sorted(strays)]
    nodules = _annotations(folder, facts, report)
    places = _places(folder, facts, report)
    _check_list(folder, set(places) | {nodule.scan for nodule in nodules}, facts, report)
    for uid, grid in grids.items():
        own = [nodule for nodule in nodules if nodule.scan == uid]
        where = f"{report.scans[uid].parent.name}/{uid}"
        for nodule in nodules_outside(grid.shape_zyx, grid.affine, own):
            report.faults.append(f"annotations.csv, line {nodule.line}: lies outside the grid of {where}.")
        everywhere = [nodule.centre_xyz_mm for nodule in own]
        _check_directions(where, grid, np.array([*everywhere, *places.get(uid, ())]).reshape(-1, 3), report)
    return report


def _scans_of(folder: Path, subset: int, expected: int, facts: Facts, report: Report) -> Iterator[tuple[str, Path]]:
    """The headers of a subset; what else lies there is a fault."""
    here = folder / f"subset{subset}"
    if not here.is_dir():
        report.faults.append(f"subset{subset}: no such folder. Unpack subset{subset}.zip into {folder.name}.")
        return
    files = sorted(path for path in here.iterdir() if not path.name.startswith("."))
    headers = [path for path in files if path.suffix == ".mhd" and _is_uid(path.stem, facts)]
    if not headers and (here / here.name).is_dir():
        report.faults.append(f"subset{subset}/subset{subset}: lies one folder too deep. Move its files up.")
        return
    if len(headers) != expected:
        report.faults.append(f"subset{subset}: expected {expected} scans. Found {len(headers)}.")
    known = {path.stem for path in headers}
    for path in files:
        if path.suffix.lower() in (".raw", ".zraw") and path.stem not in known and _is_uid(path.stem, facts):
            report.faults.append(f"subset{subset}/{path.name}: pixels without their header. Unpack the .mhd again.")
        elif path.suffix.lower() not in (".raw", ".zraw", ".mhd") or not _is_uid(path.stem, facts):
            report.faults.append(f"subset{subset}/{path.name}: does not belong to the data set. Remove it.")
    yield from ((path.stem, path) for path in headers)


def _is_uid(word: str, facts: Facts) -> bool:
    return bool(re.fullmatch(re.escape(facts.uid_prefix) + r"\d+", word, re.ASCII))


def _grid(path: Path, facts: Facts, report: Report) -> _Grid | None:
    """The grid of a scan whose header and pixel file fit each other and the data set; else None and a fault."""
    where = f"{path.parent.name}/{path.name}"
    try:
        header, files = check_metaimage(path)
        if [file.stem for file in files] != [path.stem]:
            raise Quarantine("Q_BAD_MHD", "ElementDataFile is not the file of this scan")
        affine_ijk, (slices, rows, columns) = header.affine, header.shape
    except Quarantine as reason:
        report.faults.append(f"{where}: {reason.detail}. Unpack it again.")
        return None
    except OSError as error:
        report.faults.append(f"{where}: cannot be read ({error.strerror}). Unpack it again.")
        return None
    spacing = np.linalg.norm(affine_ijk[:3, :3], axis=0)
    if (rows, columns) != (facts.rows, facts.rows) or header.keys["ElementType"] != "MET_SHORT":
        found = f"{columns} x {rows} of {header.keys['ElementType']}"
        report.faults.append(f"{where}: expected slices of {facts.rows} x {facts.rows} of MET_SHORT. Found {found}.")
    if spacing[2] > facts.thickest_mm + 1e-3:
        report.faults.append(f"{where}: expected slices at most {facts.thickest_mm} mm apart. Found {spacing[2]:g}.")
    return _Grid((slices, rows, columns), affine_ijk[:, [2, 1, 0, 3]], affine_ijk[:3, :3] / spacing)


def _check_directions(where: str, grid: _Grid, places_xyz_mm: NDArray[np.float64], report: Report) -> None:
    """Name a header that reverses axes, and say whether the places of the scan's findings fit it."""
    other = grid.with_matrix(_IDENTITY if grid.is_flipped else np.diag([-1.0, -1.0, 1.0]))
    if not len(places_xyz_mm):
        if grid.is_flipped:
            report.notes.append(f"{where}: flipped header; no table has a finding that shows whether it is right.")
        return
    count = f"{len(places_xyz_mm)} findings"
    fits, other_fits = grid.inside(places_xyz_mm), other.inside(places_xyz_mm)
    if fits < _INSIDE:
        whose = "without the TransformMatrix" if grid.is_flipped else "with TransformMatrix -1 0 0 0 -1 0 0 0 1"
        hint = f"; {other_fits:.0%} would {whose}: the header was changed" if other_fits >= _INSIDE else ""
        report.faults.append(f"{where}: {fits:.0%} of {count} lie in its grid{hint}. Unpack it again.")
    elif grid.is_flipped and other_fits < _INSIDE:
        proof = f"{fits:.0%} of {count} lie in its grid, {other_fits:.0%} would without the matrix"
        report.notes.append(f"{where}: flipped header, read right: {proof}.")
    elif grid.is_flipped:
        report.notes.append(f"{where}: flipped header; its {count} fit it, but would without the matrix, too.")


def _find(folder: Path, name: str) -> Path | None:
    return next((path for place in _PLACES if (path := folder / place / name).is_file()), None)


def annotation_lines(nodules: list[Nodule], without: str) -> list[str]:
    """Annotations as sorted text, numbers to 0.01 mm, but for those of one scan."""
    numbers = [(one.scan, *one.centre_xyz_mm, one.diameter_mm) for one in nodules if one.scan != without]
    return sorted(f"{scan} " + " ".join(f"{value:.2f}" for value in values) for scan, *values in numbers)


def sha256_of_lines(lines: list[str]) -> str:
    """SHA-256 of lines that are joined by a newline."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _annotations(folder: Path, facts: Facts, report: Report) -> list[Nodule]:
    path = _find(folder, "annotations.csv")
    if path is None:
        report.faults.append("annotations.csv: no such file. Put it beside the subsets, or into CSVFILES.")
        return []
    try:
        nodules = read_annotations(path)
    except LunglineError as error:
        report.faults.append(str(error).partition("\n")[0])
        return []
    scans = len({nodule.scan for nodule in nodules})
    if (len(nodules), scans) != (facts.nodules, facts.scans_with_nodules):
        wanted = f"{facts.nodules} nodules in {facts.scans_with_nodules} scans"
        report.faults.append(f"annotations.csv: expected {wanted}. Found {len(nodules)} in {scans}.")
    elif sha256_of_lines(annotation_lines(nodules, facts.not_hashed)) != facts.annotations_sha256:
        report.faults.append("annotations.csv: places or diameters are not the challenge's. Take its own table.")
    return nodules


def _places(folder: Path, facts: Facts, report: Report) -> Mapping[str, NDArray[np.float64]]:
    """World (x, y, z) of all candidates (n, 3), by scan."""
    path = _find(folder, "candidates_V2.csv")
    if path is None:
        old = "candidates.csv is the first list, with fewer of the nodules. " if _find(folder, "candidates.csv") else ""
        report.faults.append(f"candidates_V2.csv: no such file. {old}Put it beside the subsets, or into CSVFILES.")
        return {}
    try:
        places, nodules = read_candidate_places(path)
    except LunglineError as error:
        report.faults.append(str(error).partition("\n")[0])
        return {}
    found = sum(map(len, places.values()))
    if (found, nodules) != (facts.candidates, facts.candidate_nodules):
        wanted = f"{facts.candidates} candidates, {facts.candidate_nodules} of class 1"
        report.faults.append(f"candidates_V2.csv: expected {wanted}. Found {found}, {nodules}.")
    return places


def read_candidate_places(path: Path) -> tuple[dict[str, NDArray[np.float64]], int]:
    """World (x, y, z) of the candidates (n, 3) of each scan in a `candidates_V2.csv`, and how many are of class 1."""
    columns = ["seriesuid", "coordX", "coordY", "coordZ", "class"]
    text = table_text_of(path)
    if first_row(text, ",") != columns:
        raise LunglineError(f"{path}, line 1: expected {','.join(columns)}. Found others.")
    places: dict[str, array[float]] = {}
    nodules = 0
    rows = cells(text, ",")
    next(rows)
    for line, words in rows:
        try:
            scan, x, y, z, kind = words
            places.setdefault(scan, array("d")).extend(decimal(word, "") for word in (x, y, z))
            nodules += {"0": 0, "1": 1}[kind]
        except (ValueError, KeyError, LunglineError):
            raise LunglineError(f"{path}, line {line}: expected {','.join(columns)} with numbers, 0 or 1.") from None
    return {scan: np.array(values).reshape(-1, 3) for scan, values in places.items()}, nodules


def _check_list(folder: Path, named: set[str], facts: Facts, report: Report) -> None:
    """The ids of all scans are the data set's; where they are not, those that the tables name are compared."""
    if sha256_of_lines(sorted(report.scans)) == facts.uids_sha256:
        return
    report.faults.append(f"expected the {facts.scans} scans of the data set. Found {len(report.scans)}, not all its.")
    listed = _find(folder, "seriesuids.csv")
    try:
        named = named | set(read_ids(listed)) if listed else named
    except LunglineError as error:
        report.faults.append(str(error).partition("\n")[0])
    report.faults += [f"{uid}: no subset holds this scan." for uid in sorted(named - set(report.scans))]
    if sha256_of_lines(sorted(named)) == facts.uids_sha256:
        strange = sorted(set(report.scans) - named)
        report.faults += [f"{report.scans[uid].parent.name}/{uid}: is none of the data set's scans." for uid in strange]
