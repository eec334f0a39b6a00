"""Results by group, and of a site's acceptance, as Markdown."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lungline.reports.metric_tables import froc_page, markdown_table, text

_WORDS = {
    "scans": "scans",
    "nodules": "nodules",
    "recall": "found by any mark",
    "sensitivity": "found above the score",
    "false_positives_per_scan": "false positives per scan",
    "cpm": "CPM",
}


def groups_markdown(described: Mapping[str, Any] | None) -> str:
    """A table for each column."""
    if described is None:
        return ""
    score = "-" if described["score"] is None else f"{described['score']:.6g}"
    lines = ["", f"The score is {score}: {described['false_positives_per_scan']:g} false positive per scan in all."]
    for column, table in described["columns"].items():
        cells = {
            value: {_WORDS[name]: _cell(row[name]) for name in _WORDS if name in row} for value, row in table.items()
        }
        lines += ["", *markdown_table(pd.DataFrame(cells).T.rename_axis(index=column))]
    return "\n".join(lines) + "\n"


def acceptance_markdown(result: Mapping[str, Any]) -> str:
    """The results of `acceptance` as a Markdown page."""
    about = (
        f"{result['chests']} chests, {result['implanted_scans']} scans with {result['implanted_nodules']} implanted "
        f"nodules ({result['asked_nodules']} asked for), found by {result['detector']}.\n\n"
    )
    page = froc_page("Acceptance of a detector on a site's own chests", result, about)
    plain = result["as_they_are"]
    if plain is None:
        return page
    cells = {
        point: {
            "score from": "-" if one["score"] is None else f"{one['score']:.6g}",
            "false positives per chest as it is": text(one["false_positives_per_scan"]),
        }
        for point, one in plain.items()
    }
    table = pd.DataFrame(cells).T.rename_axis(index="false positives per implanted scan")
    return page + "\n".join(["", *markdown_table(table)]) + "\n" + groups_markdown(result["by"])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return text(value) if isinstance(value, Mapping) or value is None else str(value)
