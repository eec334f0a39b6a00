"""The page of a cohort: every scan in a table that can be sorted, and how good the answers are where that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from lungline.evaluation.cancer_metrics import calibration_error, reliability
from lungline.evaluation.froc import CPM_POINTS
from lungline.evaluation.intervals import Estimate
from lungline.names import ANSWER_NAMES
from lungline.nodules.table import read_nodules
from lungline.reports.flag_words import explain
from lungline.reports.html import document, percent
from lungline.reports.metric_tables import LABELS
from lungline.reports.svg import Chart
from lungline.storage.hdf5 import Code
from lungline.storage.predictions import Prediction

_ORDER = {"quarantined": 0, "warned": 1, "ok": 2, "not-scored": 3}
_HEADS = ("Scan", "Status", "{answer}", "Candidates", "Strongest candidate", "Split", "Label", "Codes")


def index_page(
    rows: Sequence[Prediction],
    tables: Mapping[str, Mapping[str, Any]],
    links: Mapping[str, str],
    detection: Mapping[str, Any] | None = None,
    compared: Sequence[Mapping[str, str]] = (),
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
    compared : sequence of mapping
        Rows of the table that `compare` wrote, as text.
    """
    systems = ", ".join(sorted({row.system for row in rows if row.system}))
    counts = Counter(row.status for row in rows)
    told = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    scans = [f"<section><h2>Scans</h2><p>{len(rows)} scans: {told}. System: {escape(systems) or 'none'}.</p>"]
    scans.append(_table(sorted(rows, key=_first), tables, links) + "</section>")
    curves = "".join([*_reliability(rows), *([] if detection is None else [_froc(detection)])])
    heading = "<section><h2>How good the answers are</h2>"
    unknown = [
        f"{heading}<p>Not known here: no labelled test patient, no annotated test scan. What the system's own report "
        "says holds for the patients that it was tested on.</p></section>"
    ]
    known = [f'{heading}<div class="curves">{curves}</div>{_comparison(compared)}</section>']
    body = [*known, *scans] if curves or compared else [*scans, *unknown]
    return document("Lung cancer in chest CT: answers", body, script="index.js")


def _comparison(rows: Sequence[Mapping[str, str]]) -> str:
    """Systems side by side on the test patients: figure and 95 % interval; those that were not run are left out."""
    run = [row for row in rows if row["patients"]]
    if not run:
        return ""
    columns = {**{name: LABELS[name] for name in ("log_loss", "auc", "accuracy")}, "cpm": "CPM"}
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("System", "Patients", *columns.values()))
    lines = [
        f"<tr><td>{escape(row['system'])}</td><td>{escape(row['patients'])}</td>"
        + "".join(f"<td>{_estimate(row, name)}</td>" for name in columns)
        + "</tr>"
        for row in run
    ]
    return (
        '<h3>Systems side by side</h3><div class="scroll"><table class="figures">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _estimate(row: Mapping[str, str], name: str) -> str:
    value, low, high = (float(row[key]) if row[key] else None for key in (name, f"{name}_low", f"{name}_high"))
    return escape(str(Estimate(value, low, high)))


def _first(row: Prediction) -> tuple[int, float, str]:
    """Quarantined scans first, then the most probable."""
    return (0 if row.status == "quarantined" else 1, -(-1 if row.probability is None else row.probability), row.scan)


def _table(rows: Sequence[Prediction], tables: Mapping[str, Mapping[str, Any]], links: Mapping[str, str]) -> str:
    taught = {table["patient"].get("learned_from", "patients") for table in tables.values()}
    said = ANSWER_NAMES["nodules" if taught == {"nodules"} else "patients"].capitalize()
    heads = "".join(
        f'<th scope="col"><button type="button">{head.format(answer=said)}</button></th>' for head in _HEADS
    )
    body = "".join(_row(row, tables.get(row.scan), links.get(row.scan)) for row in rows)
    table = f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _row(row: Prediction, table: Mapping[str, Any] | None, link: str | None) -> str:
    name = escape(row.scan)
    strongest = next((n for n in (read_nodules(table) if table else []) if n.decided), None)
    place = "" if strongest is None else (
        f"{strongest.longest_axial_mm:.1f} mm, {strongest.kind}, {strongest.side} {strongest.third}"
    )  # fmt: skip
    codes = "".join(f'<abbr title="{escape(explain(Code(code)))}">{escape(code)}</abbr> ' for code in row.codes)
    cells: list[tuple[str, object]] = [
        (f'<a href="{escape(link)}">{name}</a>' if link else name, row.scan),
        (row.status, _ORDER[row.status]),
        ("" if row.probability is None else percent(row.probability), row.probability),
        ("" if row.n_candidates is None else str(row.n_candidates), row.n_candidates),
        (place, None if strongest is None else strongest.longest_axial_mm),
        (row.split, row.split),
        ({None: "", 0: "no cancer", 1: "cancer"}[row.label], row.label),
        (codes, ";".join(row.codes)),
    ]
    tds = "".join(
        f'<td data-value="{"" if value is None else escape(str(value))}">{shown}</td>' for shown, value in cells
    )
    return f'<tr class="{row.status}">{tds}</tr>'


def _reliability(rows: Sequence[Prediction]) -> list[str]:
    """What was said against what came true, of the labelled test patients."""
    known = [r for r in rows if r.split == "test" and r.label is not None and r.probability is not None]
    if not known:
        return []
    labels = np.array([r.label for r in known])
    said = np.array([r.probability for r in known], dtype=np.float64)
    bins = [b for b in reliability(labels, said) if b.n]
    chart = Chart("reliability", "predicted probability", "share with cancer", (0, 0.2, 0.4, 0.6, 0.8, 1))
    x, y = [b.mean_probability or 0.0 for b in bins], [b.share_positive or 0.0 for b in bins]
    words = [f"{b.n} patients: {a:.2f} said, {c:.2f} came true" for b, a, c in zip(bins, x, y, strict=True)]
    error = calibration_error(labels, said)
    caption = (
        f"Reliability, {len(known)} labelled test patients, {labels.sum()} with cancer; calibration error {error:.3f}"
    )
    picture = chart.svg(chart.line(x, y) + chart.dots(x, y, words), diagonal=True)
    return [f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"]


def _froc(detection: Mapping[str, Any]) -> str:
    """Sensitivity against false positives a scan, with its 95 % band."""
    froc = detection["froc"]
    curve = froc["curve"]
    if curve is None:
        return f"<figure><figcaption>FROC: {escape(froc['cpm']['reason'])}</figcaption></figure>"
    chart = Chart("FROC", "false positives a scan", "sensitivity", CPM_POINTS, log=True)
    shown = [i for i, x in enumerate(curve["false_positives_a_scan"]) if x >= CPM_POINTS[0]]
    x, y = ([curve[name][i] for i in shown] for name in ("false_positives_a_scan", "sensitivity"))
    content = chart.line(x, y)
    if None not in curve["low"]:
        content = chart.band(x, *([curve[name][i] for i in shown] for name in ("low", "high"))) + content
    caption = (
        f"FROC, {froc['nodules']} nodules in {froc['scans']} {escape(detection['split'])} scans; "
        f"CPM {Estimate(**froc['cpm'])}"
    )
    return f"<figure>{chart.svg(content)}<figcaption>{caption}</figcaption></figure>"
