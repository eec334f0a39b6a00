"""Marks in DICOM SR by template TID 1500, as we, highdicom and dcmqi write them: places and scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungline.errors import LunglineError
from lungline.evaluation.marks_in_maps import in_sandbox, modalities, segments
from lungline.readers.dicom_headers import check_inflated_size, quiet
from lungline.storage.checksums import check

_GROUP = ("125007", "DCM")  # Measurement Group
#: What a mark is ranked by, the first that a group has: certainty of finding, our score, probability of cancer.
_SCORES = (("111012", "DCM"), ("score", "99LUNGLINE"), ("111047", "DCM"))
_SERIES = ("121232", "DCM")  # Source series for segmentation
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_DEEPEST = 16
_CONTENT, _UNDEFINED = 0x0040_A730, 0xFFFF_FFFF  # ContentSequence; a length that is not told
WITHOUT_SCORE = 1.0


@dataclass(frozen=True)
class Report:
    """The series that a report may be about, in the order of likelihood, and its marks."""

    series: tuple[str, ...]
    marks: tuple[tuple[float, float, float, float], ...]


def sr_files(path: Path) -> list[Path]:
    """The measurement reports (TID 1500) of a folder, at any depth; other SR, of dose for example, are passed over."""
    files = [path] if path.is_file() else sorted(path.rglob("*.dcm"))
    return [file for file, kind in zip(files, modalities(files), strict=True) if kind == "SR"]


def report(path: Path, beside: Mapping[str, Path]) -> Report:
    """The marks of a report; `beside` holds the DICOM SEG that it may refer to, by SOP Instance UID.

    The place of a measurement group is its point or the mean of its points in space (SCOORD3D), else the centroid of
    the segment that it names. Groups with neither are about the scan. `LunglineError` where the only place is in the
    plane of an image, or the segment is not there.
    """
    check(path)
    series, groups = in_sandbox(lambda: _read(path), f"{path}: expected a DICOM SR of template TID 1500.")
    known: dict[str, dict[int, tuple[float, float, float]]] = {}
    marks = []
    for number, (point, segment, in_plane, score) in enumerate(groups):
        if point is None and segment is not None:
            uid, label = segment
            if uid not in beside:
                raise LunglineError(f"{path}, group {number}: its DICOM SEG is not here. Put it beside.")
            if uid not in known:
                known[uid] = {one.label: one.centre_xyz_mm for one in segments(beside[uid])[1]}
            if label not in known[uid]:
                raise LunglineError(f"{path}, group {number}: {beside[uid].name} has no voxel of segment {label}.")
            point = known[uid][label]
        if point is not None:
            x, y, z = point
            marks.append((x, y, z, score))
        elif in_plane:
            raise LunglineError(
                f"{path}, group {number}: expected a place in space (SCOORD3D) or a segment. Found one in an image."
            )
    return Report(tuple(series), tuple(marks))


def segmentations(files: Sequence[Path]) -> dict[str, Path]:
    """DICOM SEG by SOP Instance UID."""
    import pydicom

    def work() -> list[str]:
        with quiet():
            return [str(pydicom.dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for file in files]

    return dict(zip(in_sandbox(work, "expected DICOM files."), files, strict=True))


def _read(path: Path) -> tuple[list[str], list[tuple[Any, ...]]]:
    import pydicom

    with quiet():
        check_inflated_size(path)
        dataset = pydicom.dcmread(path)
        raw = dataset.get_item(_CONTENT) if _CONTENT in dataset else None
        length, held = getattr(raw, "length", None), getattr(raw, "value", None)
        if isinstance(held, bytes) and length not in (_UNDEFINED, len(held)):  # pydicom reads what is left of it
            raise LunglineError(f"{path}: expected a DICOM SR of template TID 1500. It is cut off.")
        if not dataset.get("ContentSequence"):
            raise LunglineError(f"{path}: expected a DICOM SR of template TID 1500. Its content is missing.")
        groups = [item for item in _items(dataset) if _concept(item) == _GROUP and item.ValueType == "CONTAINER"]
        named = [str(item.UID) for item in _items(dataset) if item.ValueType == "UIDREF" and _concept(item) == _SERIES]
        evidence = [
            str(series.SeriesInstanceUID)
            for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
            for study in dataset.get(name) or ()
            for series in study.ReferencedSeriesSequence
            if any(str(one.ReferencedSOPClassUID) != _SEGMENTATION for one in series.ReferencedSOPSequence)
        ]
        if not (named or evidence):
            raise LunglineError(f"{path}: expected the series that it is about. Found none.")
        return list(dict.fromkeys((*named, *evidence))), [_group(item) for item in groups]


def _items(dataset: Any, depth: int = 0) -> Iterator[Any]:
    """Every content item below one."""
    for item in dataset.get("ContentSequence") or () if depth < _DEEPEST else ():
        yield item
        yield from _items(item, depth + 1)


def _concept(item: Any) -> tuple[str, str]:
    sequence = item.get("ConceptNameCodeSequence")
    return (str(sequence[0].CodeValue), str(sequence[0].CodingSchemeDesignator)) if sequence else ("", "")


def _group(group: Any) -> tuple[list[float] | None, tuple[str, int] | None, bool, float]:
    """Point in mm, segment (SOP Instance UID, number), whether a place is in an image's plane, and score."""
    points: list[Any] = []
    alone: Any = None
    segment, in_plane, scores = None, False, {}
    for item in _items(group):
        if item.ValueType == "SCOORD3D":
            data = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 3)
            if len(data) > 1 and np.array_equal(data[0], data[-1]):
                data = data[:-1]  # a closed outline
            points.append(data)
            alone = data[0] if item.GraphicType == "POINT" and alone is None else alone
        elif item.ValueType == "SCOORD":
            in_plane = True
        elif item.ValueType == "IMAGE" and segment is None:
            reference = item.ReferencedSOPSequence[0]
            if number := reference.get("ReferencedSegmentNumber"):
                segment = (str(reference.ReferencedSOPInstanceUID), int(np.ravel(number)[0]))
        elif item.ValueType == "NUM" and item.get("MeasuredValueSequence"):
            value = item.MeasuredValueSequence[0]
            percent = str(value.MeasurementUnitsCodeSequence[0].CodeValue) == "%"
            scores[_concept(item)] = float(value.NumericValue) / (100 if percent else 1)
    score = next((scores[name] for name in _SCORES if name in scores), WITHOUT_SCORE)
    if alone is not None:
        return alone.tolist(), segment, in_plane, score
    return (np.concatenate(points).mean(axis=0).tolist() if points else None), segment, in_plane, score
