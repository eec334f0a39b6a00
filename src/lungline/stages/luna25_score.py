"""Score answers to LUNA25: ROC AUC with DeLong's interval, and the challenge's two operating points."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from lungline.errors import LunglineError
from lungline.evaluation.auc import auc
from lungline.evaluation.operating_points import POINTS, operating_points
from lungline.nodules.point_lists import read_point_list
from lungline.readers.listing import label_of
from lungline.reports.metric_tables import luna25_markdown
from lungline.runner.stage import stage
from lungline.stages.luna25 import LIKELIHOODS
from lungline.storage.results import about_data, write_result
from lungline.storage.tables import Faults, kind_of_word, read_rows


@stage
def run(likelihoods: Path, truth: Path, *, out: Path, seed: int = 0, synthetic: bool | None = None) -> None:
    """Read LIKELIHOODS and TRUTH, write OUT (JSON and .md).

    LIKELIHOODS is a JSON that `lungline luna25` or another entry wrote, or a folder with such files
    (lung-nodule-malginancy-likelihoods.json) at any depth. TRUTH is a table with AnnotationID and label (1 malignant,
    0 benign), as LUNA25's. An answer that TRUTH does not know, or a name twice, is refused; truth without an answer is
    left out, as the challenge does, and counted.

    DeLong's interval takes nodules as independent, those of one patient, too. Sensitivity at 95 % specificity and
    specificity at 95 % sensitivity follow the challenge's evaluate.py (`lungline.evaluation.operating_points`), with
    bootstrap intervals over nodules.
    """
    labels, answers = read_truth_labels(truth), _answers(likelihoods)
    if strangers := sorted(set(answers) - set(labels)):
        raise LunglineError(
            f"{likelihoods}: {len(strangers)} of {len(answers)} names are not in {truth}. Name the truth of this set."
        )
    names = sorted(answers)
    y, p = np.array([labels[name] for name in names]), np.array([answers[name] for name in names])
    points = operating_points(y, p, seed=seed)
    result = {
        "what": "LUNA25: malignancy of given nodules",
        "data": about_data(["luna25"], synthetic),
        "intervals": "95 %: AUC DeLong, else bootstrap over nodules, 1,000 rounds",
        "nodules": len(names),
        "malignant": int(y.sum()),
        "without_answer": len(labels) - len(names),
        "auc": auc(y, p).as_json(),
        "at": {name: asdict(point) for name, point in zip(POINTS, points, strict=False)},
        "seed": seed,
    }
    page = luna25_markdown(result)
    write_result(out, result, md=page)
    print(page)


def read_truth_labels(path: Path) -> dict[str, int]:
    """The label of each AnnotationID; `LunglineError` names every line that is wrong, or stands there twice."""
    labels: dict[str, int] = {}
    faults = Faults(path)
    for line, cells in read_rows(path, ("AnnotationID", "label"), faults, foreign=True):
        name, label = cells["AnnotationID"], label_of(cells["label"])
        if not name or label is None:
            faults.add(line, f"expected an AnnotationID and label = 0 or 1. Found: {kind_of_word(cells['label'])}.")
        elif name in labels:
            faults.add(line, "this AnnotationID stood there before. Remove one.")
        else:
            labels[name] = label
    faults.refuse()
    return labels


def _answers(path: Path) -> dict[str, float]:
    files = sorted(path.rglob(LIKELIHOODS)) if path.is_dir() else [path]
    answers: dict[str, float] = {}
    for file in files:
        for one in read_point_list(file, answered=True):
            if one.name in answers:
                raise LunglineError(f"{file}: a point whose name stood there before. Give each nodule one answer.")
            answers[one.name] = float(one.probability or 0.0)
    if not answers:
        raise LunglineError(f"{path}: no answered point. Expected a JSON, or a folder with files {LIKELIHOODS}.")
    return answers
