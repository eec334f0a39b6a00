"""Measure the candidates: recall of annotated nodules, candidates per scan, FROC and CPM, with intervals."""

from pathlib import Path
from typing import Literal

from lungline.evaluation.marks import SCORE, describe_froc, recall, refuse_strangers, scan_marks
from lungline.evaluation.patient_metrics import refuse_scans_of
from lungline.nodules.annotations import read_annotations
from lungline.reports.metric_tables import detection_markdown
from lungline.runner.stage import stage
from lungline.storage.results import about_data, write_result
from lungline.storage.scan_rows import read_manifest


@stage
def run(
    output: Path,
    annotations: Path,
    *,
    manifest: Path,
    candidates: Path,
    split: Literal["train", "valid", "test"] = "test",
    datasets: tuple[str, ...] = ("luna16",),
    excluded: Path | None = None,
    detector: Path | None = None,
    synthetic: bool | None = None,
    seed: int = 0,
) -> None:
    """Read CANDIDATES/{scan}.csv of the scans of SPLIT in MANIFEST, and ANNOTATIONS; write OUTPUT (JSON and .md).

    DATASETS are those whose every nodule is annotated: LUNA-16, and both in the synthetic cohort.
    EXCLUDED (annotations_excluded.csv) names findings that count neither way. DETECTOR (folder of the trained
    axes) makes sure that no scan was trained on. SYNTHETIC says whether the scans are synthetic.
    """
    annotated = [row for row in read_manifest(manifest) if row.dataset in datasets]
    rows = [row for row in annotated if row.split == split]
    names = [row.scan for row in rows]
    refuse_scans_of(detector, names)
    findings = read_annotations(annotations)
    refuse_strangers(findings, [row.scan for row in annotated])
    irrelevant = [] if excluded is None else read_annotations(excluded, measured=False)
    marks = scan_marks(names, candidates, findings, irrelevant)
    result = {
        "what": "nodule detection: annotated nodules among the candidates",
        "data": about_data((row.dataset for row in rows), synthetic),
        "split": split,
        "intervals": "95 %: Wilson (recall), bootstrap over scans (candidates per scan, FROC)",
        "hit": "a candidate's centroid strictly within the nodule's radius",
        "candidates": recall(marks, seed=seed),
        "froc": {"score": SCORE, **describe_froc(marks, seed=seed)},
        "seed": seed,
    }
    page = detection_markdown(result)
    write_result(output, result, md=page)
    print(page)
