"""Score a LUNA-16 submission as LUNA-16's official script does: FROC and CPM, with intervals."""

from pathlib import Path

from lungline.evaluation.marks import describe_froc, doubts, submitted_marks
from lungline.evaluation.patient_metrics import refuse_scans_of
from lungline.nodules.annotations import read_annotations
from lungline.reports.metric_tables import froc_markdown
from lungline.runner.stage import stage
from lungline.storage.results import about_data, write_result
from lungline.storage.submissions import read_ids, read_marks


@stage
def run(
    *,
    submission: Path,
    annotations: Path,
    seriesuids: Path,
    out: Path,
    excluded: Path | None = None,
    detector: Path | None = None,
    synthetic: bool | None = None,
    seed: int = 0,
) -> None:
    """Read SUBMISSION (seriesuid,coordX,coordY,coordZ,probability) and ANNOTATIONS, write OUT (JSON and .md).

    SERIESUIDS lists every scan that was searched, one per line, also those without a nodule or a mark. EXCLUDED
    (annotations_excluded.csv) names findings that count neither way. DETECTOR (folder of the trained axes) makes
    sure that no scan was trained on. SYNTHETIC says whether the scans are synthetic.
    """
    scans = read_ids(seriesuids)
    refuse_scans_of(detector, scans)
    irrelevant = [] if excluded is None else read_annotations(excluded, measured=False)
    marks = submitted_marks(read_marks(submission), scans, read_annotations(annotations), irrelevant)
    scores = describe_froc(marks, seed=seed)
    result = {
        "what": "nodule detection: FROC of a submission, by the rules of LUNA-16's script",
        "data": about_data(["luna16"], synthetic),
        "intervals": "95 %: bootstrap over scans, 1,000 rounds",
        "warnings": doubts(marks, scores),
        "froc": scores,
        "seed": seed,
    }
    page = froc_markdown(result)
    write_result(out, result, md=page)
    print(page)
