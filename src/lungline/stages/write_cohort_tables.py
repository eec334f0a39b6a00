"""Write the tables of the synthetic cohort: annotations, labels and the ground truth about every nodule."""

from pathlib import Path

from lungline.runner.stage import stage
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.saved_config import read_saved_config
from lungline.storage.tables import table_text
from lungline.synthetic.cohort import ground_truth, nodule_annotations, plan_cohort, stage1_labels, stage1_solution


@stage
def run(folder: Path, *, config: Path) -> None:
    """Write the tables of both sets into FOLDER; `nodules.csv` and `ground_truth.csv` tell what the real DSB-17 does
    not.

    The cohort is the one that the saved configuration CONFIG asks for.
    """
    settings = read_saved_config(config)
    plans = plan_cohort(settings.seed, settings.cohort)
    made = {
        "luna16/annotations.csv": nodule_annotations([plan for plan in plans if plan.dataset == "luna16"]),
        "dsb17/stage1_labels.csv": stage1_labels(plans),
        "dsb17/stage1_solution.csv": stage1_solution(plans),
        "nodules.csv": nodule_annotations(plans),
        "ground_truth.csv": ground_truth(plans),
    }
    for name, (header, *rows) in made.items():
        write_checksummed_text(folder / name, table_text(header, rows))
