"""Categories of the nodules of one scan by published size rules, each with every category that may apply."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.nodules.category_facts import Limits, NoduleSize, exact, interval, size_by_reader, volume_interval, within
from lungline.nodules.category_sets import (
    WORDS,
    CategorySet,
    category_sets,
    most_severe,
    read_systems,
    risk_models,
    risks,
)
from lungline.nodules.patient import Patient, read_patient
from lungline.nodules.risk_models import Risk
from lungline.nodules.sizes import mean_of_axes
from lungline.reports.nodule_page import with_categories
from lungline.runner.stage import stage
from lungline.storage.checksums import check, write_checksummed_text
from lungline.storage.foreign_files import read_json
from lungline.storage.results import write_result
from lungline.storage.tables import decimal, read_rows, table_text

#: Name and version of the layout.
SCHEMA = "categories/1"
_NEEDED = ("rank", "long_axis_mm", "volume_mm3", "attenuation")
_ATTENUATIONS = ("solid", "part-solid", "ground-glass")


@stage
def run(
    nodules: Path, *, out: Path = Path("categories.json"), patient: Path | None = None, error_mm: float | None = None
) -> None:
    """Write OUT (.json) and the same as a table beside it (.csv): the categories of the nodules in the table NODULES.

    NODULES is the .csv or .json of one scan in `nodules/` that `lungline predict` writes. Lung-RADS v2022, Fleischner
    Society 2017, British Thoracic Society 2015, and the Brock, Mayo and Herder models, each with its source. By the
    published size rules; research use.

    PATIENT is a YAML file with what the image does not say (docs/how-to/categories.md): age, smoking, earlier scans,
    margin. What is not known is not assumed: all categories that it allows are given, with what would narrow them.
    ERROR_MM is the error of a diameter to each side, mm: a category then stands for all sizes within it. Without it the
    interval of the table counts, where it has one, and what a reader measured is exact.
    """
    if out.suffix != ".json":
        raise LunglineError(f"{out}: expected a name that ends in .json. The table as CSV is written beside it.")
    if error_mm is not None and not 0 <= error_mm <= 20:
        raise LunglineError(f"--error-mm: expected 0 to 20 mm. Found {error_mm:g}.")
    result = categorise(nodules, read_patient(patient), error_mm, who=str(patient))
    rows = result["nodules"]
    write_result(out, result, csv=_as_csv(rows))
    for row in rows:
        for one in row["categories"].values():
            print(f"nodule {row['rank']}, {one['title']}: {one['text']}")
        for risk in row["risks"].values():
            print(f"nodule {row['rank']}, {risk['title']}: {risk['text']}")
    print(f"{out}: {len(rows)} nodules, {WORDS}. {NOTICE}")


@stage
def write_beside_answer(page: Path | None, out: Path, *, nodules: Path, patient: Patient, who: str) -> dict[str, Any]:
    """Write OUT (.json, and .csv) of one answered scan, and put the categories into its page; returns the result."""
    result = categorise(nodules, patient, who=who)
    write_result(out, result, csv=_as_csv(result["nodules"]))
    if page is not None:  # the caller has checked it; recorded as an input, it would be one of itself
        write_checksummed_text(page, with_categories(page.read_text(encoding="utf-8"), result))
    return result


def categorise(
    nodules: Path,
    patient: Patient,
    error_mm: float | None = None,
    *,
    who: str = "patient",
    limits_of: Callable[[Mapping[str, Any]], Limits] | None = None,
) -> dict[str, Any]:
    """The result (layout categories/1) for the nodules of a table.

    Parameters
    ----------
    nodules : Path
        The table of one scan, .csv or .json.
    patient : Patient
    error_mm : float or None
        The error of a diameter to each side, mm, also of one that a reader gives.
    who : str
        Where the patient was read, for a complaint.
    limits_of : callable or None
        From a row of the table to the limits of its diameters: from a diameter, mm, to the lowest and the highest that
        it may be. None: `error_mm` to each side, or else the interval in the table.
    """
    by_reader = exact if error_mm is None else within(error_mm)
    limits_of = limits_of or (_limits_in if error_mm is None else lambda row: by_reader)
    listed = read_sizes(nodules, limits_of, mentioned=frozenset(patient.nodules))
    if unknown := [rank for rank in patient.nodules if rank not in map(str, listed)]:
        ranks = ", ".join(map(str, listed)) or "none"
        raise LunglineError(f"{who}: nodules.{unknown[0]}: no such rank in {nodules}. Found {ranks}.")
    rows = [nodule_row(rank, replace(size, listed=len(listed)), patient, by_reader) for rank, size in listed.items()]
    return {
        "schema": SCHEMA,
        "words": WORDS,
        "error_mm": error_mm,
        "sources": {name: system.source for name, system in read_systems().items()}
        | {name: model["source"] for name, model in risk_models().items()},
        "how_rules_are_read": {name: list(system.notes) for name, system in read_systems().items()},
        "most_severe_lung_rads": most_severe([row["categories"]["lung_rads_2022"]["categories"] for row in rows]),
        "nodules": rows,
    }


def read_sizes(
    path: Path, limits_of: Callable[[Mapping[str, Any]], Limits], mentioned: frozenset[str] = frozenset()
) -> dict[int, NoduleSize]:
    """The sizes in a nodule table, .csv or .json, within the limits of each row, by rank.

    Where the table tells findings from other candidates, only findings and the ranks `mentioned` count.
    """
    rows = _json_rows(path) if path.suffix == ".json" else [cells for _, cells in read_rows(path, _NEEDED)]
    sizes: dict[int, NoduleSize] = {}
    for number, row in enumerate(rows, start=1):
        try:
            rank, size = _size(row, limits_of(row))
        except LunglineError as error:
            raise LunglineError(f"{path}, nodule {number}: {error}") from None
        if row.get("finding") in (False, "false") and str(rank) not in mentioned:
            continue
        if rank in sizes:
            raise LunglineError(f"{path}, nodule {number}: rank {rank} stands there twice. Name the table of one scan.")
        sizes[rank] = size
    return sizes


def _json_rows(path: Path) -> list[dict[str, Any]]:
    table = read_json(path, "Name the table that `lungline predict` wrote.")
    check(path)
    lists = [table.get(name) or [] for name in ("nodules", "also_looked_at")]
    if not str(table.get("schema")).startswith("nodules/") or not all(isinstance(one, list) for one in lists):
        raise LunglineError(f"{path}: expected a table of layout nodules/. Name the one that `lungline predict` wrote.")
    rows = [row for one in lists for row in one]
    if lacking := [name for name in _NEEDED if any(not isinstance(row, dict) or name not in row for row in rows)]:
        found = f"{', '.join(lacking)} missing"
        raise LunglineError(f"{path}: expected {', '.join(_NEEDED)} of every nodule. Found {found}. Make it anew.")
    return rows


def _size(row: Mapping[str, Any], limits: Limits) -> tuple[int, NoduleSize]:
    """Rank and sizes of one row; a size that is missing or empty is unknown."""
    number = functools.partial(_number, row)
    rank, long, short = number("rank"), number("long_axis_mm"), number("short_axis_mm")
    solid_long, solid_short = number("solid_long_axis_mm"), number("solid_short_axis_mm")
    if rank is None or rank != int(rank):
        raise LunglineError(f"rank: expected a whole number. Found {row.get('rank')!r}.")
    attenuation = row.get("attenuation")
    return int(rank), NoduleSize(
        mean_mm=interval(None if long is None or short is None else mean_of_axes(long, short), limits),
        long_mm=interval(long, limits),
        volume_mm3=volume_interval(number("volume_mm3"), limits),
        solid_mm=interval(
            None if solid_long is None or solid_short is None else mean_of_axes(solid_long, solid_short), limits
        ),
        attenuation=attenuation if attenuation in _ATTENUATIONS else None,
        calcified_share=number("calcified_share"),
    )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    """A number of a row that must be more than 0 (a share may be 0), None where it is missing or empty."""
    word = row.get(name)
    if word is None or word == "":
        return None
    value = decimal(str(word), name)
    if value < 0 or (value == 0 and name != "calcified_share"):
        raise LunglineError(f"{name}: expected more than 0. Found {value:g}.")
    return value


def _limits_in(row: Mapping[str, Any]) -> Limits:
    """The limits of the diameters of a row: as far off as the interval of its mean diameter ends from the mean."""
    long, short = _number(row, "long_axis_mm"), _number(row, "short_axis_mm")
    low, high = _number(row, "mean_diameter_low_mm"), _number(row, "mean_diameter_high_mm")
    if long is None or short is None or low is None or high is None:
        return exact
    below, above = low - mean_of_axes(long, short), high - mean_of_axes(long, short)
    return lambda diameter_mm: (diameter_mm + below, diameter_mm + above)


def nodule_row(rank: int, size: NoduleSize, patient: Patient, limits: Limits) -> dict[str, Any]:
    """Sizes, categories and risks of one nodule as JSON."""
    reading = patient.reading(rank)
    size = size_by_reader(size, reading, limits)
    found = {one.system: one for one in category_sets(size, reading, patient)}
    return {
        "rank": rank,
        "attenuation": size.attenuation,
        **{
            name: limits and [limits.low, limits.high]
            for name, limits in (
                ("mean_mm", size.mean_mm),
                ("long_axis_mm", size.long_mm),
                ("solid_mean_mm", size.solid_mm),
                ("volume_mm3", size.volume_mm3),
            )
        },
        "categories": {name: _category_json(one) for name, one in found.items()},
        "risks": {name: _risk_json(name, one) for name, one in risks(size, reading, patient).items()},
    }


def _category_json(found: CategorySet) -> dict[str, Any]:
    return {
        "title": found.title,
        "categories": list(found.categories),
        "text": found.text,
        "reasons": list(found.reasons),
        "rows": list(found.rows),
        "does_not_apply": list(found.does_not_apply),
        "if_seen": list(found.if_seen),
        "other_measure": found.other_measure,
        "unchecked": list(found.unchecked),
    }


def _risk_json(name: str, risk: Risk) -> dict[str, Any]:
    limits, model = risk.probability, risk_models()[name]
    percent = None if limits is None else [round(100 * limits.low, 3), round(100 * limits.high, 3)]
    unchecked = "seen_in" not in model
    return {
        "title": model["title"],
        "percent": percent,
        "text": _risk_text(percent, risk) + ("; unchecked, no second source for its coefficients" if unchecked else ""),
        "not_known": list(risk.unknown),
        "reason": risk.reason,
        "unchecked": unchecked,
    }


def _risk_text(percent: Sequence[float] | None, risk: Risk) -> str:
    """One line: "3.2 to 6.1 %: not known: sex"."""
    if percent is None:
        return f"none: {risk.reason}"
    ends = " to ".join(dict.fromkeys(f"{end:.1f}" for end in percent))
    asked = ", ".join(fact.replace("_", " ") for fact in risk.unknown)
    return f"{ends} %" + (f": not known: {asked}" if asked else "")


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row per nodule: categories, with a bar between those that may be right, and risks in per cent."""
    systems, models = list(read_systems()), list(risk_models())
    columns = ["rank", *systems, *(f"{name}_text" for name in systems)]
    columns += [f"{name}_percent_{end}" for name in models for end in ("low", "high")]
    cells = []
    for row in rows:
        found = [row["categories"][name] for name in systems]
        limits = [row["risks"][name]["percent"] or ["", ""] for name in models]
        cells.append(
            [
                row["rank"],
                *(" | ".join(one["categories"]) for one in found),
                *(one["text"] for one in found),
                *(end for pair in limits for end in pair),
            ]
        )
    return table_text(columns, cells)
