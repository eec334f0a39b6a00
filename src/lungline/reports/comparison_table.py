"""The comparison of systems as a table, a page and a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lungline import NOTICE
from lungline.evaluation.cancer_metrics import METRICS
from lungline.evaluation.intervals import Estimate
from lungline.evaluation.paired_comparison import Compared
from lungline.evaluation.paper_figures import TEST_CANCER, TEST_PATIENTS
from lungline.reports.canvas import new_figure
from lungline.reports.metric_tables import LABELS
from lungline.storage.tables import table_text

DETECTION = {"cpm": "CPM", "recall": "recall of its candidates"}
DIFFERENCES = (*METRICS, "cpm")
_NOTHING = Estimate(None)
_MOST_LOG_LOSS = 2.0  # drawn to scale; sure and wrong, as "no cancer" for everybody is, stands at 10 and more


def comparison_table(rows: Sequence[Compared], reference: str) -> str:
    """`comparison.csv`: one row a system; each figure with its 95 % interval; an empty cell was not measured."""
    columns = ["system", "kind", "seed", "data", "patients", "not_answered"]
    for name in (*METRICS, *DETECTION):
        columns += [name, f"{name}_low", f"{name}_high"]
    columns += ["training_s", "training_cpu_s", "training_peak_mb"]
    columns += ["paper_log_loss", "paper_accuracy", "paper_accuracy_low", "paper_accuracy_high", "paper_says"]
    columns += ["reference"]
    for name in DIFFERENCES:
        columns += [f"{name}_minus_reference", f"{name}_minus_reference_low", f"{name}_minus_reference_high"]
    return table_text(columns, [_cells(row, reference) for row in rows])


def _cells(row: Compared, reference: str) -> list[object]:
    run = bool(row.metrics)
    cells: list[object] = [row.system, row.kind, row.seed, row.data]
    cells += [len(row.answers), row.unanswered] if run else [None, None]
    for name in METRICS:
        cells += _interval(row.metrics.get(name))
    for name in DETECTION:
        cells += _interval(row.detection.get(name))
    cells += [row.training.seconds, row.training.cpu_seconds, row.training.peak_mb]
    paper = row.paper
    cells += [paper.log_loss, *_interval(paper.accuracy), paper.says] if paper else [None] * 5
    cells += [reference if row.differences else None]
    for name in DIFFERENCES:
        cells += _interval(row.differences.get(name))
    return cells


def _interval(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    e = estimate or _NOTHING
    return e.value, e.low, e.high


def comparison_markdown(rows: Sequence[Compared], reference: str) -> str:
    """The same to be read: how good, against the reference, detection and cost, what the paper says."""
    run = [row for row in rows if row.metrics]
    lines = ["# Comparison", "", NOTICE, ""]
    lines += [
        f"Test patients only. 95 % intervals: Wilson (accuracy), DeLong (AUC), bootstrap over patients (the others). "
        f"The paper's figures are of the {TEST_PATIENTS} test patients of DSB-17, {TEST_CANCER} with cancer; the "
        "interval of its accuracy is ours. Figures of other data are no figures of DSB-17.",
        "",
    ]
    lines += _head("system", "data", "patients", *LABELS.values(), "paper: log loss", "paper: accuracy")
    for row in rows:
        figures = [str(row.metrics.get(name, _NOTHING)) for name in LABELS]
        papers = (_plain(row.paper.log_loss), str(row.paper.accuracy)) if row.paper else ("-", "-")
        lines.append(_line(row.system, row.data, len(row.answers) if row.metrics else "-", *figures, *papers))
    lines += ["", f"## Minus {reference}, on the patients that both answered", ""]
    lines += ["Paired 95 % intervals. One that holds 0 shows no difference. A mean of trainings with several seeds is",
              "compared with the mean of the reference's trainings, where there are several.", ""]  # fmt: skip
    lines += _head("system", *LABELS.values(), DETECTION["cpm"])
    lines += [
        _line(row.system, *(_signed(row.differences.get(name, _NOTHING)) for name in (*LABELS, "cpm")))
        for row in run
        if row.differences
    ]
    lines += ["", "## Detection, and what training cost", ""]
    lines += ["Training is that of the system and of its detector, as Snakemake measured it; `-`: not measured.", ""]
    lines += _head("system", "kind", "seed", *DETECTION.values(), "seconds", "CPU seconds", "peak memory, MB")
    for row in run:
        cost = (row.training.seconds, row.training.cpu_seconds, row.training.peak_mb)
        detection = [str(row.detection.get(name, _NOTHING)) for name in DETECTION]
        lines.append(_line(row.system, row.kind or "-", row.seed or "-", *detection, *(_plain(c, ".0f") for c in cost)))
    lines += ["", "## The paper's systems", ""]
    lines += _head("system", "what it is", "what the paper reports")
    lines += [_line(row.system, row.paper.setting, row.paper.says) for row in rows if row.paper]
    return "\n".join(lines) + "\n"


def _head(*names: str) -> list[str]:
    return [_line(*names), "|" + "---|" * len(names)]


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _plain(value: float | None, style: str = ".3f") -> str:
    return "-" if value is None else f"{value:{style}}"


def _signed(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    interval = "" if estimate.low is None else f" ({estimate.low:+.3f} to {estimate.high:+.3f})"
    return f"{estimate.value:+.3f}{interval}"


def draw_forest(rows: Sequence[Compared]) -> Figure:
    """Every metric of every system with its 95 % interval; the paper's figure, of DSB-17, as a diamond."""
    shown = [row for row in rows if row.metrics or (row.paper and (row.paper.log_loss or row.paper.correct))]
    data = "; ".join(sorted({row.data for row in shown if row.metrics}))
    figure = new_figure(
        13, 1.8 + 0.32 * len(shown), f"Test patients ({data})", "diamonds: the paper's figures, of DSB-17;"
    )
    panels: list[Axes] = figure.subplots(1, len(LABELS), sharey=True).tolist()
    for panel, (name, label) in zip(panels, LABELS.items(), strict=True):
        for place, row in enumerate(shown):
            ours, most = row.metrics.get(name, _NOTHING), _MOST_LOG_LOSS if name == "log_loss" else 1.0
            if (ours.value or 0.0) > most:
                panel.annotate(f"{ours.value:.1f} \N{RIGHTWARDS ARROW}", (0.98, place), fontsize=7, ha="right",
                               va="center", xycoords=("axes fraction", "data"))  # fmt: skip
            else:
                _whisker(panel, place, ours, "o", "C0")
            if row.paper and name == "log_loss":
                _whisker(panel, place + 0.25, Estimate(row.paper.log_loss), "D", "C3")
            if row.paper and name == "accuracy":
                _whisker(panel, place + 0.25, row.paper.accuracy, "D", "C3")
        panel.set_title(label, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(shown)), [row.system for row in shown])
    panels[0].set_ylim(len(shown) - 0.4, -0.6)
    return figure


def _whisker(panel: Axes, place: float, estimate: Estimate, marker: str, color: str) -> None:
    if estimate.value is None:
        return
    panel.plot(estimate.value, place, marker, color=color, markersize=4)
    if estimate.low is not None and estimate.high is not None:
        panel.plot([estimate.low, estimate.high], [place, place], color=color, linewidth=1)
