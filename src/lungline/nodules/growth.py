"""Growth of a nodule between two scans: volume, doubling time with its interval, and the words of Lung-RADS.

What may be called growth follows from the errors of both measured sizes: `error_of_table`, by size, attenuation and
slice thickness. Of the error of one measurement only that part counts which differs from date to date. What is wrong
with a nodule at both dates alike, as a vessel that always counts, is shared, and cancels in the ratio of its volumes;
the two parts were measured on nodules implanted at one place and scanned twice (`python -m experiments.size_errors`).
The parts that differ are taken as independent: their variances add up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lungline.nodules.category_facts import (
    SAME_VOLUME_PERCENT,
    NoduleSize,
    doubling_time,
    runs_of_change,
)
from lungline.nodules.patient import Patient, Prior, Reading
from lungline.nodules.rule_evaluator import Interval
from lungline.nodules.size_errors import SDS, repeat_error
from lungline.nodules.sizes import mean_of_axes
from lungline.nodules.table import NoduleRow

_DAYS_OF_A_MONTH = 365.25 / 12
_LONGEST_MONTHS = 1200
_SAME = 1e-9  # of a logarithm: rounding


@dataclass(frozen=True)
class SizeError:
    """How far off one measured nodule may be, to each side (95 %)."""

    log_volume: float  # of the natural logarithm of its volume
    mean_diameter_mm: float


#: From a nodule and the distance of the slices it was scanned with, mm (None: unknown), to its error.
ErrorOf = Callable[[NoduleRow, float | None], SizeError]


def error_of_table(nodule: NoduleRow, slice_mm: float | None) -> SizeError:
    """The error from date to date that was measured on implanted nodules of that size, kind and slice thickness.

    Diameters count as they are: Lung-RADS sets its 1.5 mm for them, and with their errors nearly every word of
    `lung_rads_change` could be right.
    """
    return SizeError(SDS * repeat_error(nodule.volume_mm3, slice_mm, nodule.attenuation), 0.0)


def error_of_guideline(nodule: NoduleRow, slice_mm: float | None) -> SizeError:
    """The same for all: two volumes together may differ by 25 % and be one (BTS 2015); diameters count as they are."""
    return SizeError(math.log(1 + SAME_VOLUME_PERCENT / 100) / math.sqrt(2), 0.0)


@dataclass(frozen=True)
class Sighting:
    """A nodule as it was found in one scan."""

    nodule: NoduleRow
    days: int | None  # since the first scan
    slice_mm: float | None  # distance of the slices


@dataclass(frozen=True)
class Change:
    """From one sighting of a nodule to a later one; times are None where the days between are unknown or none."""

    scan: int  # number of the earlier scan, from 1
    days: int | None
    volume_change_percent: float  # of the earlier volume
    smallest_growth_percent: float  # a smaller change of volume may be none
    volume_trend: str  # "growth", "shrinkage", or "within-error"
    doubling_days: float | None  # negative: halving; infinite: unchanged
    doubling_days_if_more: float | None  # had the volume grown by as much more as the errors allow
    doubling_days_if_less: float | None
    mean_diameter_change_mm: float | None


def change_between(scan: int, before: Sighting, after: Sighting, error_of: ErrorOf = error_of_table) -> Change:
    """What has become of a nodule since the scan with this number."""
    first, second = before.nodule, after.nodule
    ratio = math.log(second.volume_mm3 / first.volume_mm3)
    error = math.hypot(*(error_of(one.nodule, one.slice_mm).log_volume for one in (before, after)))
    days = None if before.days is None or after.days is None else after.days - before.days

    def doubling(log: float) -> float | None:
        return doubling_time(1.0, 1.0 if abs(log) < _SAME else math.exp(log), days) if days else None

    diameters = (first.mean_diameter_mm, second.mean_diameter_mm)
    return Change(
        scan,
        days,
        100 * (second.volume_mm3 / first.volume_mm3 - 1),
        100 * (math.exp(error) - 1),
        "growth" if ratio >= error - _SAME else "shrinkage" if ratio <= _SAME - error else "within-error",
        doubling_time(first.volume_mm3, second.volume_mm3, days) if days else None,
        doubling(ratio + error),
        doubling(ratio - error),
        None if None in diameters else round(diameters[1] - diameters[0], 6),  # type: ignore[operator]
    )


def lung_rads_change(earlier: Sequence[Sighting], now: Sighting, error_of: ErrorOf = error_of_table) -> tuple[str, ...]:
    """How a nodule compares with its earlier sightings, the first first, by the size rules of Lung-RADS v2022.

    "growing" (by more than 1.5 mm of mean diameter within 12 months), "slowly-growing" (not that, but over more),
    "larger-class", "stable" or "decreased"; several where the error of the diameters allows several, none where days or
    diameters are unknown.
    """
    priors, last, error = list[Prior](), None, error_of(now.nodule, now.slice_mm).mean_diameter_mm
    for one in earlier:
        months = 0.0 if one.days is None or now.days is None else (now.days - one.days) / _DAYS_OF_A_MONTH
        if one.nodule.mean_diameter_mm is None or not 0 < months <= _LONGEST_MONTHS or one.days == last:
            continue
        last = one.days
        error = math.hypot(error, error_of(one.nodule, one.slice_mm).mean_diameter_mm)
        priors.append(Prior(months_ago=months, mean_mm=one.nodule.mean_diameter_mm, solid_mm=_solid_mm(one.nodule)))
    if not priors or now.nodule.mean_diameter_mm is None:
        return ()
    attenuation = None if now.nodule.attenuation == "indeterminate" else now.nodule.attenuation
    mean, solid = now.nodule.mean_diameter_mm, _solid_mm(now.nodule)
    size = NoduleSize(
        Interval(max(mean - error, min(mean, 0.1)), mean + error),
        solid_mm=None if solid is None else Interval(solid, solid),
        attenuation=attenuation,
    )
    words: list[str] = []
    for _, change in runs_of_change(size, Reading(prior=tuple(priors)), Patient()):
        words += [change] if isinstance(change, str) else list(change) if isinstance(change, tuple) else []
    return tuple(dict.fromkeys(words))


def _solid_mm(nodule: NoduleRow) -> float | None:
    """Mean diameter of the solid part of a part-solid nodule, where it was measured."""
    if nodule.solid_long_axis_mm is None or nodule.solid_short_axis_mm is None:
        return None
    return mean_of_axes(nodule.solid_long_axis_mm, nodule.solid_short_axis_mm)
