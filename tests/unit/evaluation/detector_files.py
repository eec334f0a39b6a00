"""One set of marks written in the formats of other projects, from their documentation; nothing is copied."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import SimpleITK

from lungline.storage.submissions import marks_text
from lungline.storage.tables import table_text
from tests.dicom_series import write_series

SHAPE_ZYX = (20, 24, 28)
SPACING_XYZ = (1.5, 1.25, 2.0)
ORIGIN_XYZ = (-30.0, -12.5, 40.0)

#: scan -> voxel (z, y, x) of each mark, no two touching, and its score, exact in half precision.
VOXELS = {
    "1.2.1": [((3, 4, 5), 0.875), ((10, 12, 20), 0.5), ((17, 20, 3), 0.25)],
    "1.2.2": [((5, 5, 5), 0.75), ((9, 20, 22), 0.625)],
    "1.2.3": [((12, 3, 9), 0.375)],
    "1.2.4": [],
}
TRUTH = (
    "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    "1.2.1,-22.5,-7.5,46,6\n1.2.1,0.5,2.5,60,4\n1.2.2,3,12.5,58,8\n1.2.2,10,10,70,5\n1.2.3,-16.5,-8.75,64,5\n"
)


def world(voxel_zyx: tuple[int, int, int]) -> tuple[float, float, float]:
    x, y, z = np.array(ORIGIN_XYZ) + np.array(voxel_zyx[::-1]) * SPACING_XYZ
    return float(x), float(y), float(z)


MARKS = {scan: [(*world(voxel), score) for voxel, score in some] for scan, some in VOXELS.items()}


def write_image(path: Path, array: np.ndarray) -> None:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SPACING_XYZ)
    image.SetOrigin(ORIGIN_XYZ)
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


def luna16(folder: Path) -> Path:
    path = folder / "submission.csv"
    path.write_text(marks_text((scan, mark) for scan, marks in MARKS.items() for mark in marks))
    return path


def monai(folder: Path, mode: str, *, tutorial: bool = True) -> Path:
    entries = []
    for scan, marks in MARKS.items():
        size = np.array([4.0, 6.0, 8.0])
        centres = np.reshape(marks, (-1, 4))[:, :3]
        boxes = [[*c, *size] if mode == "cccwhd" else [*(c - size / 2), *(c + size / 2)] for c in centres]
        scores = "score" if tutorial else "label_scores"
        entry = {"box": boxes, "label": [0] * len(marks), scores: [mark[3] for mark in marks], "unknown": None}
        entries.append(entry | {"image": f"/data/{scan}/{scan}.nii.gz"})
    path = folder / f"{mode}.json"
    path.write_text(json.dumps({"validation": entries} if tutorial else entries))
    return path


def nndetection(folder: Path, **changes: object) -> Path:
    for scan, some in VOXELS.items():
        centres = np.reshape([voxel for voxel, _ in some], (-1, 3)).astype(np.float32)
        low, high = centres - 1.5, centres + 1.5
        case = {
            "pred_boxes": np.stack([low[:, 0], low[:, 1], high[:, 0], high[:, 1], low[:, 2], high[:, 2]], axis=1),
            "pred_scores": np.array([score for _, score in some], dtype=np.float32),
            "pred_labels": np.zeros(len(some)),
            "restore": True,
            "original_size_of_raw_data": np.array(SHAPE_ZYX),
            "itk_origin": ORIGIN_XYZ,
            "itk_spacing": SPACING_XYZ,
            "itk_direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        }
        (folder / f"{scan.replace('.', '_')}_boxes.pkl").write_bytes(pickle.dumps({**case, **changes}))
    return folder


def label_map(folder: Path, suffix: str = ".nii.gz", *, scores: bool = True) -> Path:
    rows = []
    for scan, some in VOXELS.items():
        labels = np.zeros(SHAPE_ZYX, dtype=np.uint8)
        for label, (voxel, score) in enumerate(some, start=1):
            labels[voxel] = label
            rows.append((scan, label, score))
        write_image(folder / f"{scan}{suffix}", labels)
    if scores:
        (folder / "scores.csv").write_text(table_text(("scan", "label", "score"), rows))
    return folder


def mask(folder: Path, *, probabilities: bool = True) -> Path:
    for scan, some in VOXELS.items():
        inside = np.zeros(SHAPE_ZYX, dtype=np.uint8)
        classes = np.zeros((2, *SHAPE_ZYX), dtype=np.float16)
        for voxel, score in some:
            inside[voxel], classes[1][voxel] = 1, score
        classes[0] = 1 - classes[1]
        write_image(folder / f"{scan}.nii.gz", inside)
        if probabilities:
            np.savez_compressed(folder / f"{scan}.npz", probabilities=classes)
    return folder


def diag_json(folder: Path) -> Path:
    path = folder / "results.json"
    entities = [
        {
            "entity": f"{scan}.mhd",
            "metrics": {"nodules": [dict(zip(("x", "y", "z", "probability"), mark, strict=True)) for mark in marks]},
            "error_messages": [],
        }
        for scan, marks in MARKS.items()
    ]
    path.write_text(json.dumps(entities))
    return path


def diag_xml(folder: Path, system: str = "World") -> Path:
    for scan, marks in MARKS.items():
        root = ElementTree.Element("LungCADReport")
        ElementTree.SubElement(ElementTree.SubElement(root, "LungCAD"), "CoordinateSystem").text = system
        ElementTree.SubElement(ElementTree.SubElement(root, "ImageInfo"), "SeriesUID").text = scan
        findings = ElementTree.SubElement(root, "Findings")
        for mark in marks:
            finding = ElementTree.SubElement(findings, "Finding")
            for name, number in zip(("X", "Y", "Z", "Probability"), mark, strict=True):
                ElementTree.SubElement(finding, name).text = repr(number)
        ElementTree.ElementTree(root).write(folder / f"{scan}.mhd.xml")
    return folder


def dicom_seg(folder: Path) -> Path:
    """Fractional segments, 256 steps: scores that are eighths are kept in their order, not to the bit."""
    import highdicom
    from pydicom.sr.codedict import codes

    spacing = SPACING_XYZ[::-1]
    for number, (scan, some) in enumerate(VOXELS.items()):
        if not some:
            continue  # a SEG has a segment at least
        ct = folder / "ct" / scan
        write_series(ct, np.zeros(SHAPE_ZYX, np.int16), spacing_kji=spacing, origin=ORIGIN_XYZ)
        source = sorted((pydicom.dcmread(file) for file in ct.iterdir()), key=lambda d: d.ImagePositionPatient[2])
        for dataset in source:
            dataset.SeriesInstanceUID = scan
        parts = np.zeros((*SHAPE_ZYX, len(some)), dtype=np.float32)
        for label, (voxel, score) in enumerate(some):
            parts[(*voxel, label)] = score
        described = [
            highdicom.seg.SegmentDescription(
                label, "nodule", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Nodule, "MANUAL"
            )
            for label in range(1, len(some) + 1)
        ]
        seg = highdicom.seg.Segmentation(
            source,
            parts,
            "FRACTIONAL",
            described,
            f"2.25.{number + 1}",
            1,
            f"2.25.{number + 11}",
            1,
            "a",
            "b",
            "1",
            "1",
        )
        (folder / "seg").mkdir(exist_ok=True)
        seg.save_as(folder / "seg" / f"{number}.dcm")
    return folder / "seg"


def dicom_sr(folder: Path, *, with_seg: bool = False, coordinates: bool = False) -> Path:
    """A report of TID 1500 a scan by highdicom: a point in space a group; with SEG, the segment alone, as dcmqi does.

    A dcmqi report says of each group which series was segmented; `coordinates` are those of a point in an image.
    """
    import highdicom
    from highdicom import sr
    from pydicom.sr.codedict import codes

    out = dicom_seg(folder) if with_seg else folder / "sr"
    out.mkdir(exist_ok=True)
    observer = sr.DeviceObserverIdentifyingAttributes(uid="2.25.7")
    context = sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, observer))
    for number, (scan, marks) in enumerate(MARKS.items()):
        if with_seg and not marks:
            continue
        ct = folder / "ct" / scan
        if not ct.exists():
            write_series(ct, np.zeros((2, 4, 4), np.int16), spacing_kji=(2, 1, 1), origin=ORIGIN_XYZ)
        source = [pydicom.dcmread(file) for file in sorted(ct.iterdir())]
        for dataset in source:
            dataset.SeriesInstanceUID = scan
        source += [pydicom.dcmread(out / f"{number}.dcm")] if with_seg else []
        groups = []
        for label, (*point, score) in enumerate(marks, start=1):
            certainty = sr.Measurement(codes.DCM.CertaintyOfFinding, 100 * score, codes.UCUM.Percent)
            volume = sr.Measurement(codes.SCT.Volume, 7.0, codes.UCUM.CubicMillimeter)
            group = sr.MeasurementsAndQualitativeEvaluations(
                sr.TrackingIdentifier(f"2.25.9{label}", f"finding {label}"), measurements=[volume, certainty]
            )
            contains = sr.RelationshipTypeValues.CONTAINS
            if with_seg:
                uid = f"2.25.{number + 11}"
                segment = highdicom.sr.ImageContentItem(
                    codes.DCM.ReferencedSegment,
                    "1.2.840.10008.5.1.4.1.1.66.4",
                    uid,
                    referenced_segment_numbers=[label],
                    relationship_type=contains,
                )
                series = sr.UIDRefContentItem(codes.DCM.SourceSeriesForSegmentation, scan, contains)
                group[0].ContentSequence.extend([segment, series])
            elif coordinates:
                place = sr.ScoordContentItem(codes.DCM.Center, "POINT", np.array([[1.0, 1.0]]), None, None, contains)
                group[0].ContentSequence.append(place)
            else:
                where = np.array([point])
                place = sr.Scoord3DContentItem(codes.DCM.Center, "POINT", where, "2.25.3", relationship_type=contains)
                group[0].ContentSequence.append(place)
            groups.append(group)
        whole = sr.MeasurementsAndQualitativeEvaluations(sr.TrackingIdentifier("2.25.8", "scan"))
        report = sr.MeasurementReport(context, codes.LN.CTUnspecifiedBodyRegion, [whole, *groups])
        document = sr.Comprehensive3DSR(source, report, f"2.25.{number + 21}", 1, f"2.25.{number + 31}", 1, "a")
        document.save_as(out / f"sr-{number}.dcm")
    return out


def lungline(folder: Path) -> Path:
    (folder / "nodules").mkdir()
    write_image(folder / "private" / "raw" / "1.2.1.nii.gz", np.zeros((2, 2, 2), np.int16))
    for scan, marks in MARKS.items():
        rows = [(rank, mark[3], *mark[:3]) for rank, mark in enumerate(marks, start=1)]
        text = table_text(("rank", "score", "x_mm", "y_mm", "z_mm"), rows)
        (folder / "nodules" / f"{scan}.csv").write_text(text)
    return folder


def lidc(path: Path, scan: str, sessions: Mapping[str, list[str]]) -> Path:
    """An XML of LIDC: by the reader's name, the text of its nodules."""
    parts = "".join(f"<readingSession>{''.join(some)}</readingSession>" for some in sessions.values())
    head = f"<ResponseHeader><SeriesInstanceUid>{scan}</SeriesInstanceUid></ResponseHeader>"
    path.write_text(f'<LidcReadMessage xmlns="http://www.nih.gov">{head}{parts}</LidcReadMessage>')
    return path


def roi(z_mm: float, points: list[tuple[int, int]], inclusion: str = "TRUE") -> str:
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return f"<roi><imageZposition>{z_mm}</imageZposition><inclusion>{inclusion}</inclusion>{edges}</roi>"
