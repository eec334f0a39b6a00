"""Write the tables of the embedded cohort: annotations, labels and the truth about every nodule."""

from __future__ import annotations

import csv
from pathlib import Path

from lungline.io.atomic import atomic_path
from lungline.phantom import tables
from lungline.phantom.cohort import plan_cohort


def run(folder: Path, *, seed: int, cohort: dict) -> None:
    """Write `luna16/annotations.csv`, `dsb17/stage1_labels.csv`, `dsb17/stage1_solution.csv` and `truth.csv`."""
    plans = plan_cohort(seed, cohort)
    made = {
        "luna16/annotations.csv": tables.luna_annotations(plans),
        "dsb17/stage1_labels.csv": tables.stage1_labels(plans),
        "dsb17/stage1_solution.csv": tables.stage1_solution(plans),
        "truth.csv": tables.truth(plans),
    }
    for name, rows in made.items():
        with atomic_path(folder / name) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows(rows)
