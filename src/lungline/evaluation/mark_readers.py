"""Marks of detectors in the files that they write themselves: a reader for each format.

A reader takes a path and the listed scans, and gives the marks of every scan that the files speak of: world (x, y, z)
in mm, LPS, and a score. What a file holds beyond that is passed over. Sources: `lungline.evaluation.mark_formats`.
"""

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline import limits
from lungline.errors import LunglineError
from lungline.evaluation.array_pickles import read_arrays
from lungline.evaluation.marks_in_maps import (
    Instance,
    components,
    image_files,
    image_stem,
    instances,
    modalities,
    segments,
)
from lungline.evaluation.marks_in_reports import report, segmentations, sr_files
from lungline.storage.checksums import check
from lungline.storage.foreign_files import read_any_json, refuse_larger
from lungline.storage.submissions import Mark
from lungline.storage.tables import decimal, read_rows

Marks = dict[str, list[Mark]]

_MOST_BYTES = limits.MAX_MARKS_BYTES
_MOST_ARRAY_BYTES = limits.MAX_ARRAY_BYTES


class Gathered:
    """The marks of one system, each checked when it is added."""

    def __init__(self, scans: Sequence[str]) -> None:
        self._listed = frozenset(scans)
        self._marks: dict[str, dict[tuple[float, ...], Mark]] = {}

    def begin(self, where: object, *names: str) -> str:
        """The scan that a file or an entry is about: the first of the names that is listed, else the first.

        nnDetection's names have `_` where the ids of LUNA-16 have a point.
        """
        asked = [form for name in names for form in (name, name.replace("_", "."))]
        scan = next((name for name in asked if name in self._listed), names[0])
        if scan in self._marks:
            raise LunglineError(f"{where}: a scan that stood there before. Give each scan once.")
        self._marks[scan] = {}
        return scan

    def add(self, scan: str, where: object, points_xyz_mm: ArrayLike, scores: ArrayLike) -> None:
        """Marks of a scan: points (n, 3) and scores (n,), all finite, no place twice."""
        try:
            points = np.asarray(points_xyz_mm, dtype=np.float64).reshape(-1, 3)
            values = np.asarray(scores, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise LunglineError(f"{where}: expected numbers for place and score. Found something else.") from None
        if len(points) != len(values) or not (np.isfinite(points).all() and np.isfinite(values).all()):
            found = f"{len(points)} places, {len(values)} scores"
            raise LunglineError(f"{where}: expected a finite score for each finite place. Found {found}.")
        for (x, y, z), score in zip(points.tolist(), values.tolist(), strict=True):
            if (x, y, z) in self._marks[scan]:
                raise LunglineError(f"{where}: two marks at ({x:g}, {y:g}, {z:g}) mm. Remove one.")
            self._marks[scan][x, y, z] = (x, y, z, score)

    def all(self) -> Marks:
        return {scan: list(places.values()) for scan, places in self._marks.items()}


def read_json(path: Path) -> Any:
    """What a JSON file holds; `LunglineError` if it is none."""
    check(path)
    return read_any_json(path, _MOST_BYTES)


class _Counted(ElementTree.TreeBuilder):
    """A tree of so many elements and attributes; a DOCTYPE, whose entities could grow without end, is refused."""

    def __init__(self) -> None:
        super().__init__()
        self._parts = 0

    def start(self, tag: Any, attrs: Any) -> Any:
        self._parts += 1 + len(attrs)
        if self._parts > limits.MAX_XML_PARTS:
            raise ValueError(f"more than {limits.MAX_XML_PARTS} elements and attributes")
        return super().start(tag, attrs)

    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise ValueError("a DOCTYPE")


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; `LunglineError` if it is none."""
    refuse_larger(path, _MOST_BYTES)
    check(path)
    try:
        return ElementTree.parse(path, ElementTree.XMLParser(target=_Counted())).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise LunglineError(f"{path}: expected XML. It cannot be read ({type(error).__name__}).") from None


def needed(entry: Any, names: Sequence[str], where: object) -> Any:
    """The value of the first of these keys that an entry has; `LunglineError` names what is missing."""
    if isinstance(entry, Mapping):
        for name in names:
            if name in entry:
                return entry[name]
    raise LunglineError(f"{where}: expected an entry with '{' or '.join(names)}'. It has none.")


def monai_entries(content: Any) -> list[tuple[str, Any]]:
    """Where each entry with boxes stands in a file of MONAI, and the entry; none if it is no such file."""
    parts = content if isinstance(content, Mapping) else {"": content}
    return [
        (f"{key}[{number}]", entry)
        for key, entries in parts.items()
        if isinstance(entries, list)
        for number, entry in enumerate(entries)
        if isinstance(entry, Mapping) and "box" in entry
    ]


def box_mode(path: Path) -> str:
    """How the boxes of a file of MONAI are written, if their numbers allow one way alone."""
    boxes = [box for where, entry in monai_entries(read_json(path)) for box in _boxes(entry, f"{path}, {where}")]
    sizes = np.reshape(boxes, (-1, 6))
    may_be = {
        "cccwhd": bool((sizes[:, 3:] > 0).all()),
        "xyzxyz": bool((sizes[:, 3:] > sizes[:, :3]).all()),
    }
    if sum(may_be.values()) != 1 and len(sizes):
        found = "both" if all(may_be.values()) else "neither"
        raise LunglineError(
            f"{path}: boxes as centre and size (cccwhd) or as two corners (xyzxyz)? {found.capitalize()} would fit. "
            "Say --format monai-cccwhd or --format monai-xyzxyz."
        )
    return "xyzxyz" if len(sizes) and may_be["xyzxyz"] else "cccwhd"


def _boxes(entry: Any, where: object) -> NDArray[np.float64]:
    try:
        return np.asarray(needed(entry, ("box",), where), dtype=np.float64).reshape(-1, 6)
    except (TypeError, ValueError):
        raise LunglineError(f"{where}: expected boxes of six numbers. Found others.") from None


def monai(mode: str) -> Callable[[Path, Sequence[str]], Marks]:
    """Reader of MONAI's JSON with boxes in world mm, written as `cccwhd` or `xyzxyz`."""

    def read(path: Path, scans: Sequence[str]) -> Marks:
        found = Gathered(scans)
        for place, entry in monai_entries(read_json(path)):
            where = f"{path}, {place}"
            boxes, image = _boxes(entry, where), Path(str(needed(entry, ("image",), where)))
            scan = found.begin(where, image_stem(image.name), image.parent.name)
            centres = boxes[:, :3] if mode == "cccwhd" else (boxes[:, :3] + boxes[:, 3:]) / 2
            found.add(scan, where, centres, needed(entry, ("score", "label_scores"), where))
        return found.all()

    return read


def nndetection(path: Path, scans: Sequence[str]) -> Marks:
    """The files CASE_boxes.pkl of nnDetection: boxes in voxels of the raw image, whose geometry stands there, too.

    A box is (z1, y1, z2, y2, x1, x2); its centre counts, as in nnDetection's own scoring of LUNA-16.
    """
    found = Gathered(scans)
    for file in sorted(path.glob("*_boxes.pkl")):
        case = read_arrays(file)
        scan = found.begin(file, file.name.removesuffix("_boxes.pkl"))
        if not needed(case, ("restore",), file):
            raise LunglineError(f"{file}: boxes on nnDetection's own grid. Predict again with restore.")
        try:
            boxes = np.asarray(needed(case, ("pred_boxes",), file), dtype=np.float64).reshape(-1, 6)
            direction = np.asarray(needed(case, ("itk_direction",), file), dtype=np.float64).reshape(3, 3)
            spacing = np.asarray(needed(case, ("itk_spacing",), file), dtype=np.float64).reshape(3)
            origin = np.asarray(needed(case, ("itk_origin",), file), dtype=np.float64).reshape(3)
        except (TypeError, ValueError):
            raise LunglineError(f"{file}: expected boxes of six numbers and a geometry of three axes.") from None
        centres_xyz = (boxes[:, [4, 1, 0]] + boxes[:, [5, 3, 2]]) / 2
        found.add(scan, file, origin + centres_xyz * spacing @ direction.T, needed(case, ("pred_scores",), file))
    return found.all()


def diag_json(path: Path, scans: Sequence[str]) -> Marks:
    """The results.json of DIAG's container of grt123: a list of entities with nodules in world mm."""
    found = Gathered(scans)
    for number, entity in enumerate(read_json(path)):
        where = f"{path}, [{number}]"
        scan = found.begin(where, image_stem(str(needed(entity, ("entity",), where))))
        nodules = needed(needed(entity, ("metrics",), where), ("nodules",), f"{where}, metrics")
        for place, nodule in enumerate(nodules if isinstance(nodules, list) else ()):
            here = f"{where}, nodules[{place}]"
            point = [needed(nodule, (axis,), here) for axis in "xyz"]
            found.add(scan, here, point, needed(nodule, ("probability",), here))
    return found.all()


def diag_xml(path: Path, scans: Sequence[str]) -> Marks:
    """DIAG's LungCADReport, a file or a folder of one a scan, with findings in world mm."""
    found = Gathered(scans)
    for file in sorted(path.glob("*.xml")) if path.is_dir() else [path]:
        report = read_xml(file)
        if report.tag != "LungCADReport":
            raise LunglineError(f"{file}: expected a LungCADReport. Found another XML.")
        if _xml_text(report, "LungCAD/CoordinateSystem", file) != "World":
            raise LunglineError(f"{file}: expected the CoordinateSystem World. Found another.")
        own = report.findtext("ImageInfo/SeriesUID") or ""
        scan = found.begin(file, *filter(None, (own.strip(), image_stem(file.stem))))
        for number, finding in enumerate(report.findall("Findings/Finding")):
            here = f"{file}, Finding {number}"
            numbers = [decimal(_xml_text(finding, name, here), name) for name in ("X", "Y", "Z", "Probability")]
            found.add(scan, here, numbers[:3], numbers[3])
    return found.all()


def _xml_text(parent: ElementTree.Element, name: str, where: object) -> str:
    text = parent.findtext(name)
    if text is None:
        raise LunglineError(f"{where}: expected an element '{name}'. There is none.")
    return text.strip()


def own_folder(path: Path, scans: Sequence[str]) -> Marks:
    """{scan}.csv of `lungline predict` (OUT or OUT/nodules) or of a step of the workflow that finds or ranks."""
    found = Gathered(scans)
    for file in sorted(own_tables(path)):
        scan = found.begin(file, file.stem)
        columns = ("x_mm", "y_mm", "z_mm", "score")
        rows = [[decimal(row[name], name) for name in columns] for _, row in read_rows(file, columns)]
        table = np.reshape(rows, (-1, 4))
        found.add(scan, file, table[:, :3], table[:, 3])
    return found.all()


def own_tables(path: Path) -> Iterable[Path]:
    """The tables of candidates in a folder of ours."""
    return ((path / "nodules") if (path / "nodules").is_dir() else path).glob("*.csv")


def label_maps(path: Path, scans: Sequence[str]) -> Marks:
    """Images whose labels 1, 2, ... are a mark each, at their centroids.

    The score of a label stands in SCAN.json (label -> score, or -> {"score": ...}, as nnDetection's boxes2nii writes)
    beside the image, or in scores.csv (scan, label, score) in the folder; without either, every mark has 1.
    """
    table: dict[tuple[str, int], float] = {}
    if (path / "scores.csv").is_file():
        columns = ("scan", "label", "score")
        rows = read_rows(path / "scores.csv", columns, numbers=columns[1:], foreign=True)
        table = {(row["scan"], int(decimal(row["label"], "label"))): decimal(row["score"], "score") for _, row in rows}

    def score(file: Path, scan: str, one: Instance) -> float:
        beside = file.with_name(f"{image_stem(file.name)}.json")
        if beside.is_file():
            value = needed(read_json(beside), (str(one.label),), beside)
            return float(needed(value, ("score",), f"{beside}, {one.label}") if isinstance(value, Mapping) else value)
        if not table:
            return 1.0
        if (scan, one.label) not in table:
            raise LunglineError(f"{path / 'scores.csv'}: no score for a label {one.label} of {file.name}.")
        return table[scan, one.label]

    found = Gathered(scans)
    for file in image_files(path):
        stem = image_stem(file.name)
        scan = found.begin(file, stem, stem.removesuffix("_boxes"), file.parent.name)
        parts = instances(file)
        found.add(scan, file, [one.centre_xyz_mm for one in parts], [score(file, scan, one) for one in parts])
    return found.all()


def masks(path: Path, scans: Sequence[str]) -> Marks:
    """Images in which each connected part (26 neighbours) of the voxels above 0 is a mark, at its centroid.

    The score is the largest probability in the part of nnU-Net's SCAN.npz beside it, of any class but the background;
    without one it is the part's volume in mm3.
    """
    found = Gathered(scans)
    for file in image_files(path):
        stem = image_stem(file.name)
        scan = found.begin(file, stem, file.parent.name)
        beside = file.with_name(f"{stem}.npz")
        parts = components(file, _probabilities(beside) if beside.is_file() else None)
        found.add(scan, file, [one.centre_xyz_mm for one in parts], [one.score for one in parts])
    return found.all()


def dicom_seg(path: Path, scans: Sequence[str]) -> Marks:
    """DICOM SEG, a file or a folder of one a scan (*.dcm at any depth): each segment is a mark at its centroid."""
    found = Gathered(scans)
    for file in seg_files(path):
        series, parts = segments(file)
        scan = found.begin(file, series)
        found.add(scan, file, [one.centre_xyz_mm for one in parts], [one.score for one in parts])
    return found.all()


def seg_files(path: Path) -> list[Path]:
    """The DICOM SEG of a folder, at any depth; other DICOM (an SR beside it) is passed over."""
    files = [path] if path.is_file() else sorted(path.rglob("*.dcm"))
    return [file for file, kind in zip(files, modalities(files), strict=True) if kind == "SEG"]


def dicom_sr(path: Path, scans: Sequence[str]) -> Marks:
    """DICOM SR of template TID 1500, a file or a folder of one a scan (*.dcm at any depth), with their SEG beside."""
    found = Gathered(scans)
    beside = segmentations(seg_files(path if path.is_dir() else path.parent))
    for file in sr_files(path):
        one = report(file, beside)
        scan = found.begin(file, *one.series)
        found.add(scan, file, [mark[:3] for mark in one.marks], [mark[3] for mark in one.marks])
    return found.all()


def _probabilities(path: Path) -> NDArray:
    """(Z, Y, X): the largest of the classes but the background, which is the first of several."""
    check(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_ARRAY_BYTES:
            raise ValueError(f"{size} bytes when unpacked")
        with np.load(path, allow_pickle=False) as stored:
            classes = stored["probabilities" if "probabilities" in stored else "softmax"]
    except Exception as error:  # a packed file may fail in any way
        raise LunglineError(
            f"{path}: expected an array 'probabilities'. There is none ({type(error).__name__})."
        ) from None
    return np.asarray(classes[1:] if len(classes) > 1 else classes).max(axis=0)
