"""Curves as SVG within a page: they take the page's colours, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 360, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 40


@dataclass(frozen=True)
class Chart:
    """A frame of axes; y runs from 0 to 1.

    Attributes
    ----------
    title, x_label, y_label : str
    x_ticks : sequence of float
        The first and the last are the ends of the axis.
    log : bool
        Whether x is logarithmic.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: Sequence[float]
    log: bool = False

    def x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        inside = min(max(value, low), high)
        share = math.log(inside / low) / math.log(high / low) if self.log else (inside - low) / (high - low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value * (_HEIGHT - _TOP - _BOTTOM)

    def path(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, y, strict=True))

    def line(self, x: Sequence[float], y: Sequence[float]) -> str:
        return f'<polyline class="curve" points="{self.path(x, y)}"/>'

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
        return f'<polygon class="band" points="{self.path([*x, *reversed(x)], [*low, *reversed(high)])}"/>'

    def dots(self, x: Sequence[float], y: Sequence[float], words: Sequence[str]) -> str:
        """Points that say their words when the mouse rests on them."""
        return "".join(
            f'<circle class="dot" cx="{self.x(a):.1f}" cy="{self.y(b):.1f}" r="4"><title>{escape(w)}</title></circle>'
            for a, b, w in zip(x, y, words, strict=True)
        )

    def svg(self, content: str, *, diagonal: bool = False) -> str:
        """The whole picture around `content`; `diagonal` is what was said coming true."""
        parts = []
        for tick in self.x_ticks:
            parts.append(f'<line class="axis" x1="{self.x(tick):.1f}" y1="{_TOP}" x2="{self.x(tick):.1f}" '
                         f'y2="{_HEIGHT - _BOTTOM}"/><text x="{self.x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 14}" '
                         f'text-anchor="middle">{tick:g}</text>')  # fmt: skip
        for tenth in range(0, 11, 2):
            y = self.y(tenth / 10)
            parts.append(f'<line class="axis" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
                         f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:g}</text>')  # fmt: skip
        if diagonal:
            ends = self.path([0, 1], [0, 1]).split()
            (x0, y0), (x1, y1) = (end.split(",") for end in ends)
            parts.append(f'<line class="axis" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke-dasharray="4 4"/>')
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
                     f"{escape(self.x_label)}</text>"
                     f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
                     f"{escape(self.y_label)}</text>")  # fmt: skip
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f"{''.join(parts)}{content}</svg>"
        )
