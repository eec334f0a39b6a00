"""Growth of a nodule between scans: the cases where a fast answer is wrong."""

import math
from dataclasses import fields

import numpy as np
import pytest

from lungline.nodules.growth import (
    Sighting,
    SizeError,
    change_between,
    error_of_guideline,
    error_of_table,
    lung_rads_change,
)
from lungline.nodules.size_errors import repeat_error
from lungline.nodules.table import NoduleRow


def nodule(volume_mm3: float = 300.0, mean_mm: float | None = None, **more) -> NoduleRow:
    values = dict.fromkeys((field.name for field in fields(NoduleRow)), None)
    return NoduleRow(**values | {"volume_mm3": volume_mm3, "mean_diameter_mm": mean_mm, "attenuation": "solid"} | more)


def at(days: int | None, *sizes, **more) -> Sighting:
    return Sighting(nodule(*sizes, **more), days, None)


def ball(diameter_mm: float) -> float:
    return math.pi / 6 * diameter_mm**3


@pytest.mark.parametrize(
    ("before", "after", "days", "doubling"),
    [
        (ball(8), ball(10), 90, 93.2),
        (100, 80, 90, -279.6),
        (100, 100, 90, math.inf),
        (100, 200, None, None),
        (1, 2, 0, None),
    ],
)
def test_the_doubling_time_is_that_of_the_cases(before, after, days, doubling) -> None:
    found = change_between(1, at(None if days is None else 0, before), at(days, after)).doubling_days
    assert found == (None if doubling is None else pytest.approx(doubling, abs=0.05))


def test_the_interval_of_a_doubling_time_runs_through_infinity_where_the_change_may_be_none() -> None:
    clear = change_between(1, at(0, 100), at(90, 200), error_of_guideline)
    assert clear.doubling_days_if_more == pytest.approx(90 * math.log(2) / math.log(2.5))
    assert clear.doubling_days_if_less == pytest.approx(90 * math.log(2) / math.log(1.6))
    unclear = change_between(1, at(0, 100), at(90, 110), error_of_guideline)
    assert unclear.doubling_days_if_more > 0 > unclear.doubling_days_if_less
    assert change_between(1, at(0, 100), at(90, 125), error_of_guideline).doubling_days_if_less == math.inf


def test_a_change_is_growth_from_the_error_of_both_sizes_on() -> None:
    changes = [change_between(1, at(0, 100), at(90, after), error_of_guideline) for after in (124.9, 125, 80.1, 80)]
    assert [change.volume_trend for change in changes] == ["within-error", "growth", "within-error", "shrinkage"]
    assert changes[0].smallest_growth_percent == pytest.approx(25)

    def learned(nodule: NoduleRow, slice_mm: float | None) -> SizeError:
        return SizeError(0.1 * (slice_mm or 1.0), 0.5)

    thin, thick = Sighting(nodule(100), 0, 1.0), Sighting(nodule(130), 90, 5.0)
    change = change_between(1, thin, thick, learned)
    assert change.smallest_growth_percent == pytest.approx(100 * (math.exp(math.hypot(0.1, 0.5)) - 1))
    assert change.volume_trend == "within-error"


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (((0, 9.0), (365, 10.5)), ("stable",)),  # exactly 1.5 mm: none
        (((0, 9.0), (365, 10.6)), ("growing",)),
        (((0, 9.0), (365, 9.8), (730, 10.6)), ("slowly-growing",)),
        (((0, 9.0), (730, 10.6)), ("growing", "slowly-growing")),
        (((0, 9.0), (365, 7.4)), ("decreased",)),
        (((0, 5.5), (365, 6.0)), ("larger-class",)),
        (((None, 9.0), (None, 12.0)), ()),
        (((0, None), (365, 12.0)), ()),
        (((0, 9.0), (0, 12.0)), ()),
    ],
)
def test_growth_by_lung_rads_is_that_of_the_cases(sizes, words) -> None:
    *earlier, now = [at(days, 300.0, mean) for days, mean in sizes]
    assert lung_rads_change(earlier, now, error_of_guideline) == words


def test_an_error_of_the_diameters_gives_all_words_that_it_allows() -> None:
    def off(nodule: NoduleRow, slice_mm: float | None) -> SizeError:
        return SizeError(0.2, 0.5)

    assert set(lung_rads_change([at(0, 300, 9.0)], at(365, 300, 10.6), off)) == {"growing", "stable"}
    assert error_of_guideline(nodule(), None).mean_diameter_mm == 0
    assert lung_rads_change([at(0, 300, 9.0)], at(365, 300, 10.6, attenuation="indeterminate"), error_of_guideline) == (
        "growing",
    )


def test_a_solid_part_that_grows_makes_a_part_solid_nodule_grow() -> None:
    before, after = (
        at(days, 300.0, 12.0, attenuation="part-solid", solid_long_axis_mm=solid, solid_short_axis_mm=solid)
        for days, solid in ((0, 4.0), (200, 6.0))
    )
    assert lung_rads_change([before], after, error_of_guideline) == ("growing",)


def test_without_another_error_that_of_the_table_counts_for_both_scans() -> None:
    large, small = ball(10), ball(6)
    cases = [(large, 1.0, "solid"), (large, 3.0, "solid"), (small, 1.0, "solid"), (large, 1.0, "ground-glass")]
    least = {}
    for volume, slice_mm, kind in cases:
        sightings = [Sighting(nodule(volume, attenuation=kind), days, slice_mm) for days in (0, 90)]
        least[volume, slice_mm, kind] = change_between(1, *sightings).smallest_growth_percent
        part = repeat_error(volume, slice_mm, kind)
        assert least[volume, slice_mm, kind] == pytest.approx(100 * math.expm1(1.96 * math.sqrt(2) * part))
    assert min(least, key=least.__getitem__) == cases[0]  # thin slices, solid, large
    one_thick = change_between(1, Sighting(nodule(large), 0, 1.0), Sighting(nodule(large), 90, 3.0))
    assert least[cases[0]] < one_thick.smallest_growth_percent < least[cases[1]]
    unknown = change_between(1, at(0, large), at(90, large))
    assert unknown.smallest_growth_percent == pytest.approx(least[cases[1]])  # counts as thick
    assert error_of_table(nodule(large, 10.0), 1.0).mean_diameter_mm == 0


@pytest.mark.parametrize(("slice_mm", "kind", "diameter_mm"), [(1.0, "solid", 14), (3.0, "part-solid", 14)])
def test_the_interval_of_a_known_growth_holds_it_in_90_to_98_of_100(slice_mm, kind, diameter_mm) -> None:
    rng, held, by_guideline = np.random.default_rng(0), 0, 0
    spread, doubled = repeat_error(ball(diameter_mm), slice_mm, kind), 180.0
    for _ in range(400):
        shared = rng.normal(0, 0.1)  # wrong at both dates alike
        first, second = (ball(diameter_mm) * grown * np.exp(shared + rng.normal(0, spread)) for grown in (1, 2))
        found = [
            Sighting(nodule(volume, attenuation=kind), days, slice_mm) for volume, days in ((first, 0), (second, 180))
        ]
        for error_of in (error_of_table, error_of_guideline):
            change = change_between(1, *found, error_of)
            fastest, slowest = change.doubling_days_if_more, change.doubling_days_if_less
            within = fastest <= doubled and (slowest >= doubled or slowest < 0)
            held, by_guideline = (
                held + (within and error_of is error_of_table),
                by_guideline + (within and error_of is error_of_guideline),
            )
    assert 0.9 <= held / 400 <= 0.98
    assert by_guideline / 400 < 0.9
