"""Drawing surface of all figures: no window, the notice on each, the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lungline import NOTICE
from lungline.storage.checksums import Origin, sealed_path

DPI = 120


def new_figure(width_inch: float, height_inch: float, title: str = "", note: str = "") -> Figure:
    """An empty figure with a title above, and the notice (and a note) in small print below."""
    figure = Figure(figsize=(width_inch, height_inch), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=11)
    figure.supxlabel(f"{note}  {NOTICE}".strip(), fontsize=6, color="0.35")
    return figure


def text_figure(title: str, lines: Sequence[str], note: str = "") -> Figure:
    """A figure that says in words why there is no picture."""
    figure = new_figure(7, 1.6 + 0.25 * len(lines), title, note)
    axes = figure.add_subplot()
    axes.axis("off")
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", wrap=True, transform=axes.transAxes)
    return figure


def save_png(figure: Figure, path: Path, origin: Origin | None = None) -> None:
    """Write a figure as PNG, whole or not at all, without date or software in it."""
    with sealed_path(path, origin) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
