"""The answer for a scan as DICOM: segmentation of its candidates, and structured report of their measurements.

Both name the patient, as their source does. Only `lungline.stages.write_dicom` calls this.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from highdicom.seg import Segmentation
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lungline import NOTICE, __version__
from lungline.imaging.source_planes import Plane, ranks_on_planes
from lungline.imaging.volume import Volume
from lungline.nodules.table import NoduleRow
from lungline.readers.dicom_headers import quiet
from lungline.readers.dicom_source import Series

MAKER = "lungline"
#: Series numbers behind those that scanners give.
_SEG_NUMBER, _SR_NUMBER = 9001, 9002
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
#: What DICOM has no code for.
_CANDIDATES = Code("candidates", "99LUNGLINE", "Number of nodule candidates")
_NONE_FOUND = Code("none-found", "99LUNGLINE", "No nodule candidate found")
_NOT_SEARCHED = Code("not-searched", "99LUNGLINE", "Nodules not searched by this classifier")
_SOME_FOUND = Code("found", "99LUNGLINE", "Nodule candidates found")
_LATERALITIES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


@dataclass(frozen=True)
class Objects:
    """`seg` is None for a scan without candidates."""

    seg: Segmentation | None
    sr: hd.sr.Comprehensive3DSR


def dicom_objects(series: Series, table: Mapping[str, Any], rows: Sequence[NoduleRow], ranks: Volume | None) -> Objects:
    """The segmentation and the report of a scan that was read from `series`.

    `table` is the nodule table (`lungline/schemas/nodules-2.json`) and `rows` are its rows; `ranks` (Z, Y, X) int holds
    the rank of each candidate in its voxels (`rank_map`), None where there is no candidate.

    UIDs follow from the source and the content: the same answer to the same series has the same UIDs, so an
    archive that gets it twice keeps it once.
    """
    content = hashlib.sha256(json.dumps(table, sort_keys=True).encode())
    if ranks is not None:
        content.update(np.ascontiguousarray(ranks.array).data)
    name = _Names(series.uid("SeriesInstanceUID"), content.hexdigest())
    with quiet():  # highdicom's warnings quote the patient's name
        if ranks is None or not rows:
            return Objects(None, _report(series, table, [], [], None, name))
        marked = ranks_on_planes(ranks, planes_of(series))
        seg = _segmentation(series, rows, marked, name)
        shown = [np.flatnonzero((marked == row.rank).any(axis=(1, 2))).tolist() for row in rows]
        return Objects(seg, _report(series, table, rows, shown, seg, name))


@dataclass(frozen=True)
class _Names:
    """UIDs of what is written about one series."""

    series: str
    content: str

    def uid(self, what: str) -> str:
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{MAKER} {what} {self.series} {self.content}').int}"

    def of(self, kind: str, number: int) -> dict[str, Any]:
        """Arguments that the constructors of all objects share."""
        equipment = hd.ContributingEquipment(
            MAKER,
            codes.DCM.ProcessingEquipment,
            manufacturer_model_name=MAKER,
            software_versions=__version__,
            contribution_description=NOTICE,
        )
        return {
            "series_instance_uid": self.uid(f"{kind} series"),
            "series_number": number,
            "sop_instance_uid": self.uid(kind),
            "instance_number": 1,
            "manufacturer": MAKER,
            "manufacturer_model_name": MAKER,
            "software_versions": __version__,
            "device_serial_number": __version__,
            "series_description": f"{MAKER} {kind}. {NOTICE}",
            "contributing_equipment": [equipment],
        }


# ---- the segmentation --------------------------------------------------------------------------------------


def planes_of(series: Series) -> list[Plane]:
    """Where the pixels of every slice lie."""
    planes = []
    for item in series.slices:
        assert item.position_xyz_mm  # what was read has a geometry
        assert item.orientation
        assert item.spacing_ji_mm
        along_i, along_j = np.array(item.orientation[:3]), np.array(item.orientation[3:])
        between_rows, between_columns = item.spacing_ji_mm
        position = np.array(item.position_xyz_mm)
        planes.append(Plane((item.rows, item.columns), position, along_i * between_columns, along_j * between_rows))
    return planes


def _segmentation(series: Series, rows: Sequence[NoduleRow], marked: NDArray[np.uint8], name: _Names) -> Segmentation:
    """A segment per candidate, numbered by rank, on the pixels of the source; `marked` is (slices, rows, columns)."""
    algorithm = hd.AlgorithmIdentificationSequence(MAKER, codes.DCM.ArtificialIntelligence, __version__)
    described = [
        hd.seg.SegmentDescription(
            segment_number=row.rank,
            segment_label=f"candidate {row.rank}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=name.uid(f"candidate {row.rank}"),
            tracking_id=f"candidate {row.rank}",
            anatomic_regions=[codes.SCT.Lung],
        )
        for row in rows
    ]
    return hd.seg.Segmentation(
        source_images=list(series.headers),
        pixel_array=_as_in_file(series, marked),
        segmentation_type="BINARY",
        segment_descriptions=described,
        content_label="NODULES",
        content_description=NOTICE,
        **name.of("SEG", _SEG_NUMBER),
    )


def _as_in_file(series: Series, marked: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """In the order of the headers: as they are, or as the frames stand in an enhanced CT, empty where none was read."""
    if not series.is_one_file:
        return marked
    frames = np.zeros((int(series.headers[0].NumberOfFrames), *marked.shape[1:]), dtype=np.uint8)
    frames[[item.frame for item in series.slices]] = marked
    return frames


# ---- the report --------------------------------------------------------------------------------------------


def _report(
    series: Series,
    table: Mapping[str, Any],
    rows: Sequence[NoduleRow],
    shown: Sequence[Sequence[int]],
    seg: Segmentation | None,
    name: _Names,
) -> sr.Comprehensive3DSR:
    """A report by TID 1500: a group of the scan, and one of every candidate; `shown` says in which slices it lies."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{MAKER} {__version__}').int}",
        manufacturer_name=MAKER,
        model_name=MAKER,
        serial_number=__version__,
    )
    of_candidates = [
        _of_candidate(row, _sources(series, numbers), series, name) for row, numbers in zip(rows, shown, strict=True)
    ]
    report = sr.MeasurementReport(
        sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
        codes.LN.CTUnspecifiedBodyRegion,
        [_of_scan(table, rows, name), *of_candidates],
        title=codes.DCM.ImagingMeasurementReport,
    )
    contains = sr.RelationshipTypeValues.CONTAINS
    report[0].ContentSequence.append(sr.TextContentItem(codes.DCM.Comment, NOTICE, contains))
    return sr.Comprehensive3DSR(
        evidence=[*series.headers, *([] if seg is None else [seg])],
        content=report,
        is_complete=True,
        **name.of("SR", _SR_NUMBER),
    )


def _of_scan(table: Mapping[str, Any], rows: Sequence[NoduleRow], name: _Names) -> Any:
    """Number of candidates, and the patient's probability of cancer where there is one."""
    searched, probability = table["nodules"] is not None, table["patient"]["cancer_probability"]
    measured = [sr.Measurement(_CANDIDATES, float(len(rows)), codes.UCUM.NoUnits)] if searched else []
    if probability is not None:  # readers' opinion of nodules is none, and has no code
        measured.append(_percent(codes.DCM.ProbabilityOfCancer, probability, table["classifier"]))
    found = (_SOME_FOUND if rows else _NONE_FOUND) if searched else _NOT_SEARCHED
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(name.uid("scan"), "scan"),
        finding_type=found,
        finding_sites=[sr.FindingSite(codes.SCT.Thorax)],
        measurements=measured,
    )


def _of_candidate(
    row: NoduleRow, sources: Sequence[sr.SourceImageForSegmentation], series: Series, name: _Names
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Place, size and scores of one candidate, with its segment and the images that show it."""
    measured = [
        sr.Measurement(codes.SCT.LongAxis, row.long_axis_mm, codes.UCUM.Millimeter),
        sr.Measurement(codes.SCT.Volume, row.volume_mm3, codes.UCUM.CubicMillimeter),
        _percent(codes.DCM.CertaintyOfFinding, row.nodule_probability, None),
    ]
    if row.cancer_probability is not None:
        measured.append(_percent(codes.DCM.ProbabilityOfCancer, row.cancer_probability, None))
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(name.uid(f"candidate {row.rank}"), f"candidate {row.rank}"),
        referenced_segment=sr.ReferencedSegment(_SEGMENTATION, name.uid("SEG"), row.rank, source_images=sources),
        finding_type=codes.SCT.Nodule,
        finding_sites=[sr.FindingSite(codes.SCT.Lung, laterality=_LATERALITIES[row.laterality])],
        measurements=measured,
    )
    centre = sr.Scoord3DContentItem(
        codes.DCM.Center,
        sr.GraphicTypeValues3D.POINT,
        np.array([[row.x_mm, row.y_mm, row.z_mm]]),
        series.uid("FrameOfReferenceUID"),
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
    group[0].ContentSequence.append(centre)
    return group


def _sources(series: Series, numbers: Sequence[int]) -> list[sr.SourceImageForSegmentation]:
    """The images, or frames of an enhanced CT, that show a candidate."""
    if series.is_one_file:
        header, frames = series.headers[0], [series.slices[k].frame + 1 for k in numbers]
        return [sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID, frames)]
    headers = [series.headers[k] for k in numbers]
    return [sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID) for header in headers]


def _percent(concept: Code, share: float, classifier: str | None) -> sr.Measurement:
    """A probability; `classifier` is the one that gives it."""
    algorithm = None if classifier is None else sr.AlgorithmIdentification(f"{MAKER} {classifier}", __version__)
    return sr.Measurement(concept, 100 * share, codes.UCUM.Percent, algorithm_id=algorithm)
