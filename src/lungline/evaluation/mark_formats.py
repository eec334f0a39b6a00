"""The one table of the formats that `lungline froc` reads, for marks and for ground truth.

`python -m lungline.evaluation.mark_formats` prints the page docs/reference/froc-formats.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lungline.errors import LunglineError
from lungline.evaluation import mark_readers as readers
from lungline.evaluation.lidc_xml import lidc_truth
from lungline.evaluation.mark_readers import Gathered, Marks
from lungline.evaluation.marks_in_maps import components, image_files, image_stem, instances, is_ambiguous
from lungline.evaluation.marks_in_reports import sr_files
from lungline.names import did_you_mean
from lungline.nodules.annotations import Nodule, read_annotations
from lungline.storage.submissions import read_marks
from lungline.storage.tables import read_rows


@dataclass(frozen=True)
class MarkFormat:
    """A format of marks: what it looks like, where that is written, who reads it."""

    what: str
    source: str
    read: Callable[[Path, Sequence[str]], Marks]
    #: Whether a scan without an entry or a file of its own is told from one without a mark.
    says_what_was_searched: bool = True


FORMATS: Mapping[str, MarkFormat] = {
    "luna16": MarkFormat(
        "a CSV: seriesuid, coordX, coordY, coordZ, probability",
        "LUNA-16, submission format of noduleCADEvaluationLUNA16.py",
        lambda path, scans: dict(read_marks(path)),
        says_what_was_searched=False,
    ),
    "monai-cccwhd": MarkFormat(
        "a JSON: image, box (centre and size, world mm), score or label_scores",
        "MONAI tutorials 1e34ecf, detection/luna16_testing.py; model-zoo 2410d1a, "
        "lung_nodule_ct_detection/scripts/detection_saver.py",
        readers.monai("cccwhd"),
    ),
    "monai-xyzxyz": MarkFormat(
        "the same with box as two corners",
        "as above, with gt_box_mode xyzxyz",
        readers.monai("xyzxyz"),
    ),
    "nndetection": MarkFormat(
        "a folder of CASE_boxes.pkl: pred_boxes, pred_scores, restore, itk_origin, itk_spacing, itk_direction; only "
        "arrays, numbers and text are unpickled",
        "nnDetection 0b578ab, nndet/inference/ensembler/detection.py, "
        "projects/Task016_Luna/scripts/prepare_eval_cpm.py",
        readers.nndetection,
    ),
    "label-map": MarkFormat(
        "a folder of SCAN.nii.gz, .nii, .nrrd, .mha, .mhd, or SCAN/any.nii.gz: each label is a mark at its centroid; "
        "scores in scores.csv (scan, label, score) or SCAN.json (label: score), without them 1",
        "nnDetection 0cdad98, scripts/utils.py (boxes2nii), for the JSON",
        readers.label_maps,
    ),
    "mask": MarkFormat(
        "the same, where each connected part (26 neighbours) above 0 is a mark; score: largest foreground probability "
        "of SCAN.npz, without it the volume",
        "nnU-Net 0a3c6b2, nnunetv2/inference/export_prediction.py; the file lung_nodules.nii.gz of TotalSegmentator",
        readers.masks,
    ),
    "diag-json": MarkFormat(
        "results.json: entity, metrics, nodules with x, y, z (world mm), probability",
        "DIAGNijmegen bodyct-dsb2017-grt123 1324d7b, processor/apply.py",
        readers.diag_json,
    ),
    "diag-xml": MarkFormat(
        "a LungCADReport with CoordinateSystem World, or a folder of them",
        "DIAGNijmegen bodyct-dsb2017-grt123 1113533, xmlreport.py",
        readers.diag_xml,
    ),
    "dicom-seg": MarkFormat(
        "DICOM SEG, a file or a folder of one a scan (.dcm): each segment is a mark at its centroid, of the referenced "
        "series; the score is the largest fraction, 1 for binary segments. Needs lungline[pacs]",
        "DICOM PS3.3 A.51; read by highdicom 0.28",
        readers.dicom_seg,
    ),
    "dicom-sr": MarkFormat(
        "DICOM SR (TID 1500), a file or a folder of one a scan (.dcm): each measurement group is a mark at its points "
        "in space (SCOORD3D), else at "
        "its segment's centroid in a SEG beside; score: certainty of finding, our score, probability of cancer or 1",
        "DICOM PS3.16 TID 1500, as by highdicom 0.28 and dcmqi's tid1500writer",
        readers.dicom_sr,
    ),
    "lungline": MarkFormat(
        "OUT of `lungline predict`, or a folder of SCAN.csv with x_mm, y_mm, z_mm, score",
        "results/README.md",
        readers.own_folder,
    ),
}

TRUTHS: Mapping[str, tuple[str, str]] = {
    "luna16": ("a CSV: seriesuid, coordX, coordY, coordZ, diameter_mm; also our cohort/nodules.csv", "LUNA-16"),
    "label-map": ("a folder of label maps as above; diameter of the ball with the label's volume", "-"),
    "mask": ("the same for connected parts", "-"),
    "lidc-xml": (
        "LIDC's XML, a file or a folder, with --images (the scans) and --agreement (readers, 1 to 4). The outline "
        "itself is outside the nodule. Readings closer than the sum of their radii are one nodule, with mean place "
        "and diameter. What too few readers outlined, nodules below 3 mm and non-nodules count neither way",
        "LIDC XML file documentation 1.0; McNitt-Gray 2007; Setio 2017",
    ),
}


def read_predictions(path: Path, name: str, scans: Sequence[str]) -> tuple[str, Marks]:
    """The name of the format (`auto`: by content) and the marks of a detector, for the listed scans."""
    if not path.exists():
        raise LunglineError(f"{path}: no such file or folder. Name the marks of the detector.")
    name = format_of(path) if name == "auto" else name
    if name not in FORMATS:
        raise LunglineError(f"no format '{name}'.{did_you_mean(name, FORMATS)} There are {', '.join(FORMATS)}.")
    marks = FORMATS[name].read(path, scans)
    if not marks and name != "luna16":  # a table with a header alone is of a detector that marks nothing
        raise LunglineError(f"{path}: no scan in the format {name}. Expected: {FORMATS[name].what}.")
    return name, marks


def not_searched(path: Path, name: str, marks: Marks, scans: Sequence[str]) -> list[str]:
    """A warning where a format says which scans were searched, and listed ones are not among them."""
    missing = len(set(scans) - set(marks)) if FORMATS[name].says_what_was_searched else 0
    return [f"{path.name}: {missing} of {len(scans)} listed scans do not occur, counted without marks."] * bool(missing)


def format_of(path: Path) -> str:
    """The format of a file or folder, by what it holds; `LunglineError` where that cannot be told."""
    fits = _formats_of_folder(path) if path.is_dir() else [_format_of_file(path)]
    if len(fits) != 1:
        found = f"{' and '.join(fits)} would fit" if fits else "nothing that is known"
        raise LunglineError(
            f"{path}: which format? Found {found}. Say --format {', '.join(fits or FORMATS)} "
            "(docs/reference/froc-formats.md)."
        )
    return fits[0]


def _formats_of_folder(path: Path) -> list[str]:
    if (path / "nodules").is_dir():  # OUT of `lungline predict`, which holds raw scans, too
        return ["lungline"]
    fits = ["nndetection"] if any(path.glob("*_boxes.pkl")) else []
    if any(path.glob("*.xml")):
        fits.append("diag-xml")
    if any(file.name != "scores.csv" for file in readers.own_tables(path)):
        fits.append("lungline")
    if sr_files(path):  # it names the segments of a SEG beside it
        fits.append("dicom-sr")
    elif readers.seg_files(path):
        fits.append("dicom-seg")
    images = image_files(path)
    if any(file.with_name(f"{image_stem(file.name)}.npz").is_file() for file in images):
        fits.append("mask")
    elif images:
        fits += ["label-map", "mask"] if any(map(is_ambiguous, images)) else ["label-map"]
    return fits


def _format_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        head = file.read(4096)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if head[128:132] == b"DICM":
        return "dicom-sr" if sr_files(path) else "dicom-seg"
    if start == b"<":
        return "diag-xml"
    if start not in (b"{", b"["):
        return "luna16"
    content = readers.read_json(path)
    if readers.monai_entries(content):
        return f"monai-{readers.box_mode(path)}"
    if isinstance(content, list) and any(isinstance(one, Mapping) and "entity" in one for one in content):
        return "diag-json"
    raise LunglineError(f"{path}: expected a list with 'box' (MONAI) or 'entity' (DIAG) in its entries. Found neither.")


def read_truth(
    path: Path, name: str, scans: Sequence[str], *, images: Path | None = None, agreement: int = 3
) -> tuple[list[Nodule], list[Nodule]]:
    """The nodules to be found, and the findings that count neither way."""
    if not path.exists():
        raise LunglineError(f"{path}: no such file or folder. Name the annotations.")
    name = _truth_of(path) if name == "auto" else name
    if name not in TRUTHS:
        raise LunglineError(f"no format '{name}'.{did_you_mean(name, TRUTHS)} There are {', '.join(TRUTHS)}.")
    if name == "luna16":
        return read_annotations(path), []
    if name == "lidc-xml":
        return lidc_truth(sorted(path.rglob("*.xml")) if path.is_dir() else [path], images, scans, agreement)
    found = Gathered(scans)
    nodules = []
    for file in image_files(path):
        scan = found.begin(file, image_stem(file.name), file.parent.name)
        for one in instances(file) if name == "label-map" else components(file):
            nodules.append(Nodule(scan, one.centre_xyz_mm, one.diameter_mm))
    return nodules, []


def _truth_of(path: Path) -> str:
    if not path.is_dir():
        return "lidc-xml" if path.suffix.lower() == ".xml" else "luna16"
    images, files = image_files(path), any(path.rglob("*.xml"))
    fits = ["lidc-xml"] if files else []
    if images:
        fits += ["label-map", "mask"] if any(map(is_ambiguous, images)) else ["label-map"]
    if len(fits) != 1:
        found = f"{' and '.join(fits)} would fit" if fits else "neither XML nor images"
        raise LunglineError(f"{path}: which annotations? Found {found}. Say --truth {', '.join(fits or TRUTHS)}.")
    return fits[0]


def read_patients(path: Path, scans: Sequence[str]) -> list[str]:
    """The patient of each scan, from a table with the columns scan and patient."""
    rows = read_rows(path, ("scan", "patient"), foreign=True)
    patient = {row["scan"]: row["patient"] for _, row in rows}
    if missing := [scan for scan in scans if not patient.get(scan)]:
        raise LunglineError(f"{path}: {len(missing)} of {len(scans)} listed scans have no patient. Add a row for each.")
    return [patient[scan] for scan in scans]


def formats_page() -> str:
    """docs/reference/froc-formats.md."""
    lines = ["# Formats of `lungline froc`", "", "Made by `python -m lungline.evaluation.mark_formats`.", ""]
    lines += [
        "World coordinates are LPS, in mm. Keys that are not named here are passed over. A scan is found by the name",
        "of its file or entry without suffix, for images also by that of their folder; `_` may stand for `.` in it.",
        "What stands twice is refused: a scan, or a mark at the same place; so are marks of a scan that is not listed.",
        "The list of scans may have a header (no scan), quotes and further columns; an id twice is refused. A listed",
        "scan without marks counts.",
    ]
    lines += ["", "## Marks, `--format`", "", "| name | what | source |", "|---|---|---|"]
    lines += [f"| `{name}` | {one.what} | {one.source} |" for name, one in FORMATS.items()]
    lines += ["", "`auto` tells them by content, and stops with one line where that is not possible."]
    lines += ["", "## Ground truth, `--truth`", "", "| name | what | source |", "|---|---|---|"]
    lines += [f"| `{name}` | {what} | {source} |" for name, (what, source) in TRUTHS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(formats_page(), end="")
