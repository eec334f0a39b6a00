"""Categories of the nodules of one scan by published size rules, each with every category that may apply."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lungline import NOTICE
from lungline.errors import CorruptFileError, LunglineError
from lungline.nodules.category_facts import NoduleSize, interval, size_by_reader, volume_interval
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
from lungline.runner.stage import stage
from lungline.storage.checksums import check
from lungline.storage.results import write_result
from lungline.storage.tables import decimal, read_rows, table_text

#: Name and version of the layout.
SCHEMA = "categories/1"
_NEEDED = ("rank", "long_axis_mm", "volume_mm3", "attenuation")
_ATTENUATIONS = ("solid", "part-solid", "ground-glass")


@stage
def run(
    nodules: Path, *, out: Path = Path("categories.json"), patient: Path | None = None, error_mm: float = 0.0
) -> None:
    """Write OUT (.json) and the same as a table beside it (.csv): the categories of the nodules in the table NODULES.

    NODULES is the .csv or .json of one scan in `nodules/` that `lungline predict` writes. Lung-RADS v2022, Fleischner
    Society 2017, British Thoracic Society 2015, and the Brock, Mayo and Herder models, each with its source. By the
    published size rules; research use.

    PATIENT is a YAML file with what the image does not say (docs/how-to/categories.md): age, smoking, earlier scans,
    margin. What is not known is not assumed: all categories that it allows are given, with what would narrow them.
    ERROR_MM is the error of a diameter to each side, mm: a category then stands for all sizes within it.
    """
    if out.suffix != ".json":
        raise LunglineError(f"{out}: expected a name that ends in .json. The table as CSV is written beside it.")
    if not 0 <= error_mm <= 20:
        raise LunglineError(f"--error-mm: expected 0 to 20 mm. Found {error_mm:g}.")
    known = read_patient(patient)
    listed = read_sizes(nodules, error_mm, mentioned=frozenset(known.nodules))
    sizes = {rank: replace(size, listed=len(listed)) for rank, size in listed.items()}
    if unknown := [rank for rank in known.nodules if rank not in map(str, sizes)]:
        ranks = ", ".join(map(str, sizes)) or "none"
        raise LunglineError(f"{patient}: nodules.{unknown[0]}: no such rank in {nodules}. Found {ranks}.")
    rows = [nodule_row(rank, size, known, error_mm) for rank, size in sizes.items()]
    result = {
        "schema": SCHEMA,
        "words": WORDS,
        "error_mm": error_mm,
        "sources": {name: system.source for name, system in read_systems().items()}
        | {name: model["source"] for name, model in risk_models().items()},
        "how_rules_are_read": {name: list(system.notes) for name, system in read_systems().items()},
        "most_severe_lung_rads": most_severe([row["categories"]["lung_rads_2022"]["categories"] for row in rows]),
        "nodules": rows,
    }
    write_result(out, result, csv=_as_csv(rows))
    for row in rows:
        for one in row["categories"].values():
            print(f"nodule {row['rank']}, {one['title']}: {one['text']}")
    print(f"{out}: {len(rows)} nodules, {WORDS}. {NOTICE}")


def read_sizes(path: Path, error_mm: float, mentioned: frozenset[str] = frozenset()) -> dict[int, NoduleSize]:
    """The sizes in a nodule table, .csv or .json, by rank.

    Where the table tells findings from other candidates, only findings and the ranks `mentioned` count.
    """
    rows = _json_rows(path) if path.suffix == ".json" else [cells for _, cells in read_rows(path, _NEEDED)]
    sizes: dict[int, NoduleSize] = {}
    for number, row in enumerate(rows, start=1):
        try:
            rank, size = _size(row, error_mm)
        except LunglineError as error:
            raise LunglineError(f"{path}, nodule {number}: {error}") from None
        if row.get("finding") in (False, "false") and str(rank) not in mentioned:
            continue
        if rank in sizes:
            raise LunglineError(f"{path}, nodule {number}: rank {rank} stands there twice. Name the table of one scan.")
        sizes[rank] = size
    return sizes


def _json_rows(path: Path) -> list[dict[str, Any]]:
    check(path)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptFileError(
            f"{path}: expected JSON ({error}). Name the table that `lungline predict` wrote."
        ) from None
    table = table if isinstance(table, dict) else {}
    lists = [table.get(name) or [] for name in ("nodules", "also_looked_at")]
    if not str(table.get("schema")).startswith("nodules/") or not all(isinstance(one, list) for one in lists):
        raise LunglineError(f"{path}: expected a table of layout nodules/. Name the one that `lungline predict` wrote.")
    rows = [row for one in lists for row in one]
    if lacking := [name for name in _NEEDED if any(not isinstance(row, dict) or name not in row for row in rows)]:
        found = f"{', '.join(lacking)} missing"
        raise LunglineError(f"{path}: expected {', '.join(_NEEDED)} of every nodule. Found {found}. Make it anew.")
    return rows


def _size(row: Mapping[str, Any], error_mm: float) -> tuple[int, NoduleSize]:
    """Rank and sizes of one row; a size that is missing or empty is unknown."""

    def number(name: str) -> float | None:
        word = row.get(name)
        if word is None or word == "":
            return None
        value = decimal(str(word), name)
        if value < 0 or (value == 0 and name != "calcified_share"):
            raise LunglineError(f"{name}: expected more than 0. Found {value:g}.")
        return value

    rank, long, short = number("rank"), number("long_axis_mm"), number("short_axis_mm")
    solid_long, solid_short = number("solid_long_axis_mm"), number("solid_short_axis_mm")
    if rank is None or rank != int(rank):
        raise LunglineError(f"rank: expected a whole number. Found {row.get('rank')!r}.")
    attenuation = row.get("attenuation")
    return int(rank), NoduleSize(
        mean_mm=interval(None if long is None or short is None else mean_of_axes(long, short), error_mm),
        long_mm=interval(long, error_mm),
        volume_mm3=volume_interval(number("volume_mm3"), error_mm),
        solid_mm=interval(
            None if solid_long is None or solid_short is None else mean_of_axes(solid_long, solid_short), error_mm
        ),
        attenuation=attenuation if attenuation in _ATTENUATIONS else None,
        calcified_share=number("calcified_share"),
    )


def nodule_row(rank: int, size: NoduleSize, patient: Patient, error_mm: float) -> dict[str, Any]:
    """Sizes, categories and risks of one nodule as JSON."""
    reading = patient.reading(rank)
    size = size_by_reader(size, reading, error_mm)
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
    }


def _risk_json(name: str, risk: Risk) -> dict[str, Any]:
    limits = risk.probability
    return {
        "title": risk_models()[name]["title"],
        "percent": None if limits is None else [round(100 * limits.low, 3), round(100 * limits.high, 3)],
        "not_known": list(risk.unknown),
        "reason": risk.reason,
    }


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
