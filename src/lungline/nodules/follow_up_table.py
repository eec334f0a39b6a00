"""The table of a follow-up: each nodule in each scan, what has become of it, and how much it has grown."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from lungline.nodules.growth import Change, ErrorOf, Sighting, change_between, error_of_table, lung_rads_change
from lungline.nodules.matching import Chain, State, states_of
from lungline.nodules.measurements import Attenuation
from lungline.nodules.table import Laterality, NoduleRow, Zone, format_value
from lungline.storage.tables import table_text

#: Name and version of the layout; `lungline/schemas/follow-up-3.json` describes it.
SCHEMA = "follow-up/3"


@dataclass(frozen=True)
class Seen:
    """A nodule in one scan, as in the nodule table."""

    rank: int
    score: float
    finding: bool
    x_mm: float  # centroid in that scanner's own world, LPS
    y_mm: float
    z_mm: float
    instance_number: int | None  # of the nearest slice
    long_axis_mm: float
    mean_diameter_mm: float | None
    volume_mm3: float
    attenuation: Attenuation
    nodule_probability: float
    cancer_probability: float | None
    malignancy_score: float | None


@dataclass(frozen=True)
class Cell:
    """One nodule in one scan; what belongs to a scan in which it was not found is None."""

    scan: int  # number of the scan, from 1
    days: int | None  # since the first scan
    state: State
    seen: Seen | None
    volume_error_factor: float  # its volume may be as much larger or smaller (95 %); 1 where it was not found
    distance_mm: float | None  # from where its last sighting would lie after registration
    since_previous: Change | None  # from the sighting before this one
    since_first: Change | None  # from the first sighting
    lung_rads_change: tuple[str, ...]


@dataclass(frozen=True)
class FollowedNodule:
    """One nodule over all scans, by one number, from 1; laterality and zone in the last scan in which it was found."""

    nodule: int
    laterality: Laterality
    zone: Zone
    cells: tuple[Cell, ...]  # one a scan

    @property
    def whole_change(self) -> Change | None:
        """From the first sighting to the last; None if there is but one."""
        return next((cell.since_first for cell in reversed(self.cells) if cell.seen), None)


_SEEN = tuple(field.name for field in fields(Seen))
_CHANGE = tuple(field.name for field in fields(Change))
COLUMNS = (
    *("nodule", "laterality", "zone", "scan", "days", "state", *_SEEN, "volume_error_factor", "distance_mm"),
    *(f"{name}_since_{start}" for start in ("previous", "first") for name in _CHANGE),
    "lung_rads_change",
)


def follow_chains(
    chains: Sequence[Chain],
    nodules: Sequence[Sequence[NoduleRow]],
    imaged: Sequence[Sequence[bool]],
    days: Sequence[int | None],
    slice_mm: Sequence[float | None],
    error_of: ErrorOf = error_of_table,
) -> list[tuple[Chain, FollowedNodule]]:
    """The nodules that are a finding in one scan at least, with their chains: by growth, then those found once.

    What was looked at as well counts where it is the other end of a finding: a nodule that fades below the score of a
    finding is not gone. `nodules`, `days` (since the first scan) and `slice_mm` (distance of the slices) are of
    each scan, `imaged` of each chain whether each scan shows its place. Those found once stand latest scan first.
    """
    kept = []
    for chain, shown in zip(chains, imaged, strict=True):
        sightings = [
            None if i is None else Sighting(nodules[k][i], days[k], slice_mm[k]) for k, i in enumerate(chain.index)
        ]
        found = [one.nodule for one in sightings if one is not None]
        if any(nodule.finding for nodule in found):
            cells = _cells(chain, sightings, states_of(chain, shown), days, error_of)
            last = found[-1]
            kept.append((chain, FollowedNodule(0, last.laterality, last.zone, cells), last.rank))

    def order(one: tuple[Chain, FollowedNodule, int]) -> tuple[int, float, int]:
        change, last = one[1].whole_change, one[0].found[-1]
        return (1, -last, one[2]) if change is None else (0, -change.volume_change_percent, 0)

    kept.sort(key=order)
    return [
        (chain, FollowedNodule(number, one.laterality, one.zone, one.cells))
        for number, (chain, one, _) in enumerate(kept, start=1)
    ]


def _cells(
    chain: Chain,
    sightings: Sequence[Sighting | None],
    states: Sequence[State],
    days: Sequence[int | None],
    error_of: ErrorOf,
) -> tuple[Cell, ...]:
    cells, earlier = list[Cell](), list[tuple[int, Sighting]]()
    for k, now in enumerate(sightings):
        seen = previous = first = None
        words: tuple[str, ...] = ()
        factor = 1.0
        if now is not None:
            seen = Seen(**{name: getattr(now.nodule, name) for name in _SEEN})
            factor = math.exp(error_of(now.nodule, now.slice_mm).log_volume)
            if earlier:
                first, previous = (change_between(*earlier[at], now, error_of) for at in (0, -1))
                words = lung_rads_change([one for _, one in earlier], now, error_of)
            earlier.append((k + 1, now))
        cells.append(Cell(k + 1, days[k], states[k], seen, factor, chain.distances_mm[k], previous, first, words))
    return tuple(cells)


def nodules_as_json(followed: Sequence[FollowedNodule]) -> list[dict[str, Any]]:
    """The nodules as JSON; a doubling time without end is the word "inf"."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        if isinstance(value, float):
            return "inf" if math.isinf(value) else float(f"{value:.9g}")
        return value

    return [plain(asdict(one)) for one in followed]


def nodules_as_csv(followed: Sequence[FollowedNodule]) -> str:
    """A row per nodule and scan as CSV text; the header alone when there is none."""
    rows = []
    for one in followed:
        for cell in one.cells:
            values: list[Any] = [one.nodule, one.laterality, one.zone, cell.scan, cell.days, cell.state]
            values += _values(cell.seen, _SEEN)
            values += [cell.volume_error_factor, cell.distance_mm]
            values += _values(cell.since_previous, _CHANGE) + _values(cell.since_first, _CHANGE)
            rows.append([*map(format_value, values), "|".join(cell.lung_rads_change)])
    return table_text(COLUMNS, rows)


def _values(part: Seen | Change | None, names: Sequence[str]) -> list[Any]:
    return [None if part is None else getattr(part, name) for name in names]
