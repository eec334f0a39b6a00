"""Facts that the published rules ask for, from a nodule's sizes, what a reader says, and earlier scans."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lungline.nodules.patient import Patient, Prior, Reading
from lungline.nodules.rule_evaluator import ANY_NUMBER, Interval, Known
from lungline.nodules.sizes import mean_of_axes, rounded

#: More than this in 12 months is growth, mm of mean diameter (Lung-RADS v2022).
GROWTH_MM = 1.5
#: Where the size classes of Lung-RADS v2022 begin, mm of mean diameter; of part-solid nodules also of the solid part.
SIZE_CLASSES_MM = {"solid": (6, 8, 15), "part-solid": (6,), "ground-glass": (30,), None: (6, 8, 15, 30)}
SOLID_PART_CLASSES_MM = (6, 8)
#: A nodule with at least this share of calcified voxels may have a benign pattern.
CALCIFIED_SHARE = 0.1
#: A smaller change of volume is none, per cent (BTS 2015).
SAME_VOLUME_PERCENT = 25.0
_SEEN_BEFORE = ("growing", "slowly-growing", "larger-class", "stable", "decreased")
_DAYS_OF_A_MONTH = 365.25 / 12
#: Limits of a diameter, mm, between which it lies: what its measurement is worth.
Limits = Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class NoduleSize:
    """Sizes of a nodule, each with its limits; None where it was not measured.

    `solid` is the mean diameter of the solid part.
    """

    mean_mm: Interval | None = None
    long_mm: Interval | None = None
    volume_mm3: Interval | None = None
    solid_mm: Interval | None = None
    attenuation: str | None = None
    calcified_share: float | None = None
    listed: int = 0  # how many nodules the table has; 0 where that is not known


def exact(diameter_mm: float) -> tuple[float, float]:
    """The limits of a diameter without an error."""
    return diameter_mm, diameter_mm


def within(error_mm: float) -> Limits:
    """The limits of a diameter with this error to each side."""
    return lambda diameter_mm: (diameter_mm - error_mm, diameter_mm + error_mm)


def interval(value: float | None, limits: Limits = exact) -> Interval | None:
    """A size, mm, between its limits; never below a tenth of a millimetre."""
    if value is None:
        return None
    low, high = limits(value)
    low = max(low, min(value, 0.1))
    return Interval(low, max(low, high))


def volume_interval(volume_mm3: float | None, limits: Limits = exact) -> Interval | None:
    """A volume, mm3, between the limits of its diameter as of a ball."""
    if volume_mm3 is None or limits is exact:
        return interval(volume_mm3)
    diameter = interval((6 * volume_mm3 / math.pi) ** (1 / 3), limits)
    assert diameter is not None
    return Interval(math.pi / 6 * diameter.low**3, math.pi / 6 * diameter.high**3)


def rounded_interval(limits: Interval | None, digits: int) -> Interval | None:
    """Limits whose ends are rounded; between them lie further rounded sizes, all of which count."""
    return limits and Interval(rounded(limits.low, digits), rounded(limits.high, digits))


def size_by_reader(size: NoduleSize, reading: Reading, limits: Limits = exact) -> NoduleSize:
    """The sizes, replaced by those that a reader gives."""
    if reading.attenuation:
        size = replace(size, attenuation=reading.attenuation)
    if reading.volume_mm3:
        size = replace(size, volume_mm3=volume_interval(reading.volume_mm3, limits))
    if reading.long_mm:
        size = replace(size, long_mm=interval(reading.long_mm, limits))
        shorts = (reading.short_mm, reading.short_mm) if reading.short_mm else (0.0, reading.long_mm)
        low, high = (interval(mean_of_axes(reading.long_mm, short), limits) for short in shorts)
        assert low is not None
        assert high is not None
        size = replace(
            size, mean_mm=Interval(low.low, high.high), volume_mm3=size.volume_mm3 if reading.volume_mm3 else None
        )
    if reading.solid_long_mm and reading.solid_short_mm:
        solid = mean_of_axes(reading.solid_long_mm, reading.solid_short_mm)
        size = replace(size, solid_mm=interval(solid, limits))
    return size


def patient_facts(patient: Patient) -> dict[str, Known]:
    """What the rules and models ask of a patient."""
    count = patient.nodule_count
    return {
        "purpose": patient.purpose,
        "exam": patient.exam,
        "age": interval(patient.age),
        "sex": patient.sex,
        "ever_smoked": None if patient.smoking is None else patient.smoking != "never",
        "family_history": patient.family_history,
        "emphysema": patient.emphysema,
        "cancer_history": patient.cancer_history,
        "immunosuppressed": patient.immunosuppressed,
        "risk": patient.risk,
        "single": None if count is None else count == 1,
        "nodule_count": None if count is None else Interval(count, count),
    }


def nodule_facts(size: NoduleSize, reading: Reading, patient: Patient) -> dict[str, Known]:
    """What the rules and models ask of a nodule, but its change and size, which each system reads in its own way."""
    margin = reading.margin
    benign: Known = reading.benign_pattern
    if benign is None and (size.calcified_share or 0) >= CALCIFIED_SHARE:
        benign = (True, False)
    prior_category = {"1": "2", "4X": "4B"}.get(reading.prior_category or "", reading.prior_category)
    last = reading.prior[-1] if reading.prior else None
    return {
        **{
            name: getattr(reading, name)
            for name in ("kind", "airway_level", "secretions", "cyst", "juxtapleural", "shape", "pet")
        },
        **growth_facts(size, reading),
        "attenuation": size.attenuation,
        "long_axis_mm": size.long_mm,
        "cyst_change": reading.cyst_change or ("none" if patient.first_scan else None),
        "interval_months": None if last is None else interval(last.months_ago),
        "prior_category": prior_category,
        "benign_pattern": benign,
        "proven_benign": reading.proven_benign,
        "margin": margin,
        "spiculated": None if margin is None else margin == "spiculated",
        "suspicious": True if margin == "spiculated" else reading.suspicious,
        **({"nodule_count": Interval(1, size.listed)} if size.listed and patient.nodule_count is None else {}),
        "upper_lobe": None if reading.lobe is None else reading.lobe == "upper",
        "pet_known": reading.pet is not None,
    }


def growth_facts(size: NoduleSize, reading: Reading) -> dict[str, Known]:
    """Change of volume since the earliest scan that has one, per cent, and doubling time, days.

    Where nothing is told of earlier scans, they may well have a volume.
    """
    measured = [prior for prior in reading.prior if prior.volume_mm3]
    if size.volume_mm3 is None or (reading.prior and not measured):
        return {"measured_by": "diameter"}
    if not measured:
        same = Interval(-100, SAME_VOLUME_PERCENT, high_open=True)
        told = {"stable": same, "decreased": same, "growing": Interval(SAME_VOLUME_PERCENT, math.inf)}
        return {"volume_change_percent": told.get(reading.change or "")}
    first = measured[0]
    assert first.volume_mm3 is not None
    now, days = (size.volume_mm3.low, size.volume_mm3.high), first.months_ago * _DAYS_OF_A_MONTH
    grown = [value for after in now if (value := doubling_time(first.volume_mm3, after, days)) > 0]
    percent = [100 * (after / first.volume_mm3 - 1) for after in now]
    return {
        "measured_by": "volume",
        "volume_change_percent": Interval(percent[0], percent[1]),
        "doubling_days": Interval(min(grown), max(grown)) if len(grown) == 2 else ANY_NUMBER if grown else None,
    }


def doubling_time(before_mm3: float, after_mm3: float, days: float) -> float:
    """Days in which the volume doubles; negative (halving) for what shrinks, infinite for what is unchanged."""
    if before_mm3 == after_mm3:
        return math.inf
    return days * math.log(2) / math.log(after_mm3 / before_mm3)


def runs_of_change(size: NoduleSize, reading: Reading, patient: Patient) -> list[tuple[Interval | None, Known]]:
    """How the nodule compares with earlier scans, for each part of its mean diameter's limits: (part, change).

    What the reader says, else what the measured sizes say: several words where they allow several, None where nothing
    is known. The parts cover all sizes of one decimal between the limits.
    """
    mean = rounded_interval(size.mean_mm, 1)
    priors = [prior for prior in reading.prior if prior.mean_mm is not None]
    if reading.change or not priors or mean is None:
        return [(size.mean_mm, reading.change or _change_without_sizes(reading, patient))]
    runs: list[tuple[float, float, Known]] = []
    for step in range(round(10 * mean.low), round(10 * mean.high) + 1):
        change = _change(priors, step / 10, size)
        first = runs.pop()[0] if runs and runs[-1][2] == change else step / 10
        runs.append((first, step / 10, change))
    return [(Interval(low, high), change) for low, high, change in runs]


def _change_without_sizes(reading: Reading, patient: Patient) -> Known:
    """What may have become of a nodule of which no two sizes are known."""
    if reading.prior:
        return _SEEN_BEFORE
    if patient.first_scan is None:
        return None
    return "baseline" if patient.first_scan else ("new", *_SEEN_BEFORE)


def _change(priors: Sequence[Prior], mean_mm: float, size: NoduleSize) -> Known:
    """What may have become of a nodule that is now `mean_mm` wide."""
    points = [*((-prior.months_ago, float(prior.mean_mm or 0)) for prior in priors), (0.0, mean_mm)]
    found = {_growth(points)}
    solid = [(-prior.months_ago, prior.solid_mm) for prior in priors if prior.solid_mm is not None]
    if size.solid_mm is not None and solid and size.attenuation == "part-solid":
        found |= {_growth([*solid, (0.0, rounded(end, 1))]) for end in (size.solid_mm.low, size.solid_mm.high)}
    for word in ("growing", "maybe", "slowly-growing"):
        if word in found:
            return ("growing", "slowly-growing") if word == "maybe" else word
    before = points[-2][1]
    if _crosses(before, mean_mm, SIZE_CLASSES_MM[size.attenuation]):
        return "larger-class"
    if solid and size.solid_mm is not None and _crosses(solid[-1][1], size.solid_mm.high, SOLID_PART_CLASSES_MM):
        return "larger-class"
    return "decreased" if mean_mm < before - GROWTH_MM else "stable"


def _crosses(before_mm: float, now_mm: float, limits_mm: Sequence[float]) -> bool:
    """Whether a diameter has reached a limit that it had not reached before."""
    return any(before_mm < limit <= rounded(now_mm, 1) for limit in limits_mm)


def _growth(points: Sequence[tuple[float, float]]) -> str:
    """Growth by diameters (months, mm), the earliest first: "growing", "maybe", "slowly-growing" or "none".

    More than 1.5 mm between scans at most 12 whole months apart is growth. Between scans farther apart it is certain
    only where it exceeds 1.5 mm for each 12 months begun; else it may have been slow. Slow growth is larger each time
    and by more than 1.5 mm in all.
    """
    unclear = False
    for i, (start, before) in enumerate(points):
        for j in range(i + 1, len(points)):
            grown = round(points[j][1] - before, 6)
            years = max(1, math.ceil(round(points[j][0] - start) / 12))
            if grown > GROWTH_MM * years:
                return "growing"
            unclear |= j == i + 1 and years > 1 and grown > GROWTH_MM
    if unclear:
        return "maybe"
    sizes = [value for _, value in points]
    larger_each_time = all(sizes[i] < sizes[i + 1] for i in range(len(sizes) - 1))
    return "slowly-growing" if larger_each_time and round(sizes[-1] - sizes[0], 6) > GROWTH_MM else "none"
