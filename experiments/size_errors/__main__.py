"""How far measured sizes are from readers' outlines: makes the table of `lungline.nodules.size_error_table`.

    python -m experiments.size_errors [--most 20] [--out results/size_errors]

Real nodules of LIDC-IDRI, outlined by readers, are implanted into real lungs, scanned with slices of 0.6 to 4.8 mm,
found by the packaged detector and measured as `lungline predict` measures. The table is made from nodules that the
detector learned from or was chosen on, in two chests; its intervals are checked on nodules of its test patients, in two
others. Each nodule is also seen at a later date at the same place, grown by a known factor: `volume_repeat` is
how far volumes of one nodule differ from date to date beyond that. What is wrong by as much at both
dates (a vessel that always counts, a threshold) cancels in a ratio, and is not in them.

OUT keeps the sightings (`make/`, `check/`) and what was measured of them (`make.csv`, `check.csv`); what is there is
not detected or measured again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from experiments.size_errors.implanted import (
    Detector,
    Measured,
    implanted,
    measured,
    read_chest,
    read_measured,
    read_sightings,
    write_measured,
    write_sightings,
)
from lungline.nodules import size_error_table
from lungline.nodules.size_errors import diameter_interval, repeat_error, volume_interval
from lungline.synthetic.source_nodules import NoduleRow, read_nodule_rows
from lungline.workflow.bundle import PACKAGED
from tests.repository import REPOSITORY, sample_folder

CHESTS = {
    "make": ("cmb-crc-01068.mhd", "4d-lung-hm10395.mhd"),
    "check": ("nsclc-radiogenomics-r01-001.mhd", "lidc-idri-0063.mhd"),
}
SEEDS, COUNTS = {"make": 12, "check": 13}, {"make": 130, "check": 144}
INF = float("inf")
SDS = 1.96  # on each side, of a normal distribution, hold 95 %
#: A repeat error is no smaller: by the BTS guideline two volumes may differ by 25 % and be one.
LEAST = 0.08
THIN_MM = 2.0
SIZES_MM, SLICES_MM = (
    (8.0, INF),
    {"solid": (THIN_MM, INF), "other": (INF,)},
)  # so that a row has 25 measurements or more


def splits_of() -> dict[str, str]:
    """Nodule -> what it was to the packaged detector: train, valid, test."""
    with open(PACKAGED.parent / "sources.csv", newline="", encoding="utf-8") as handle:
        return {row["source"]: row["split"] for row in csv.DictReader(handle)}


def nodules_of(folder: Path, part: str) -> list[NoduleRow]:
    """The nodules of a part, in an order that does not depend on the patient."""
    split = splits_of()
    known = [row for row in read_nodule_rows(folder) if row.name in split]
    by = {name: [row for row in known if split[row.name] == name] for name in ("train", "valid", "test")}
    chosen = by["test"] if part == "check" else by["valid"] + by["train"][::2]
    return sorted(chosen, key=lambda row: hashlib.sha256(row.name.encode()).hexdigest())


def table_of(rows: Sequence[Measured]) -> list[tuple]:
    """A row of the table for each attenuation, slice thickness and size, smallest first."""
    found: list[tuple] = []
    alone = [row for row in rows if row.visit != 1]
    repeats = repeats_of(rows)
    for kind, thicknesses in SLICES_MM.items():
        for slices_to in thicknesses:
            for below in SIZES_MM:
                place = (kind, slices_to, below)
                own = [row for row in alone if place_of(row, "mean_mm") == place]
                volumes = [row for row in alone if place_of(row, "volume_mm3") == place]
                diameter = np.log([row.mean_mm / row.true_mean_mm for row in own])  # type: ignore[operator]
                volume = np.log([row.volume_mm3 / row.true_volume_mm3 for row in volumes])  # type: ignore[operator]
                figures = (diameter.mean(), diameter.std(ddof=1), volume.mean(), volume.std(ddof=1))
                figures += (repeats.get(place, np.nan),)
                found.append((kind, slices_to, below, len(own), *(round(float(f), 3) for f in figures)))
    return found


def pairs_of(rows: Sequence[Measured]) -> Iterator[tuple[Measured, Measured]]:
    """Each nodule in each of its scans at the first date with each at the later one, where it was found in both."""
    by: dict[str, dict[int, list[Measured]]] = {}
    for row in rows:
        if row.mean_mm is not None:
            by.setdefault(row.nodule, {}).setdefault(row.visit, []).append(row)
    for visits in by.values():
        yield from product(visits.get(0, ()), visits.get(1, ()))


def change_error(before: Measured, after: Measured) -> float:
    """How far the measured growth of the volume is from the true one, in the natural logarithm."""
    found = np.log(after.volume_mm3 / before.volume_mm3)  # type: ignore[operator]
    return float(found - np.log(after.true_volume_mm3 / before.true_volume_mm3))


def repeats_of(rows: Sequence[Measured]) -> dict[tuple[str, float, float], float]:
    """For each row of the table its part of the error of a change, of pairs of thin or of thick slices at both dates.

    95 of 100 pairs with a scan in the row lie within what follows if both scans had this error: the quantile is taken,
    not the deviation, since few pairs of outlines are very different.
    """
    found: dict[tuple[str, float, float], list[float]] = {}
    for before, after in pairs_of(rows):
        if (before.slice_mm <= THIN_MM) == (after.slice_mm <= THIN_MM):
            for place in {place_of(before, "volume_mm3"), place_of(after, "volume_mm3")} - {None}:
                found.setdefault(place, []).append(abs(change_error(before, after)))  # type: ignore[arg-type]
    half = SDS * np.sqrt(2)
    return {place: max(LEAST, float(np.quantile(errors, 0.95)) / half) for place, errors in found.items()}


def place_of(row: Measured, what: str) -> tuple[str, float, float] | None:
    """Which row of the table a measurement belongs to; None for a nodule that was missed."""
    value = getattr(row, what)
    if value is None:
        return None
    size = value if what == "mean_mm" else (6 * value / np.pi) ** (1 / 3)
    kind = "solid" if row.attenuation == "solid" else "other"
    return kind, next(s for s in SLICES_MM[kind] if row.slice_mm <= s), next(s for s in SIZES_MM if size < s)


def report(name: str, rows: Sequence[Measured]) -> str:
    """Errors, and how often the intervals of the table hold the truth, of scans of one date."""
    rows = [row for row in rows if row.visit != 1]
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


def report_of_changes(name: str, rows: Sequence[Measured]) -> str:
    """How often the interval of a change, as follow-up makes it of both dates, holds the growth that is known."""
    pairs, held, alarms, seen, grown = list(pairs_of(rows)), 0, 0, 0, 0
    errors, limits = [], []
    for before, after in pairs:
        both = [repeat_error(one.volume_mm3, one.slice_mm, one.attenuation) for one in (before, after)]  # type: ignore[arg-type]
        limit = SDS * float(np.hypot(*both))
        error = change_error(before, after)
        true = float(np.log(after.true_volume_mm3 / before.true_volume_mm3))
        held += abs(error) <= limit
        unchanged = abs(true) < 0.1
        grown += true > 0.5
        seen += true > 0.5 and true + error >= limit
        alarms += unchanged and abs(error) >= limit
        errors.append(abs(error))
        limits.append(limit)
    still = sum(abs(np.log(after.true_volume_mm3 / before.true_volume_mm3)) < 0.1 for before, after in pairs)
    return (
        f"{name}: {len(pairs)} pairs of scans of {len({before.nodule for before, _ in pairs})} nodules at two dates. "
        f"Change of volume off by {100 * np.expm1(np.median(errors)):.0f} % in the middle case, "
        f"{100 * np.expm1(np.quantile(errors, 0.95)):.0f} % in one of 20; smallest change that is called growth "
        f"{100 * np.expm1(np.median(limits)):.0f} % (median; {100 * np.expm1(min(limits)):.0f} to "
        f"{100 * np.expm1(max(limits)):.0f}). The interval holds the true change in {held} of {len(pairs)} "
        f"({100 * held / max(1, len(pairs)):.0f} %); a change is called in {alarms} of {still} that did not grow, "
        f"growth in {seen} of {grown} that grew by half or more."
    )


def sightings_in(folder: Path, samples: Path, part: str, most: int) -> Iterator[list[Measured]]:
    """What is measured of each nodule of a part; those that FOLDER lacks are implanted and looked for first."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = nodules_of(samples / "lidc-nodules", part)[: min(COUNTS[part], most)]
    missing = [k for k, row in enumerate(rows) if not (folder / f"{row.name}.npz").exists()]
    if missing:
        inside = {Path(name).stem: read_chest(samples / "chest-ct" / name) for name in CHESTS[part]}
        detector = Detector()
        for k in missing:
            found = implanted(samples / "lidc-nodules", rows[k], inside, detector, (SEEDS[part], k))
            write_sightings(folder / f"{rows[k].name}.npz", found)
    for row in rows:
        yield [measured(one) for one in read_sightings(folder / f"{row.name}.npz")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=max(COUNTS.values()), help="nodules of each part")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "size_errors")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples = sample_folder()
    if samples is None:
        parser.error("no sample data: set LUNGLINE_SAMPLE_DATA to the folder that holds lidc-nodules and chest-ct.")
    found = {}
    for part in CHESTS:
        path = options.out / f"{part}.csv"
        if not path.exists():
            rows = [row for rows in sightings_in(options.out / part, samples, part, options.most) for row in rows]
            write_measured(path, rows)
        found[part] = read_measured(path)
    table = table_of(found["make"])
    for row in table:
        print(f"    {row},".replace("inf", "INF").replace("'", '"'))
    if tuple(table) != size_error_table.ROWS:
        print("These differ from ROWS in src/lungline/nodules/size_error_table.py; what follows is of those there.")
    for part, rows in found.items():
        print(report(part, rows))
        print(report_of_changes(part, rows))


if __name__ == "__main__":
    main()
