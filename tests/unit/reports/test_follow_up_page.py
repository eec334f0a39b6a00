"""Doubling times in words, and the chart of a nodule."""

import math

import pytest

from lungline.nodules.follow_up_table import Cell, FollowedNodule
from lungline.nodules.growth import Change
from lungline.reports.follow_up_page import chart_of, in_days


class _Seen:
    def __init__(self, volume_mm3: float) -> None:
        self.volume_mm3 = volume_mm3


def row(*volumes: float | None) -> FollowedNodule:
    cells = [
        Cell(k, None, "found", v and _Seen(v), 1.25 if v else 1.0, None, None, None, ())
        for k, v in enumerate(volumes, 1)
    ]
    return FollowedNodule(7, "left", "upper", tuple(cells))


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((93.2, 60.2, 204.9), "doubles in 93 days (60 to 205)"),
        ((-279.6, -700.0, -150.0), "halves in 280 days (150 to 700)"),
        ((math.inf, 155.0, -155.0), "unchanged (at most: doubles in 155 days; at least: halves in 155 days)"),
        ((200.0, 90.0, math.inf), "doubles in 200 days (at most: doubles in 90 days; at least: unchanged)"),
        ((None, None, None), ""),
    ],
)
def test_a_doubling_time_is_said_with_its_interval(times, words) -> None:
    assert in_days(Change(1, 90, 25.0, 25.0, "growth", *times, None)) == words


def test_a_chart_lies_on_the_days_and_has_room_for_the_errors() -> None:
    chart = chart_of(row(100, None, 200), [0, 30, 120])
    assert (chart.title, chart.ends) == ("Volume of nodule 7 over time, mm³: 100, 200", ("day 0", "day 120"))
    assert chart.most_mm3 == 250
    first, last = chart.points
    assert (first.x, last.x, last.high) == (0, 190, 0)
    assert first.y == pytest.approx(96 * (1 - 100 / 250))
    assert first.high < first.y < first.low
    assert [point.x for point in chart_of(row(100, None, 200), [0, None, 120]).points] == [0, 190]
    assert chart_of(row(100, 100), [0, 0]).ends == ("scan 1", "scan 2")
