"""Take the figures of a finished run into the result files of the documentation.

    python -m experiments.take demo results/demo --column seed1 --commit COMMIT
    python -m experiments.take pretrained results/pretrained/benchmark --commit COMMIT

`demo` reads `evaluate/` of a result tree, `pretrained` the `figures.json` of `python -m experiments.pretrained`. Both
change docs/results/STUDY.json; `python -m experiments.figures` then writes the pages.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.figures import RESULTS

#: Table and row of a figure of `experiments.pretrained`, by the beginning of its name; most have a column a size.
DETECTION = {
    "recall among 20": "recall",
    "CPM": "cpm",
    "sensitivity at 0.125 FP": "sens_0125",
    "sensitivity at 1 FP": "sens_1",
    "sensitivity at 4 FP": "sens_4",
    "FP per scan at 80%": "fp",
}
DICE = {"Dice of the fused mask": "all", "Dice, those that it touches": "touched"}
MALIGNANCY = {
    ("pretrained", "malignancy: AUC (DeLong)"): "auc",
    ("diameter of the readers' outline", "malignancy: AUC (DeLong)"): "auc_diameter",
    ("pretrained", "malignancy: AUC minus that of the diameter (DeLong, paired)"): "difference",
    ("pretrained", "the same, over patients"): "difference_patients",
    ("diameter that the detector measures", "malignancy: AUC (DeLong)"): "auc_measured",
    ("pretrained", "malignancy: AUC minus that of the measured diameter (DeLong, paired)"): "difference_measured",
    ("pretrained", "the same as to the measured diameter, over patients"): "difference_measured_patients",
    ("pretrained", "malignancy: Brier score"): "brier",
    ("pretrained", "malignancy: calibration error"): "calibration",
}
WHO = {"pretrained": "package", "paper-small": "paper"}
Cells = dict[tuple[str, str, str], "str | dict[str, Any]"]  # table, row, column


def cell(estimate: Mapping[str, Any], **more: int) -> str | dict[str, Any]:
    """The cell of an estimate as the stages write it."""
    if estimate["value"] is None:
        return "not reached"
    return {**more, **{key: estimate[key] for key in ("value", "low", "high") if estimate[key] is not None}}


def only(folder: Path, pattern: str) -> Any:
    """What the one JSON file of this name holds."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder}: expected one file {pattern}. Found {len(found)}. Is the run finished?")
    return json.loads(found[0].read_text("utf-8"))


def demo(results: Path, column: str) -> Cells:
    """The figures of the default run, or of any preset with one detector and one classifier of candidates."""
    detection, cancer = (only(results, name) for name in ("evaluate/detection-*.json", "evaluate/cancer-m2-*.json"))
    found, test = detection["candidates"], cancer["splits"]["test"]
    large = [size for name, size in found["recall_by_diameter_mm"].items() if name in ("6-10", ">=10")]
    hits = sum(round((size["value"] or 0) * size["nodules"]) for size in large)
    cells = {
        "recall": cell(found["recall"], count=found["found"], of=found["nodules"]),
        "recall_6mm": f"{hits} of {sum(size['nodules'] for size in large)}",
        "candidates": cell(found["candidates_per_scan"], digits=1),
        "cpm": cell(detection["froc"]["cpm"]),
        "auc": cell(test["metrics"]["auc"]),
        "auc_diameter": cell(test["diameter_alone"]["auc"]),
        "log_loss": cell(test["metrics"]["log_loss"]),
        "prior": f"{test['baselines']['constant_prior']['log_loss']['value']:.3f}",
        "accuracy": cell(test["metrics"]["accuracy"]),
        "brier": cell(test["metrics"]["brier"]),
        "calibration": cell(test["metrics"]["calibration_error"]),
    }
    return {("cohort", row, column): value for row, value in cells.items()}


def pretrained(benchmark: Path) -> Cells:
    """The figures of the weights in the package, and of the paper's configuration where it was measured."""
    cells: Cells = {}
    for line in only(benchmark, "figures.json")["lines"]:
        who, figure, value = line["who"], line["figure"], line["value"]
        if (who, figure) in MALIGNANCY:
            cells["malignancy", MALIGNANCY[who, figure], "value"] = cell(value)
        for start, row in DETECTION.items():
            if figure.startswith(start):
                count, _, of = line["count"].partition("/")
                more = {"count": int(count), "of": int(of)} if of else {}
                size = "all" if figure.endswith(" all") else "5mm"
                cells["detection", row, f"{WHO[who]}_{size}"] = cell(value, **more)
        for start, row in DICE.items():
            if figure.startswith(start):
                cells["dice", row, WHO[who]] = cell(value)
    return cells


def text_of_study(study: Any, indent: int = 0) -> str:
    """JSON with a row of a table a line for each of its cells."""
    if not isinstance(study, dict) or not any(isinstance(value, dict) for value in study.values()):
        return json.dumps(study, ensure_ascii=False)
    pad = " " * indent
    parts = [
        f"{pad} {json.dumps(key, ensure_ascii=False)}: {text_of_study(one, indent + 1)}" for key, one in study.items()
    ]
    return "{\n" + ",\n".join(parts) + f"\n{pad}}}"


def take(path: Path, cells: Cells, about: Mapping[str, str]) -> None:
    """Put cells into a result file, which must have their rows and columns already, and say where they are from."""
    study = json.loads(path.read_text("utf-8"))
    for (table, row, column), value in cells.items():
        if column not in study["tables"][table]["rows"][row]:
            raise SystemExit(f"{path.name}: table {table} has no column '{column}'.")
        study["tables"][table]["rows"][row][column] = value
    for key, value in about.items():
        study["about"][key] += f"; {value}"
    path.write_text(text_of_study(study) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.take", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("study", choices=("demo", "pretrained"))
    parser.add_argument("results", type=Path)
    parser.add_argument("--column", default="seed1", help="of the default run: seed1, seed2, ...")
    parser.add_argument("--commit", required=True, help="that measured")
    options = parser.parse_args()
    cells = demo(options.results, options.column) if options.study == "demo" else pretrained(options.results)
    part = f"{options.column}: " if options.study == "demo" else ""
    about = {"commit": f"{part}{options.commit}", "taken_from": f"{part}{options.results.name}"}
    take(RESULTS / f"{options.study}.json", cells, about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
