"""The answer for a scan as DICOM: a segmentation of its findings, and a report of their measurements.

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
from lungline.names import PROBABILITIES
from lungline.nodules.table import NoduleRow
from lungline.readers.dicom_headers import quiet
from lungline.readers.dicom_source import Series

MAKER = "lungline"
#: Series numbers behind those that scanners give.
_SEG_NUMBER, _SR_NUMBER = 9001, 9002
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
#: What DICOM has no code for.
_FINDINGS = Code("findings", "99LUNGLINE", "Number of findings")
_ALSO = Code("also-looked-at", "99LUNGLINE", "Number of candidates with a smaller score than a finding")
_NONE_FOUND = Code("none-found", "99LUNGLINE", "No nodule found")
_NOT_SEARCHED = Code("not-searched", "99LUNGLINE", "Nodules not searched by this classifier")
_SOME_FOUND = Code("found", "99LUNGLINE", "Nodules found")
_SCORE = Code("score", "99LUNGLINE", "Score that findings are ranked by")
_IMAGE = Code("instance-number", "99LUNGLINE", "Instance Number of the nearest image, or number of its frame")
_POSITION = Code("slice-position", "99LUNGLINE", "Position of the nearest image along the normal of the images")
#: Columns of the nodule table -> concept and unit; those without a value stand in no report.
_SIZES = {
    "long_axis_mm": (codes.SCT.LongAxis, codes.UCUM.Millimeter),
    "short_axis_mm": (codes.SCT.ShortAxis, codes.UCUM.Millimeter),
    "volume_mm3": (codes.SCT.Volume, codes.UCUM.CubicMillimeter),
    "mean_diameter_mm": (Code("mean-diameter", "99LUNGLINE", "Mean of long and short axis"), codes.UCUM.Millimeter),
    "mean_diameter_low_mm": (
        Code("diameter-low", "99LUNGLINE", "Low end of the 95 % interval of the mean diameter"),
        codes.UCUM.Millimeter,
    ),
    "mean_diameter_high_mm": (
        Code("diameter-high", "99LUNGLINE", "High end of the 95 % interval of the mean diameter"),
        codes.UCUM.Millimeter,
    ),
}
_GOLDEN_DEGREES = 137.508  # between the hues of neighbouring ranks, so that no two are alike
_LIGHTNESS, _CHROMA = 70.0, 36.0  # every hue of these is a colour that a screen can show
_LATERALITIES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


@dataclass(frozen=True)
class Objects:
    """`seg` is None for a scan without findings."""

    seg: Segmentation | None
    sr: hd.sr.Comprehensive3DSR


def dicom_objects(series: Series, table: Mapping[str, Any], rows: Sequence[NoduleRow], ranks: Volume | None) -> Objects:
    """The segmentation and the report of a scan that was read from `series`.

    `table` is the nodule table (`lungline/schemas/nodules-2.json`) and `rows` are its rows, of which the findings are
    written; `ranks` (Z, Y, X) int holds the rank of each candidate in its voxels (`rank_map`), None where there is no
    candidate.

    UIDs follow from the source and the content: the same answer to the same series has the same UIDs, so an archive
    that gets it twice keeps it once. But for dates and times it has the same bytes.
    """
    findings = [row for row in rows if row.finding]
    content = hashlib.sha256(json.dumps(table, sort_keys=True).encode())
    if ranks is not None:
        content.update(np.ascontiguousarray(ranks.array).data)
    name = _Names(series.uid("SeriesInstanceUID"), content.hexdigest())
    with quiet():  # highdicom's warnings quote the patient's name
        if ranks is None or not findings:
            return Objects(None, _report(series, table, [], [], None, name))
        marked = ranks_on_planes(ranks, planes_of(series), [row.rank for row in findings])
        seg = _segmentation(series, findings, marked, name)
        shown = [np.flatnonzero((marked == row.rank).any(axis=(1, 2))).tolist() for row in findings]
        return Objects(seg, _report(series, table, findings, shown, seg, name))


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
    """A segment a finding, numbered by rank, on the pixels of the source; `marked` is (slices, rows, columns)."""
    algorithm = hd.AlgorithmIdentificationSequence(MAKER, codes.DCM.ArtificialIntelligence, __version__)
    described = [
        hd.seg.SegmentDescription(
            segment_number=row.rank,
            segment_label=f"finding {row.rank}, {row.long_axis_mm:.1f} mm",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=name.uid(f"finding {row.rank}"),
            tracking_id=f"finding {row.rank}",
            anatomic_regions=[codes.SCT.Lung],
            display_color=_colour(row.rank),
        )
        for row in rows
    ]
    for segment, row in zip(described, rows, strict=True):
        (region,) = segment.AnatomicRegionSequence
        region.AnatomicRegionModifierSequence = [sr.CodedConcept.from_code(_LATERALITIES[row.laterality])]
    seg = hd.seg.Segmentation(
        source_images=list(series.headers),
        pixel_array=_as_in_file(series, marked),
        segmentation_type="BINARY",
        segment_descriptions=described,
        content_label="NODULES",
        content_description=NOTICE,
        **name.of("SEG", _SEG_NUMBER),
    )
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):  # highdicom draws one
        item.DimensionOrganizationUID = name.uid("dimensions")
    return seg


def _colour(rank: int) -> hd.color.CIELabColor:
    """A light colour that the next ranks do not share."""
    hue = np.deg2rad(rank * _GOLDEN_DEGREES)
    return hd.color.CIELabColor(_LIGHTNESS, float(_CHROMA * np.cos(hue)), float(_CHROMA * np.sin(hue)))


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
    """A report by TID 1500: a group of the scan, and one of every finding; `shown` says in which slices it lies."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{MAKER} {__version__}').int}",
        manufacturer_name=MAKER,
        model_name=MAKER,
        serial_number=__version__,
    )
    of_findings = [
        _of_finding(row, _sources(series, numbers), series, name, table)
        for row, numbers in zip(rows, shown, strict=True)
    ]
    report = sr.MeasurementReport(
        sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
        codes.LN.CTUnspecifiedBodyRegion,
        [_of_scan(table, rows, name), *of_findings],
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
    """How many findings there are, and the patient's probability of cancer where there is one."""
    searched, probability = table["nodules"] is not None, table["patient"]["cancer_probability"]
    counts = {_FINDINGS: len(rows), _ALSO: len(table["also_looked_at"])} if searched else {}
    measured = [sr.Measurement(what, float(count), codes.UCUM.NoUnits) for what, count in counts.items()]
    if probability is not None:  # readers' opinion of nodules is none, and has no code
        measured.append(_percent(codes.DCM.ProbabilityOfCancer, probability, table["classifier"]))
    found = (_SOME_FOUND if rows else _NONE_FOUND) if searched else _NOT_SEARCHED
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(name.uid("scan"), "scan"),
        finding_type=found,
        finding_sites=[sr.FindingSite(codes.SCT.Thorax)],
        measurements=measured,
    )


def _measured(row: NoduleRow, table: Mapping[str, Any]) -> list[sr.Measurement]:
    """Scores, size and nearest image of one finding; the certainty is what the rank is by.

    OHIF writes the first five beside a finding: the scores, long axis, short axis and volume.
    """
    if table["ranked_by"] in PROBABILITIES:
        measured = [_percent(codes.DCM.CertaintyOfFinding, row.score, None)]
    else:
        measured = [sr.Measurement(_SCORE, row.score, codes.UCUM.NoUnits)]
    if row.cancer_probability is not None:
        measured.append(_percent(codes.DCM.ProbabilityOfCancer, row.cancer_probability, None))
    sizes = [(getattr(row, name), *coded) for name, coded in _SIZES.items()]
    measured += [sr.Measurement(concept, value, unit) for value, concept, unit in sizes if value is not None]
    hu, unit = codes.DCM.AttenuationCoefficient, codes.UCUM.HounsfieldUnit
    measured += [
        sr.Measurement(hu, row.mean_hu, unit, derivation=codes.SCT.Mean),
        sr.Measurement(_POSITION, row.slice_position_mm, codes.UCUM.Millimeter),
    ]
    if row.instance_number is not None:
        measured.append(sr.Measurement(_IMAGE, float(row.instance_number), codes.UCUM.NoUnits))
    return measured


def _of_finding(
    row: NoduleRow,
    sources: Sequence[sr.SourceImageForSegmentation],
    series: Series,
    name: _Names,
    table: Mapping[str, Any],
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Place, size and scores of one finding, with its segment and the images that show it."""
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(name.uid(f"finding {row.rank}"), f"finding {row.rank}"),
        referenced_segment=sr.ReferencedSegment(_SEGMENTATION, name.uid("SEG"), row.rank, source_images=sources),
        finding_type=codes.SCT.Nodule,
        finding_sites=[sr.FindingSite(codes.SCT.Lung, laterality=_LATERALITIES[row.laterality])],
        measurements=_measured(row, table),
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
    """The images, or frames of an enhanced CT, that show a finding."""
    if series.is_one_file:
        header, frames = series.headers[0], [series.slices[k].frame + 1 for k in numbers]
        return [sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID, frames)]
    headers = [series.headers[k] for k in numbers]
    return [sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID) for header in headers]


def _percent(concept: Code, share: float, classifier: str | None) -> sr.Measurement:
    """A probability; `classifier` is the one that gives it."""
    algorithm = None if classifier is None else sr.AlgorithmIdentification(f"{MAKER} {classifier}", __version__)
    return sr.Measurement(concept, 100 * share, codes.UCUM.Percent, algorithm_id=algorithm)
