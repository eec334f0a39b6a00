"""Results as tables: CSV for programs, Markdown for readers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from lungline import NOTICE
from lungline.evaluation.intervals import Estimate

LABELS = {
    "log_loss": "log loss",
    "accuracy": "accuracy at 0.5",
    "auc": "ROC AUC",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}


def figures(table: pd.DataFrame, labels: Mapping[str, str], style: Callable[[Estimate], str] = str) -> pd.DataFrame:
    """The columns NAME, NAME_low, NAME_high of each name as words, a column LABEL each."""
    cells = {}
    for name, label in labels.items():
        numbers = table[[name, f"{name}_low", f"{name}_high"]].apply(pd.to_numeric).astype(object)
        cells[label] = [style(Estimate(*row)) for row in numbers.where(numbers.notna(), None).to_numpy()]
    return pd.DataFrame(cells, index=table.index)


def csv_text(table: pd.DataFrame) -> str:
    """A table of objects as CSV text with a header and `\\n` line ends; None is written as nothing."""
    return table.to_csv(index=False, lineterminator="\n")


def markdown_table(table: pd.DataFrame) -> list[str]:
    """The lines of a table of words as Markdown, its index as the first column."""
    head = f"| {table.index.name} |" if table.index.name else "| |"
    return [
        " | ".join([head.removesuffix(" |"), *table.columns]) + " |",
        "|---" * (1 + len(table.columns)) + "|",
        *(f"| {' | '.join(map(str, row))} |" for row in table.itertuples()),
    ]


def cancer_table(result: Mapping[str, Any]) -> str:
    """CSV, one row a split, predictor and metric: value, interval, number of patients, origin of the data."""
    return csv_text(pd.DataFrame(_estimates(result), dtype=object).assign(data=result["data"]["origin"]))


def _estimates(result: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    for split, answer in result["splits"].items():
        groups: dict[str, Mapping[str, Any]] = {"classifier": answer["metrics"], **answer["baselines"]}
        if "diameter_alone" in answer:
            groups["diameter_alone"] = answer["diameter_alone"]
        for who, metrics in groups.items():
            for name, e in metrics.items():
                if isinstance(e, Mapping):
                    row = {"split": split, "predictor": who, "metric": name, "patients": answer["scored"]}
                    row |= {key: e[key] for key in ("value", "low", "high")}
                    yield row | {"interval": e["method"], "reason": e["reason"]}


def cancer_markdown(result: Mapping[str, Any]) -> str:
    """The results of `evaluate-cancer` as a Markdown page."""
    lines = _head(f"Cancer prediction: {', '.join(result['classifiers']) or 'no classifier'}", result)
    prior = "unknown" if result["prior"] is None else f"{result['prior']:.3f}"
    lines += [f"Prior: {prior} (share of cancer among the training patients)."]
    if result["warnings"]:
        lines += ["", "Warnings about the classifier (`lungline flags` explains them):", ""]
        lines += [f"- `{flag}`: {detail}" for flag, detail in result["warnings"]]
    for split, answer in result["splits"].items():
        lines += [
            "",
            f"## {split}: {answer['scored']} patients scored, {answer['cancer']} with cancer, "
            f"{len(answer['not_scored'])} labelled patients without an answer",
            "",
            *(_split_markdown(answer) if answer["scored"] else ["not run: no labelled patient was scored."]),
        ]
    return "\n".join(lines) + "\n"


def _split_markdown(answer: Mapping[str, Any]) -> list[str]:
    columns = {"classifier": answer["metrics"], **answer["baselines"]}
    cells = {who: {label: text(m.get(name)) for name, label in LABELS.items()} for who, m in columns.items()}
    lines = markdown_table(pd.DataFrame(cells).rename(columns=lambda who: who.replace("_", " ")))
    if alone := answer.get("diameter_alone"):
        lines += [
            "",
            f"ROC AUC of the largest nodule's diameter alone: {text(alone['auc'])}; "
            f"classifier minus diameter: {text(alone['auc_of_classifier_minus_diameter'])}.",
        ]
    reasons = sorted({f"- {LABELS[n]}: {e['reason']}" for n, e in answer["metrics"].items() if e["reason"]})
    return [*lines, *(["", *reasons] if reasons else [])]


def detection_markdown(result: Mapping[str, Any]) -> str:
    """The results of `evaluate-detection` as a Markdown page."""
    found = result["candidates"]
    rows = {"recall": text(found["recall"])}
    for name, row in found["recall_by_diameter_mm"].items():
        rows[f"recall, diameter {name} mm ({row['nodules']} nodules)"] = text(row)
    rows["candidates per scan"] = text(found["candidates_per_scan"])
    rows["scans with every nodule found"] = f"{found['scans_with_all_found']} of {found['scans_with_nodules']}"
    rows["scans without a candidate"] = f"{found['scans_without_candidates']} of {found['scans']}"
    cells = (
        f"{found['found']} of {found['nodules']} nodules among the candidates of {found['scans']} scans; a hit is "
        f"{result['hit']}."
    )
    return _page(f"Nodule detection, split {result['split']}", result, cells, rows)


def froc_markdown(result: Mapping[str, Any]) -> str:
    """The results of `froc` as a Markdown page."""
    froc = result["froc"]
    cells = "".join(f"Warning: {warning}\n\n" for warning in result["warnings"]) + (
        f"{froc['true_positives']} of {froc['nodules']} nodules hit and {froc['false_positives']} false positives in "
        f"{froc['scans']} scans. Of {froc['marks_after_cut']} marks after the cut, {froc['ignored_on_excluded']} on "
        f"excluded findings and {froc['ignored_double']} second marks of a nodule count neither way."
    )
    return _page("FROC of a submission", result, cells, {}) + _system_markdown(result["system"])


def _system_markdown(system: Mapping[str, Any] | None) -> str:
    """Two more tables: what counts at each number of false positives; recall among the strongest marks and by size."""
    if system is None:
        return ""
    words = {"score": "score from", "true_positives": "nodules found", "false_positives": "false positives"}
    words |= {"over_patients": "sensitivity, over patients"}
    words |= {f"difference_{over}": f"difference, {over.replace('_', ' ')}" for over in ("over_scans", "over_patients")}
    cells = {
        at: {
            **{words[name]: "-" if value is None else f"{value:.6g}" for name, value in counts.items()},
            **{words[name]: text(one["sensitivity_at"][at]) for name, one in system.items() if name in words},
        }
        for at, counts in system["counts_at"].items()
    }
    compared = {name: system[name]["cpm"] for name in words if name in system}
    if compared:
        cells["CPM"] = {words[name]: text(cpm) for name, cpm in compared.items()}
    counted = pd.DataFrame(cells).T.fillna("-").rename_axis(index="false positives per scan")
    recalls = {f"{n} strongest marks of a scan": text(e) for n, e in system["recall_among"].items()}
    for size, one in system["recall_by_diameter_mm"].items():
        recalls[f"all marks, diameter {size} mm ({one['nodules']} nodules)"] = text(one)
    among = pd.DataFrame({"recall": recalls}).rename_axis(index="among")
    silent = f"{system['scans_without_marks']} listed scans have no mark; they count."
    return "\n".join(["", *markdown_table(counted), "", *markdown_table(among), "", silent]) + "\n"


def _page(title: str, result: Mapping[str, Any], cells: str, rows: Mapping[str, str]) -> str:
    """A page of words and of a table: these rows, then those of the FROC."""
    froc = result["froc"]
    sensitivities = {
        f"sensitivity at {at} false positives per scan": text(e) for at, e in froc["sensitivity_at"].items()
    }
    cpm = {"CPM (mean sensitivity at 1/8 to 8 false positives per scan)": text(froc["cpm"])}
    table = pd.DataFrame({"value": {**rows, **cpm, **sensitivities}})
    return "\n".join([*_head(title, result), cells, "", *markdown_table(table)]) + "\n"


def text(estimate: Mapping[str, Any] | None) -> str:
    """`0.812 (0.701 to 0.903)`; a dash where there is no value."""
    return "-" if estimate is None else str(Estimate(estimate["value"], estimate["low"], estimate["high"]))


def luna25_markdown(result: Mapping[str, Any]) -> str:
    """The results of `luna25-score` as a Markdown page."""
    rows = {"ROC AUC": text(result["auc"])}
    for at, point in result["at"].items():
        rows |= {f"{rate} at {at}": text(point[rate]) for rate in ("sensitivity", "specificity")}
    counts = (
        f"{result['nodules']} nodules, {result['malignant']} malignant, {result['without_answer']} without an answer."
    )
    reason = f" {result['auc']['reason']}." if result["auc"]["reason"] else ""
    table = markdown_table(pd.DataFrame({"value": rows}))
    return "\n".join([*_head("LUNA25", result), counts + reason, "", *table]) + "\n"


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
