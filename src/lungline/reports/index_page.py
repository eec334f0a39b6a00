"""The page of a cohort: every scan in a table that can be sorted, and how good the answers are where that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lungline.evaluation.intervals import Estimate
from lungline.names import SCORE_NAMES
from lungline.nodules.table import read_nodules
from lungline.reports.html import render
from lungline.storage.predictions import Prediction

if TYPE_CHECKING:
    import pandas as pd  # pandas and matplotlib are imported where something is measured: `predict` needs neither

_ORDER = {"quarantined": 0, "warned": 1, "ok": 2, "not-scored": 3}
#: The metrics of `compare` that the page shows.
COMPARED = ("log_loss", "auc", "accuracy", "cpm")


def index_page(
    rows: Sequence[Prediction],
    tables: Mapping[str, Mapping[str, Any]],
    links: Mapping[str, str],
    detection: Mapping[str, Any] | None = None,
    compared: pd.DataFrame | None = None,
) -> str:
    """The page as text.

    Parameters
    ----------
    rows : sequence of Prediction
    tables : mapping of scan to nodule table
        As `describe-nodules` wrote them, of some scans.
    links : mapping of scan to address
        Of the pages of some scans, relative to this one.
    detection : mapping or None
        The result of `evaluate-detection`.
    compared : DataFrame or None
        The table that `compare` wrote, as text.
    """
    counts = Counter(row.status for row in rows)
    of_each_status = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    taught = {table["patient"].get("supervision", "patients") for table in tables.values()}
    strongest = {
        scan: next((nodule for nodule in read_nodules(table) if nodule.decided), None) for scan, table in tables.items()
    }
    findings = {scan: len(table["nodules"]) for scan, table in tables.items() if table["nodules"] is not None}
    return render(
        "index_page.html",
        title="Lung cancer in chest CT: answers",
        curves=[*_reliability(rows), *([] if detection is None else [_froc(detection)])],
        compared=[] if compared is None else _side_by_side(compared),
        counts=f"{len(rows)} scans: {of_each_status}.",
        classifiers=", ".join(sorted({row.classifier for row in rows if row.classifier})),
        score_name=SCORE_NAMES["nodules" if taught == {"nodules"} else "patients"].replace("_", " "),
        order=_ORDER,
        rows=[
            (row, findings.get(row.scan), strongest.get(row.scan), links.get(row.scan))
            for row in sorted(rows, key=_first)
        ],
    )


def _side_by_side(compared: pd.DataFrame) -> list[dict[Hashable, str]]:
    """Classifiers on the test patients: figure and 95 % interval; those that were not run are left out."""
    from lungline.reports.metric_tables import LABELS, figures

    run = compared[compared["patients"] != ""]
    shown = run[["classifier", "patients"]].rename(columns=str.capitalize)
    return shown.join(figures(run, {name: LABELS.get(name, name.upper()) for name in COMPARED})).to_dict("records")


def _first(row: Prediction) -> tuple[int, float, str]:
    """Quarantined scans first, then by falling score."""
    return (0 if row.status == "quarantined" else 1, -(-1 if row.score is None else row.score), row.scan)


def _reliability(rows: Sequence[Prediction]) -> list[tuple[str, str]]:
    """Predicted probability against the share with cancer among labelled test patients: the curve and its caption."""
    if not any(row.split == "test" and row.label is not None for row in rows):
        return []
    from lungline.evaluation.patient_metrics import scored
    from lungline.reports.performance_curves import plot_reliability
    from lungline.reports.plotting import as_svg

    known = scored(rows, "test")
    if known.empty:
        return []
    figure = plot_reliability(known["label"].to_numpy(), known["score"].to_numpy())
    caption = f"Reliability, {len(known)} labelled test patients, {known['label'].sum()} with cancer; "
    return [(as_svg(figure, "reliability"), caption + figure.axes[0].get_title().partition(", ")[2])]


def _froc(detection: Mapping[str, Any]) -> tuple[str, str]:
    """Sensitivity against false positives per scan, with its 95 % band: the curve and its caption."""
    froc = detection["froc"]
    if froc["curve"] is None:
        return "", f"FROC: {froc['cpm']['reason']}"
    from lungline.reports.performance_curves import plot_froc
    from lungline.reports.plotting import as_svg

    caption = f"FROC, {froc['nodules']} nodules in {froc['scans']} {detection['split']} scans; CPM "
    return as_svg(plot_froc(froc, "FROC"), "FROC"), caption + str(Estimate(**froc["cpm"]))
