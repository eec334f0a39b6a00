"""Results as tables: CSV for programs, Markdown for readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lungline import NOTICE
from lungline.evaluation.intervals import Estimate
from lungline.storage.tables import table_text

LABELS = {
    "log_loss": "log loss",
    "accuracy": "accuracy at 0.5",
    "auc": "ROC AUC",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
WHO = {"system": "system", "all_negative": "all negative", "constant_prior": "constant prior"}


def cancer_table(result: Mapping[str, Any]) -> str:
    """CSV, one row a split, predictor and metric: value, interval, number of patients, origin of the data."""
    rows = [
        (split, who, metric, n, e["value"], e["low"], e["high"], e["method"], e["reason"], result["data"]["origin"])
        for split, who, metric, n, e in _estimates(result)
    ]
    columns = ("split", "predictor", "metric", "patients", "value", "low", "high", "interval", "reason", "data")
    return table_text(columns, [["" if word is None else word for word in row] for row in rows])


def _estimates(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str, int, Mapping[str, Any]]]:
    for split, answer in result["splits"].items():
        groups: dict[str, Mapping[str, Any]] = {"system": answer["metrics"], **answer["baselines"]}
        if "diameter_alone" in answer:
            groups["diameter_alone"] = answer["diameter_alone"]
        for who, metrics in groups.items():
            for name, estimate in metrics.items():
                if isinstance(estimate, Mapping):
                    yield split, who, name, answer["scored"], estimate


def cancer_markdown(result: Mapping[str, Any]) -> str:
    """The results of `evaluate-cancer` as a Markdown page."""
    lines = _head(f"Cancer prediction: {', '.join(result['systems']) or 'no system'}", result)
    prior = result["prior"]
    lines += [f"Prior: {'unknown' if prior is None else f'{prior:.3f}'} (share of cancer among the training patients)."]
    if result["warnings"]:
        lines += ["", "Warnings about the system (`lungline codes` explains them):", ""]
        lines += [f"- `{code}`: {detail}" for code, detail in result["warnings"]]
    for split, answer in result["splits"].items():
        lines += [
            "",
            f"## {split}: {answer['scored']} patients scored, {answer['cancer']} with cancer, "
            f"{len(answer['not_scored'])} labelled patients without an answer",
            "",
        ]
        if not answer["scored"]:
            lines.append("not run: no labelled patient was scored.")
            continue
        columns = {"system": answer["metrics"], **answer["baselines"]}
        lines += [f"| | {' | '.join(WHO[who] for who in columns)} |", "|---" * (len(columns) + 1) + "|"]
        for name, label in LABELS.items():
            lines.append(f"| {label} | {' | '.join(text(metrics.get(name)) for metrics in columns.values())} |")
        if "diameter_alone" in answer:
            alone = answer["diameter_alone"]
            lines += [
                "",
                f"ROC AUC of the largest nodule's diameter alone: {text(alone['auc'])}; "
                f"system minus diameter: {text(alone['auc_of_system_minus_diameter'])}.",
            ]
        reasons = {f"{LABELS[n]}: {e['reason']}" for n, e in answer["metrics"].items() if e["reason"]}
        lines += ["", *(f"- {reason}" for reason in sorted(reasons))] if reasons else []
    return "\n".join(lines) + "\n"


def detection_markdown(result: Mapping[str, Any]) -> str:
    """The results of `evaluate-detection` as a Markdown page."""
    lines = _head(f"Nodule detection, split {result['split']}", result)
    found, froc = result["candidates"], result["froc"]
    lines += [
        f"{found['found']} of {found['nodules']} nodules among the candidates of {found['scans']} scans; a hit is "
        f"{result['hit']}.",
        "",
        "| | value |",
        "|---|---|",
        f"| recall | {text(found['recall'])} |",
    ]
    lines += [
        f"| recall, diameter {name} mm ({row['nodules']} nodules) | {text(row)} |"
        for name, row in found["recall_by_diameter_mm"].items()
    ]
    lines += [
        f"| candidates a scan | {text(found['candidates_a_scan'])} |",
        f"| scans with every nodule found | {found['scans_with_all_found']} of {found['scans_with_nodules']} |",
        f"| scans without a candidate | {found['scans_without_candidates']} of {found['scans']} |",
        *_froc_rows(froc),
    ]
    return "\n".join(lines) + "\n"


def froc_markdown(result: Mapping[str, Any]) -> str:
    """The results of `froc` as a Markdown page."""
    froc = result["froc"]
    lines = _head("FROC of a submission", result)
    lines += [f"Warning: {warning}\n" for warning in result["warnings"]]
    lines += [
        f"{froc['true_positives']} of {froc['nodules']} nodules hit and {froc['false_positives']} false positives in "
        f"{froc['scans']} scans. Of {froc['marks_after_cut']} marks after the cut, {froc['ignored_on_excluded']} on "
        f"excluded findings and {froc['ignored_double']} second marks of a nodule count neither way.",
        "",
        "| | value |",
        "|---|---|",
        *_froc_rows(froc),
    ]
    return "\n".join(lines) + "\n"


def _froc_rows(froc: Mapping[str, Any]) -> list[str]:
    return [
        f"| CPM (mean sensitivity at 1/8 to 8 false positives a scan) | {text(froc['cpm'])} |",
        *(
            f"| sensitivity at {point} false positives a scan | {text(e)} |"
            for point, e in froc["sensitivity_at"].items()
        ),
    ]


def text(estimate: Mapping[str, Any] | None) -> str:
    """`0.812 (0.701 to 0.903)`; a dash where there is no value."""
    return "-" if estimate is None else str(Estimate(estimate["value"], estimate["low"], estimate["high"]))


def _head(title: str, result: Mapping[str, Any]) -> list[str]:
    data: Mapping[str, Sequence[str]] = result["data"]
    return [
        f"# {title}",
        "",
        NOTICE,
        "",
        f"Data: {', '.join(data['datasets']) or 'none'} ({data['origin']}). Intervals: {result['intervals']}.",
        "",
    ]
