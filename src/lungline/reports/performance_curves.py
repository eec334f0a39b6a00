"""Curves: ROC and reliability of a classifier, FROC of a detector, learning curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lungline.evaluation.auc import auc, roc_points
from lungline.evaluation.cancer_metrics import calibration_error, reliability
from lungline.evaluation.free_response import CPM_POINTS
from lungline.evaluation.intervals import Estimate
from lungline.reports.plotting import new_figure, text_figure

Curve = Mapping[str, NDArray[np.float64]]


def plot_roc_and_reliability(labels: NDArray, probability: NDArray, title: str) -> Figure:
    """ROC curve with its area, and reliability diagram; labels (n,) 0 or 1, probability (n,)."""
    if len(np.unique(labels)) < 2:
        return text_figure(title, [f"{len(labels)} labelled patients of one class: there is no curve to draw."])
    figure = new_figure(9, 4.4, f"{title}, {len(labels)} patients, {int(labels.sum())} with cancer")
    left, right = figure.subplots(1, 2)
    left.plot(*roc_points(labels, probability), color="C0")
    _diagonal(left, f"ROC AUC {auc(labels, probability)}", "false positive rate", "true positive rate")
    _plot_reliability(right, labels, probability)
    return figure


def plot_reliability(labels: NDArray, probability: NDArray) -> Figure:
    """Reliability diagram; labels (n,) 0 or 1, probability (n,)."""
    figure = new_figure(5.6, 4.4)
    _plot_reliability(figure.add_subplot(), labels, probability)
    return figure


def _plot_reliability(axes: Axes, labels: NDArray, probability: NDArray) -> None:
    bins = [b for b in reliability(labels, probability) if b.n]
    points = [(b.mean_probability or 0.0, b.share_positive or 0.0) for b in bins]
    axes.plot(*zip(*points, strict=True), "o-", color="C1")
    for b, point in zip(bins, points, strict=True):
        axes.annotate(f"{b.n}", point, xytext=(4, -8), textcoords="offset points", fontsize=7)
    error = calibration_error(labels, probability)
    _diagonal(axes, f"reliability, calibration error {error:.3f}", "predicted probability", "share with cancer")


def _diagonal(axes: Axes, title: str, x: str, y: str) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", zorder=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=9)


def plot_froc(froc: Mapping[str, Any], title: str) -> Figure:
    """Sensitivity against false positives per scan, with its 95 % band, from the result of `evaluate-detection`."""
    curve = froc["curve"]
    if curve is None:
        return text_figure(title, [froc["cpm"]["reason"]])
    figure = new_figure(5.6, 4.4, f"{title}, {froc['nodules']} nodules in {froc['scans']} scans")
    axes = figure.add_subplot()
    x = curve["false_positives_per_scan"]
    axes.plot(x, curve["sensitivity"], color="C0")
    if None not in curve["low"]:
        axes.fill_between(x, curve["low"], curve["high"], color="C0", alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(CPM_POINTS, [f"{point:g}" for point in CPM_POINTS])
    axes.set(ylim=(0, 1.02), xlabel="false positives per scan", ylabel="sensitivity")
    axes.grid(alpha=0.3)
    axes.set_title(f"CPM {Estimate(**froc['cpm'])}", fontsize=9)
    return figure


def plot_learning_curves(curves: Mapping[str, Curve]) -> Figure:
    """Loss of training and validation at each validation, one panel per training; a dot marks the weights that were
    kept.

    Parameters
    ----------
    curves : mapping of name to columns
        Each with "step", "train_loss", "valid_loss", (k,) float.
    """
    columns = min(len(curves), 3)
    rows = -(-len(curves) // columns)
    figure = new_figure(3.6 * columns, 2.8 * rows + 0.6, "Learning curves")
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel, (name, curve) in zip(panels, curves.items(), strict=False):
        panel.plot(curve["step"], curve["train_loss"], label="training", color="0.6")
        panel.plot(curve["step"], curve["valid_loss"], label="validation", color="C0")
        best = int(np.argmin(curve["valid_loss"]))
        panel.plot(
            curve["step"][best], curve["valid_loss"][best], "o", color="C3", label=f"kept: {curve['step'][best]:g}"
        )
        panel.set_title(name, fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        panel.set_ylabel("loss", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=7)
    for panel in panels[len(curves) :]:
        panel.axis("off")
    return figure
