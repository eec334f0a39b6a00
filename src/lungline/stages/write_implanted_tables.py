"""Write the tables of implanted scans: annotations, known lesions as excluded findings, and what each nodule was."""

from pathlib import Path
from typing import Any

from lungline.nodules.annotations import COLUMNS
from lungline.runner.stage import stage
from lungline.stages.implant_nodules import COLUMNS as IMPLANTED
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.tables import read_rows, table_text
from lungline.synthetic.implant_plan import plan_implantation, read_implantation, refuse_shared_patients


@stage
def run(output: Path, *, config: Path) -> None:
    """Read the .csv beside every scan that the saved CONFIG asks for, write tables into OUTPUT and OUTPUT/luna16.

    luna16/annotations.csv and annotations_excluded.csv are as LUNA-16 has them. nodules.csv adds `malignant` (0 or 1,
    the readers' opinion), `source` (the nodule in the collection it is from) and `kind` (free, pleura, vessel).
    sources.csv names every nodule, or surroundings of one, that was used in a split.
    """
    seed, implanted = read_implantation(config)
    plans = plan_implantation(seed, implanted)
    refuse_shared_patients(plans)
    nodules, excluded = [], []
    for plan in plans:
        for _, row in read_rows((output / plan.path).with_suffix(".csv"), IMPLANTED):
            place = [f"{float(row[name]):.3f}" for name in ("x_mm", "y_mm", "z_mm")]
            what = [row["malignant"], row["source"], row["attachment"]]
            nodules.append([plan.scan, *place, f"{float(row['diameter_mm']):.2f}", *what])
        for *centre, radius in implanted.chests[plan.chest].lesions_xyz_radius_mm:
            excluded.append([plan.scan, *(f"{value:.10g}" for value in (*centre, 2 * radius))])
    made: dict[str, list[Any]] = {
        "luna16/annotations.csv": [COLUMNS, *(row[: len(COLUMNS)] for row in nodules)],
        "luna16/annotations_excluded.csv": [COLUMNS, *excluded],
        "nodules.csv": [(*COLUMNS, "malignant", "source", "attachment"), *nodules],
        "sources.csv": [("source", "split"), *sorted({(row.name, p.split) for p in plans for row in p.sources})],
    }
    for name, (header, *rows) in made.items():
        write_checksummed_text(output / name, table_text(header, rows))
