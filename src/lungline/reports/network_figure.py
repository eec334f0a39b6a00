"""Figure 4 of the paper: the U-Net as it is really built."""

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lungline.errors import LunglineError
from lungline.reports.plotting import new_figure

#: A layer as `lungline.detection.unet.describe` gives it: name, channels, height, width, parameters.
Row = tuple[str, int, int, int, int]

Place = tuple[float, float]

WIDTH, HEIGHT = 0.86, 0.62
COLOURS = {"input": "#dddddd", "down": "#9ecae1", "merge": "#a1d99b", "logit": "#fdae6b"}
_ARROW: dict[str, Any] = {"arrowstyle": "->", "color": "0.4"}
_NOTE: dict[str, Any] = {"fontsize": 5, "color": "0.3"}


def place_layers(rows: Sequence[Row]) -> dict[str, Place]:
    """Centre (x, y) of the box of each layer: down the left arm of the U, up the right one.

    Raises
    ------
    LunglineError
        For a layer that a U-Net has not.
    """
    levels = max((int(match[1]) for name, *_ in rows if (match := re.fullmatch(r"down(\d+)", name))), default=0)
    places = {"input": (0.0, -1.0)}
    for name, *_ in rows:
        match = re.fullmatch(r"(down|up|merge)(\d+)|logit", name)
        if match is None or levels == 0:
            raise LunglineError(f"expected layers down1.., up1.., merge1.., logit. Got '{name}'.")
        if name == "logit":
            places[name] = (2.0 * levels, -1.0)
        elif match[1] == "down":
            places[name] = (float(match[2]), -float(match[2]))
        elif match[1] == "merge":
            places[name] = (2.0 * levels - float(match[2]), -float(match[2]))
    return places


def render_unet(rows: Sequence[Row], input_channels: int = 1) -> Figure:
    """The network as a U: each box says channels, size of the map and parameters; dashes are the skips."""
    places = place_layers(rows)
    columns = max(x for x, _ in places.values())
    depth = -min(y for _, y in places.values())
    total = sum(row[4] for row in rows)
    figure = new_figure(1.35 * columns + 2.2, 1.15 * depth + 1.4, f"The U-Net as built: {total:,} parameters")
    axes = figure.add_subplot()
    height, width = rows[0][2:4]
    _box(axes, places["input"], "input", f"input\n{input_channels} x {height} x {width}")
    for name, channels, high, wide, parameters in rows:
        kind = re.sub(r"\d", "", name)
        level = int(name.removeprefix(kind) or 0)
        if kind == "up":
            _up_arrow(axes, places, level, f"up to {channels} ch\n{parameters:,} par.")
            continue
        _box(axes, places[name], kind, f"{name}: {channels} ch\n{high} x {wide}\n{parameters:,} par.")
        if kind == "merge":
            _arrow(axes, places[f"down{level}"], places[name], dashed=True)
        elif level > 1:
            _arrow(axes, places[f"down{level - 1}"], places[name], note="max pool 2x2")
    _arrow(axes, places["input"], places["down1"])
    _arrow(axes, places["merge1"], places["logit"], note="1x1")
    axes.set_xlim(-0.7, columns + 0.7)
    axes.set_ylim(-depth - 0.6, -0.4)
    axes.axis("off")
    return figure


def _box(axes: Axes, centre: Place, kind: str, text: str) -> None:
    x, y = centre
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0,rounding_size=0.06", fc=COLOURS[kind], ec="0.3"))
    axes.text(x, y, text, ha="center", va="center", fontsize=7)


def _arrow(axes: Axes, start: Place, end: Place, *, dashed: bool = False, note: str = "") -> None:
    """From the right edge to the left edge within a level; from a lower edge to an upper one between levels."""
    head, down = (end[0] - WIDTH / 2, end[1]), start[1] != end[1]
    tail = (start[0], start[1] - HEIGHT / 2) if down else (start[0] + WIDTH / 2, start[1])
    axes.annotate("", head, tail, arrowprops={**_ARROW, "linestyle": "--" if dashed else "-"})
    if down:
        axes.text(tail[0] - 0.04, (tail[1] + head[1]) / 2, note, ha="right", va="center", **_NOTE)
    else:
        axes.text((tail[0] + head[0]) / 2, tail[1] + 0.04, note, ha="center", va="bottom", **_NOTE)


def _up_arrow(axes: Axes, places: dict[str, Place], level: int, note: str) -> None:
    """From the level below, through the transposed convolution, into `merge`."""
    end, start = places[f"merge{level}"], places.get(f"merge{level + 1}", places[f"down{level + 1}"])
    head, tail = (end[0], end[1] - HEIGHT / 2), (start[0] + WIDTH / 2, start[1])
    axes.annotate("", head, tail, arrowprops=_ARROW)
    axes.text(head[0] + 0.05, (head[1] + tail[1]) / 2, note, ha="left", va="center", **_NOTE)
