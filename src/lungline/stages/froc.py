"""Score the marks of any detector as LUNA-16's official script does: FROC and CPM, with intervals."""

from pathlib import Path
from typing import Any

from lungline.evaluation.by_group import describe_groups, read_groups, refuse_strangers
from lungline.evaluation.mark_formats import not_searched, read_patients, read_predictions, read_truth
from lungline.evaluation.marks import describe_froc, describe_script_intervals, describe_system, doubts, submitted_marks
from lungline.evaluation.patient_metrics import refuse_scans_of
from lungline.nodules.annotations import read_annotations
from lungline.reports.group_tables import groups_markdown
from lungline.reports.metric_tables import froc_markdown
from lungline.runner.stage import stage
from lungline.storage.results import about_data, write_result
from lungline.storage.submissions import read_ids


@stage
def run(
    *,
    submission: Path,
    annotations: Path,
    seriesuids: Path,
    out: Path,
    format: str = "auto",
    truth: str = "auto",
    images: Path | None = None,
    agreement: int = 3,
    excluded: Path | None = None,
    versus: Path | None = None,
    versus_format: str = "auto",
    patients: Path | None = None,
    by: Path | None = None,
    figure: Path | None = None,
    detector: Path | None = None,
    synthetic: bool | None = None,
    seed: int = 0,
) -> None:
    """Read SUBMISSION (marks, FORMAT) and ANNOTATIONS (TRUTH), write OUT (JSON and .md).

    SUBMISSION is LUNA-16's CSV or what a detector writes, ANNOTATIONS LUNA-16's CSV, label maps or LIDC's XML:
    docs/reference/froc-formats.md lists the formats. IMAGES and AGREEMENT (readers, 1 to 4) are for LIDC's XML.

    SERIESUIDS lists every scan that was searched, one per line, also those without a nodule or a mark. EXCLUDED
    (annotations_excluded.csv) names findings that count neither way. VERSUS (marks of another detector on the same
    scans) adds the paired difference, PATIENTS (scan, patient) intervals over patients, FIGURE (.png) the curve.
    BY is a table whose columns are results by group: of scans (scan or seriesuid; scanner, kernel, ...), or of nodules
    where it has places, too (coordX, coordY, coordZ; attenuation, lobe, ...). It may be ANNOTATIONS itself, or a
    manifest. Columns of more than 20 values are left out.

    DETECTOR (folder of the trained axes) makes sure that no scan was trained on. SYNTHETIC says whether the scans are
    synthetic. `script_intervals` are what LUNA-16's script draws after `numpy.random.seed(SEED)`.
    """
    scans = read_ids(seriesuids)
    refuse_scans_of(detector, scans)
    groups = None if by is None else read_groups(by)
    nodules, irrelevant = read_truth(annotations, truth, scans, images=images, agreement=agreement)
    irrelevant += [] if excluded is None else read_annotations(excluded, measured=False)
    warnings, sides = [], []
    for path, name in ((submission, format), (versus, versus_format)):
        if path is not None:
            used, found = read_predictions(path, name, scans)
            sides.append((used, submitted_marks(found, scans, nodules, irrelevant)))
            warnings += not_searched(path, used, found, scans)
    used, marks = sides[0]
    scores = describe_froc(marks, seed=seed)
    if groups is not None:
        refuse_strangers(groups, marks)
    if by is not None and groups is not None and groups.left_out:
        warnings.append(f"{by.name}: {', '.join(groups.left_out)}: too many values to group by.")
    result: dict[str, Any] = {
        "what": "nodule detection: FROC of a submission, by the rules of LUNA-16's script",
        "data": about_data(["luna16"], synthetic),
        "format": used,
        "intervals": "95 %: bootstrap over scans, 1,000 rounds",
        "warnings": warnings + doubts(marks, scores),
        "froc": scores,
        "script_intervals": describe_script_intervals(marks, seed=seed) if scores["nodules"] else None,
        "system": describe_system(
            marks,
            versus=None if versus is None else sides[1][1],
            patients=None if patients is None else read_patients(patients, scans),
            seed=seed,
        )
        if scores["nodules"]
        else None,
        "by": None if groups is None or not scores["nodules"] else describe_groups(marks, groups, seed=seed),
        "seed": seed,
    }
    page = froc_markdown(result) + groups_markdown(result["by"])
    write_result(out, result, md=page)
    if figure is not None:
        from lungline.reports.performance_curves import plot_froc
        from lungline.reports.plotting import save_png

        save_png(plot_froc(scores, f"FROC of {submission.name}"), figure)
    print(page)
