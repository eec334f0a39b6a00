"""What is handed out in Python: the answer of a scan, and its candidates. Research use only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import pandas as pd

from lungline import NOTICE
from lungline.detection.candidates import Candidate
from lungline.imaging.volume import Volume
from lungline.nodules.table import NoduleRow, read_nodules
from lungline.qc_flags import FLAGS, format_flag

#: Types of the columns of a table, by those of the fields of a row; text is the rest.
_TYPES = {"int": "int64", "float": "float64", "float | None": "float64", "bool": "boolean", "bool | None": "boolean"}


@dataclass(frozen=True, eq=False)
class Detection:
    """What `detect` found. Research use only.

    Attributes
    ----------
    candidates : pandas.DataFrame
        A row per candidate, strongest first: `scan`, `rank` (from 1), `score`, `sum_probability`, `mean_probability`,
        `max_probability`, `n_voxels`, `z`, `y`, `x` (voxel index of the centroid in `labels`), `x_mm`, `y_mm`, `z_mm`
        (the same point in the world, LPS), `diameter_mm` (of the ball of the same volume).
    labels : Volume
        Label map, unsigned integer [z, y, x]: the `rank` of the candidate that a voxel belongs to, 0 elsewhere. It
        covers the lungs, on lungline's grid.
    flags : pandas.DataFrame
        QC flags, a row each: `flag`, `found`, `meaning`, `remedy`.
    """

    candidates: pd.DataFrame
    labels: Volume
    flags: pd.DataFrame

    def __repr__(self) -> str:
        return f"Detection({len(self.candidates)} candidates{_listed(self.flags)}. {NOTICE})"


@dataclass(frozen=True, eq=False)
class Answer:
    """What lungline says of one scan. Research use only. Not a medical device.

    Attributes
    ----------
    scan : str
        The name that was given to the scan.
    status : str
        "ok", or "warned": then read `flags`.
    malignancy_score : float or None
        0..1, of models that learnt readers' opinion of nodules: it is no probability of cancer. None for others.
    cancer_probability : float or None
        0..1, of models that learnt from patients with a diagnosis. None for others.
    interval : (float, float) or None
        95 % interval of that number, as far as the calibration depends on the cases that it was fitted to; not how sure
        one patient's is.
    nodules : pandas.DataFrame
        A row per candidate, strongest first: place, size, density and what was said of it, as in the nodule table of
        `lungline predict` (docs, conventions).
    candidates : pandas.DataFrame
        The same candidates as the detector gave them, as in `Detection`.
    labels : Volume or None
        Label map as in `Detection`; its values are the `rank` of both tables. None where the models read no candidates.
    flags : pandas.DataFrame
        QC flags, a row each: `flag`, `found`, `meaning`, `remedy`.
    """

    scan: str
    status: str
    malignancy_score: float | None
    cancer_probability: float | None
    interval: tuple[float, float] | None
    nodules: pd.DataFrame
    candidates: pd.DataFrame
    labels: Volume | None
    flags: pd.DataFrame

    @property
    def _said(self) -> str:
        name = "malignancy score" if self.cancer_probability is None else "cancer probability"
        value = self.malignancy_score if self.cancer_probability is None else self.cancer_probability
        return f"{name} {value:.3f}"

    def __repr__(self) -> str:
        return f"Answer({self.scan}: {self._said}, {len(self.nodules)} candidates{_listed(self.flags)}. {NOTICE})"

    def _repr_html_(self) -> str:
        """The answer as a notebook shows it."""
        interval = "" if self.interval is None else " (95 %: {:.3f} to {:.3f})".format(*self.interval)
        flags = "".join(
            f"<li>{escape(format_flag(flag, found))}</li>"
            for flag, found in self.flags[["flag", "found"]].itertuples(index=False)
        )
        head = f"<p><b>{escape(self.scan)}: {self._said}</b>{interval}</p>"
        table = self.nodules.drop(columns="scan").to_html(
            index=False, float_format="{:.4g}".format, na_rep="", border=0
        )
        return f"{head}<ul>{flags}</ul>{table}<p>{NOTICE}</p>"


def answer_of(scan: str, table: Mapping[str, Any], candidates: Sequence[Candidate], labels: Volume | None) -> Answer:
    """The answer of a scan, from the JSON of its nodule table."""
    patient = table["patient"]
    return Answer(
        scan=scan,
        status=table["status"],
        malignancy_score=patient["malignancy_score"],
        cancer_probability=patient["cancer_probability"],
        interval=None if patient["interval"] is None else tuple(patient["interval"]),
        nodules=_frame(scan, NoduleRow, read_nodules(table)),
        candidates=candidate_frame(scan, candidates),
        labels=labels,
        flags=flag_frame([(flag["flag"], flag["detail"]) for flag in table["flags"]]),
    )


def candidate_frame(scan: str, found: Sequence[Candidate]) -> pd.DataFrame:
    return _frame(scan, Candidate, found).drop(columns="label")  # the maps that are handed out hold ranks


def _frame(scan: str, kind: type[Candidate] | type[NoduleRow], rows: Sequence[Any]) -> pd.DataFrame:
    """Rows of one kind as a table, with the types of its fields also where there is no row."""
    types = {
        one.name: _TYPES.get(one.type if isinstance(one.type, str) else one.type.__name__, "str")
        for one in fields(kind)
    }
    table = pd.DataFrame([[getattr(row, name) for name in types] for row in rows], columns=list(types)).astype(types)
    table.insert(0, "scan", pd.Series([scan] * len(rows), dtype="str"))
    return table


def flag_frame(found: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """QC flags in words."""
    rows = [[flag, detail, *FLAGS[flag]] for flag, detail in found]
    return pd.DataFrame(rows, columns=["flag", "found", "meaning", "remedy"], dtype="str")


def _listed(flags: pd.DataFrame) -> str:
    return "".join(f", {flag}" for flag in flags["flag"])
