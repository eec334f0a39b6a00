"""How far measured sizes are from readers' outlines: makes the table of `lungline.nodules.size_error_table`.

    python -m experiments.size_errors [--most 20] [--out results/size_errors]

Real nodules of LIDC-IDRI, outlined by readers, are implanted into real lungs, scanned with slices of 0.6 to 4.8 mm,
found by the packaged detector and measured as `lungline predict` measures. The table is made from nodules that the
detector learned from or was chosen on, in two chests; its intervals are checked on nodules of its test patients, in two
others. `make.csv` and `check.csv` in OUT keep the measurements; what is there is not measured again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.size_errors.implanted import (
    Detector,
    Measured,
    measure_implanted,
    read_chest,
    read_measured,
    write_measured,
)
from lungline.nodules import size_error_table
from lungline.nodules.size_errors import diameter_interval, volume_interval
from lungline.synthetic.source_nodules import NoduleRow, read_nodule_rows
from lungline.workflow.bundle import PACKAGED
from tests.repository import REPOSITORY, sample_folder

CHESTS = {
    "make": ("cmb-crc-01068.mhd", "4d-lung-hm10395.mhd"),
    "check": ("nsclc-radiogenomics-r01-001.mhd", "lidc-idri-0063.mhd"),
}
SEEDS, COUNTS = {"make": 2, "check": 3}, {"make": 130, "check": 144}
INF = float("inf")
SIZES_MM, SLICES_MM = (8.0, INF), {"solid": (2.0, INF), "other": (INF,)}  # so that a row has 25 measurements or more


def nodules_of(folder: Path, part: str) -> list[NoduleRow]:
    """The nodules of a part, in an order that does not depend on the patient."""
    with open(PACKAGED.parent / "sources.csv", newline="", encoding="utf-8") as handle:
        split = {row["source"]: row["split"] for row in csv.DictReader(handle)}
    known = [row for row in read_nodule_rows(folder) if row.name in split]
    by = {name: [row for row in known if split[row.name] == name] for name in ("train", "valid", "test")}
    chosen = by["test"] if part == "check" else by["valid"] + by["train"][::2]
    return sorted(chosen, key=lambda row: hashlib.sha256(row.name.encode()).hexdigest())


def table_of(rows: Sequence[Measured]) -> list[tuple]:
    """A row of the table for each attenuation, slice thickness and size, smallest first."""
    found: list[tuple] = []
    for kind, thicknesses in SLICES_MM.items():
        for slices_to in thicknesses:
            for below in SIZES_MM:
                own = [row for row in rows if place_of(row, "mean_mm") == (kind, slices_to, below)]
                volumes = [row for row in rows if place_of(row, "volume_mm3") == (kind, slices_to, below)]
                diameter = np.log([row.mean_mm / row.true_mean_mm for row in own])  # type: ignore[operator]
                volume = np.log([row.volume_mm3 / row.true_volume_mm3 for row in volumes])  # type: ignore[operator]
                figures = (diameter.mean(), diameter.std(ddof=1), volume.mean(), volume.std(ddof=1))
                found.append((kind, slices_to, below, len(own), *(round(float(f), 3) for f in figures)))
    return found


def place_of(row: Measured, what: str) -> tuple[str, float, float] | None:
    """Which row of the table a measurement belongs to; None for a nodule that was missed."""
    value = getattr(row, what)
    if value is None:
        return None
    size = value if what == "mean_mm" else (6 * value / np.pi) ** (1 / 3)
    kind = "solid" if row.attenuation == "solid" else "other"
    return kind, next(s for s in SLICES_MM[kind] if row.slice_mm <= s), next(s for s in SIZES_MM if size < s)


def report(name: str, rows: Sequence[Measured]) -> str:
    """Errors, and how often the intervals of the table hold the truth."""
    own = [row for row in rows if row.mean_mm is not None]
    error = np.array([row.mean_mm - row.true_mean_mm for row in own])  # type: ignore[operator]
    alone = np.array([row.label_mean_mm - row.true_mean_mm for row in own])  # type: ignore[operator]
    held = [0, 0]
    for row in own:
        low, high = diameter_interval(row.mean_mm, row.slice_mm, row.attenuation)  # type: ignore[arg-type]
        held[0] += low <= row.true_mean_mm <= high
        low, high = volume_interval(row.volume_mm3, row.slice_mm, row.attenuation)  # type: ignore[arg-type]
        held[1] += low <= row.true_volume_mm3 <= high
    shares = [f"{count} of {len(own)} ({100 * count / len(own):.0f} %)" for count in held]
    return (
        f"{name}: {len({row.nodule for row in rows})} nodules, {len(rows)} scans of one, found in {len(own)}. "
        f"Mean diameter minus the readers': median {np.median(error):+.2f} mm, of its size {np.median(abs(error)):.2f} "
        f"mm (label map alone {np.median(alone):+.2f}, {np.median(abs(alone)):.2f} mm). In the 95 % interval: diameter "
        f"{shares[0]}, volume {shares[1]}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=max(COUNTS.values()), help="nodules of each part")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "size_errors")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples = sample_folder()
    if samples is None:
        parser.error("no sample data: set LUNGLINE_SAMPLE_DATA to the folder that holds lidc-nodules and chest-ct.")
    measured = {}
    for part, chests in CHESTS.items():
        path = options.out / f"{part}.csv"
        if not path.exists():
            inside = {Path(name).stem: read_chest(samples / "chest-ct" / name) for name in chests}
            rows = nodules_of(samples / "lidc-nodules", part)[: min(COUNTS[part], options.most)]
            found = measure_implanted(samples / "lidc-nodules", rows, inside, Detector(), SEEDS[part])
            write_measured(path, list(found))
        measured[part] = read_measured(path)
    table = table_of(measured["make"])
    for row in table:
        print(f"    {row},".replace("inf", "INF").replace("'", '"'))
    if tuple(table) != size_error_table.ROWS:
        print("These differ from ROWS in src/lungline/nodules/size_error_table.py; what follows is of those there.")
    for part, rows in measured.items():
        print(report(part, rows))


if __name__ == "__main__":
    main()
