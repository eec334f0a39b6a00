"""The comparison of classifiers as a table, a page and a forest plot."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lungline import NOTICE
from lungline.evaluation.cancer_metrics import METRICS
from lungline.evaluation.intervals import Estimate
from lungline.evaluation.paired_comparison import PAPER, TEST_CANCER, TEST_PATIENTS, Compared
from lungline.reports.metric_tables import LABELS, figures, markdown_table
from lungline.reports.plotting import new_figure

DETECTION = {"cpm": "CPM", "recall": "recall of its candidates"}
_NOTHING = Estimate(None)
_MOST_LOG_LOSS = 2.0  # drawn to scale; sure and wrong, as "no cancer" for everybody is, stands at 10 and more


def comparison_table(rows: Sequence[Compared], reference: str) -> pd.DataFrame:
    """The table `comparison.csv`: one row per classifier, each figure with its 95 % interval; None: not measured."""
    return pd.DataFrame([_record(row, reference) for row in rows], dtype=object)


def _record(row: Compared, reference: str) -> dict[str, object]:
    run, paper = bool(row.metrics), row.paper
    estimates = {name: row.metrics.get(name, _NOTHING) for name in METRICS}
    estimates |= {name: row.detection.get(name, _NOTHING) for name in DETECTION}
    minus = {f"{name}_minus_reference": row.differences.get(name, _NOTHING) for name in (*METRICS, "cpm")}
    return {
        "classifier": row.classifier,
        "kind": row.kind,
        "seed": row.seed,
        "data": row.data,
        "patients": len(row.answers) if run else None,
        "not_answered": row.unanswered if run else None,
        **_cells(estimates),
        "training_s": row.training.seconds,
        "training_cpu_s": row.training.cpu_seconds,
        "training_peak_mb": row.training.peak_mb,
        "paper_log_loss": paper.log_loss if paper else None,
        **_cells({"paper_accuracy": paper.accuracy if paper else _NOTHING}),
        "paper_reports": paper.reports if paper else None,
        "reference": reference if row.differences else None,
        **_cells(minus),
    }


def _cells(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {
        f"{n}{end}": v for n, e in estimates.items() for end, v in (("", e.value), ("_low", e.low), ("_high", e.high))
    }


def comparison_markdown(table: pd.DataFrame, reference: str) -> str:
    """The comparison as Markdown: metrics, differences from the reference, detection, cost, figures of the paper."""
    table = table.set_index("classifier")
    run = table[table["patients"].notna()]
    papers = figures(table, {"paper_accuracy": "paper: accuracy"})
    papers.insert(0, "paper: log loss", table["paper_log_loss"].map(_plain))
    metrics = pd.concat([table[["data", "patients"]].fillna("-"), figures(table, LABELS), papers], axis=1)
    minus = {f"{name}_minus_reference": label for name, label in {**LABELS, "cpm": DETECTION["cpm"]}.items()}
    costs = run[["training_s", "training_cpu_s", "training_peak_mb"]].map(_plain, style=".0f")
    costs.columns = pd.Index(["seconds", "CPU seconds", "peak memory, MB"])
    costs = pd.concat([run[["kind", "seed"]].replace("", "-"), figures(run, DETECTION), costs], axis=1)
    known = [(name, paper.setting, paper.reports) for name, paper in PAPER.items()]
    settings = pd.DataFrame(known, columns=["classifier", "what it is", "what the paper reports"]).set_index(
        "classifier"
    )
    lines = [
        "# Comparison",
        "",
        NOTICE,
        "",
        f"Test patients only. 95 % intervals: Wilson (accuracy), DeLong (AUC), bootstrap over patients (the others). "
        f"The paper's figures are of the {TEST_PATIENTS} test patients of DSB-17, {TEST_CANCER} with cancer; the "
        "interval of its accuracy is ours. Figures of other data are no figures of DSB-17.",
        "",
        *markdown_table(metrics),
        "",
        f"## Minus {reference}, on the patients that both answered",
        "",
        "Paired 95 % intervals. One that holds 0 shows no difference. A mean of trainings with several seeds is",
        "compared with the mean of the reference's trainings, where there are several.",
        "",
        *markdown_table(figures(run[run["reference"].notna()], minus, _signed)),
        "",
        "## Detection, and what training cost",
        "",
        "Training is that of the classifier and of its detector: seconds of the wall clock; CPU seconds, and the peak",
        "of memory of the largest process, as the system counted them for the training itself (getrusage), no samples.",
        "Of a training that was interrupted they are those of the last call. `-`: not measured.",
        "",
        *markdown_table(costs),
        "",
        "## The paper's classifiers",
        "",
        *markdown_table(settings),
    ]
    return "\n".join(lines) + "\n"


def _plain(value: float | None, style: str = ".3f") -> str:
    return "-" if value is None else f"{value:{style}}"


def _signed(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    interval = "" if estimate.low is None else f" ({estimate.low:+.3f} to {estimate.high:+.3f})"
    return f"{estimate.value:+.3f}{interval}"


def plot_forest(rows: Sequence[Compared]) -> Figure:
    """Every metric of every classifier with its 95 % interval; the paper's figure, of DSB-17, as a diamond."""
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
    panels[0].set_yticks(range(len(shown)), [row.classifier for row in shown])
    panels[0].set_ylim(len(shown) - 0.4, -0.6)
    return figure


def _whisker(panel: Axes, place: float, estimate: Estimate, marker: str, color: str) -> None:
    if estimate.value is None:
        return
    panel.plot(estimate.value, place, marker, color=color, markersize=4)
    if estimate.low is not None and estimate.high is not None:
        panel.plot([estimate.low, estimate.high], [place, place], color=color, linewidth=1)
