"""Which series of a folder shows the lungs: by what the headers say and by a quick look, and why the others do not."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lungline.errors import Quarantine
from lungline.readers.assembly import depths_of, fits, in_order, interleave, n_positions
from lungline.readers.dicom_headers import Folder, Slice
from lungline.readers.lungs_seen import litres_of_lung
from lungline.readers.owners import groups_of
from lungline.readers.stack import MIN_SLICES
from lungline.storage.hdf5 import Flag

_AXIAL = 0.7  # cosine between the normal of axial slices and the long axis of the body
_MOST_LOCALIZERS = 4  # slices of one series that may stand across the others
_SMALL_MINORITY = 0.1  # part of a series that may be dropped
_NEARLY_ALL = 0.9  # part of the most lung (or the largest extent) that counts as the whole chest, too
_SOME_LUNG_L = 0.1
_MOST_ADDED = 1.5  # times the lung that is there, in a projection of it
_THIN_MM = 2.5  # thicker slices blur the smaller nodules
_THICKEST_MM = 20.0
_MIDDLE_KEV = 70.0  # where images of one energy are most like those of 120 kV
_SHARP = re.compile(
    r"\b(LUNG|BONE|BONEPLUS|EDGE|ULTRA|FC[3-9]\d|[A-Z]{1,2}(5[5-9]|[6-9]\d)[A-Z]?|[CDEL]|Y[BCD])\b", re.IGNORECASE
)
_MOST_NAMED = 12  # series that are named one by one


@dataclass(frozen=True)
class Series:
    """Slices of one patient, study, frame of reference, series, orientation and grid, sorted along their normal."""

    slices: list[Slice]
    owner: int
    lung_l: float = 0.0

    @property
    def name(self) -> str:
        """How it is called where identifiers must not be."""
        return f"series {self.slices[0].series_number}, {len(self.slices)} slices"

    @property
    def extent_mm(self) -> float:
        return float(np.ptp(depths_of(self.slices)))

    @property
    def rank(self) -> int:
        return self.slices[0].rank

    @property
    def field_mm(self) -> float:
        """The shorter side of a slice."""
        first = self.slices[0]
        along_j, along_i = first.spacing_ji_mm or (0.0, 0.0)
        return min(first.rows * along_j, first.columns * along_i)

    @property
    def slice_mm(self) -> float:
        """Thickness or distance of the slices, whichever is more."""
        apart = self.extent_mm / max(n_positions(self.slices) - 1, 1)
        stated = self.slices[0].thickness_mm or 0.0
        return max(apart, stated) if stated <= _THICKEST_MM else apart

    @property
    def is_sharp(self) -> bool:
        return bool(_SHARP.search(self.slices[0].kernel))


@dataclass(frozen=True)
class Ranking:
    """The series that may be read, best first, and of each series that is left out its name and the reason."""

    series: list[Series]
    left_out: list[tuple[Series, str]]


def rank_series(folder: Folder) -> Ranking:
    """Order the CT series of a folder; call inside `dicom_headers.quiet`.

    Best is: in HU, no projection, axial, showing (nearly) the most lung, as scanned before derived, thin, of a smooth
    kernel, of small pixels. Pixels are looked at only where there is a choice. `Quarantine` if none can be read.
    """
    every = [part for series in _series_of(folder.slices) for part in _reconstructions(series)]
    left_out = [(s, s.slices[0].kind) for s in every if s.slices[0].use != "slice"]
    usable = [s for s in every if s.slices[0].use == "slice"]
    if not usable:
        _nothing_usable(folder, left_out)
    for fault, sound in (
        ("too few slices", lambda s: n_positions(s.slices) >= MIN_SLICES),
        ("not axial", lambda s: abs(s.slices[0].normal[2]) >= _AXIAL),
    ):
        if kept := [s for s in usable if sound(s)]:
            left_out += [(s, fault) for s in usable if not sound(s)]
            usable = kept
    if len(usable) > 1:
        usable = [replace(s, lung_l=litres_of_lung(s.slices, s.extent_mm)) for s in usable]
    # how much of the lungs a series shows: litres, or its extent where none of them shows lung
    any_lung = max(s.lung_l for s in usable) >= _SOME_LUNG_L
    seen = {id(s): max(s.lung_l, _lung_made_of(s, usable)) if any_lung else s.extent_mm for s in usable}
    enough = _NEARLY_ALL * max(seen.values())
    return Ranking(sorted(usable, key=lambda s: _order(s, min(seen[id(s)], enough))), left_out)


def _lung_made_of(series: Series, others: Sequence[Series]) -> float:
    """The most lung (l) that derived images show of what a series covers.

    They are made of such slices: where they show more, as a minimum projection does, there is no more lung.
    """
    derived = (o.lung_l for o in others if o.rank > series.rank and _covers(series, o))
    return max((lung_l for lung_l in derived if lung_l <= _MOST_ADDED * series.lung_l), default=0.0)


def _covers(series: Series, other: Series) -> bool:
    """Whether a series shows all of the body that another of the same patient and study shows, or nearly so."""
    if series.owner != other.owner or abs(series.slices[0].normal @ other.slices[0].normal) < _AXIAL:
        return False
    normal, room_mm = series.slices[0].normal, (1 - _NEARLY_ALL) / 2 * other.extent_mm + series.slice_mm / 2
    here, there = (np.array([i.position_xyz_mm for i in s.slices]) @ normal for s in (series, other))
    within = here.min() - room_mm <= there.min() and there.max() <= here.max() + room_mm
    return bool(within and series.field_mm >= _NEARLY_ALL * other.field_mm)


def _order(series: Series, seen: float) -> tuple[object, ...]:
    first = series.slices[0]
    return (
        -round(seen, 2), first.rank, abs((first.energy_kev or _MIDDLE_KEV) - _MIDDLE_KEV),
        series.slice_mm > _THIN_MM, series.is_sharp, round(series.slice_mm, 2), max(first.spacing_ji_mm or (0.0,)),
        -len(series.slices), first.series_number, first.series,
    )  # fmt: skip


def why_left_out(series: Series, best: Series) -> str:
    """Why another series was read instead of this one."""
    first, chosen = series.slices[0], best.slices[0]
    if series.owner != best.owner:
        return "of another patient or study"
    if series.lung_l < _NEARLY_ALL * best.lung_l:
        return f"shows {series.lung_l:.1f} of {best.lung_l:.1f} l of lung"
    if not best.lung_l and series.extent_mm < _NEARLY_ALL * best.extent_mm:
        return f"spans {series.extent_mm:.0f} of {best.extent_mm:.0f} mm"
    if first.rank > chosen.rank:
        return first.kind
    if first.energy_kev != chosen.energy_kev:
        return "of another energy"
    if series.slice_mm > best.slice_mm * 1.01:
        return f"thicker slices ({series.slice_mm:.3g} mm)"
    if series.is_sharp > best.is_sharp:
        return "sharper kernel"
    return "frame of reference of its own" if first.series == chosen.series else "no better"


def told_of_choice(best: Series, left_out: Sequence[tuple[Series, str]], folder: Folder) -> list[Flag]:
    """Flags that say which series and images of a folder are not part of what was read, and why."""
    others = Counter({f"series {item.series_number}, {item.kind}": n for item, n in folder.others.items()})
    named = [f"{series.name}: {why}" for series, why in left_out]
    named += [f"{what}: {n} images" for what, n in sorted(others.items())]
    if folder.enhanced:
        named.append(f"{folder.enhanced} multi-frame images that do not say where each frame lies")
    more = f"; and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    flags = []
    if named:
        lung = f" with about {best.lung_l:.1f} l of lung" if best.lung_l else ""
        found = f"{best.name}{lung} used; left out: {'; '.join(named[:_MOST_NAMED])}{more}"
        flags.append(Flag("W_SERIES_CHOSEN", found))
    strangers = {series.owner for series, _ in left_out} - {best.owner}
    if strangers:
        count = sum(len(series.slices) for series, _ in left_out if series.owner in strangers)
        flags.append(Flag("W_OTHER_STUDY", f"{count} CT slices are of {len(strangers)} other patients or studies"))
    return flags


def _nothing_usable(folder: Folder, left_out: Sequence[tuple[Series, str]]) -> None:
    """Say why there is not one series of slices in HU with a geometry."""
    if left_out:
        found = "; ".join(f"{series.name}: {why}" for series, why in left_out[:_MOST_NAMED])
        not_hu = any(series.slices[0].use == "not HU" for series, _ in left_out)
        raise Quarantine("Q_NOT_HU" if not_hu else "Q_NO_CT_SERIES", found)
    found = (
        f"{len(folder.slices)} CT slices, {folder.enhanced} enhanced, {folder.others.total()} other images, "
        f"{folder.damaged} damaged, {folder.not_dicom} not DICOM"
    )
    if folder.slices:
        raise Quarantine("Q_NO_GEOMETRY", f"no slice with position, orientation and PixelSpacing: {found}")
    raise Quarantine("Q_ENHANCED_CT" if folder.enhanced else "Q_NO_CT_SERIES", found)


def _identity(item: Slice) -> tuple[str, ...]:
    return (*item.owner, item.frame_of_reference, item.series)


def _series_of(slices: Sequence[Slice]) -> list[Series]:
    """Slices of one patient, study, frame of reference and series that share use, orientation, spacing and shape."""
    same = groups_of(map(_identity, slices))
    owners = groups_of(item.owner for item in slices)
    found: dict[tuple[object, ...], list[list[Slice]]] = {}
    for item in slices:
        if not item.has_geometry:
            continue
        stacks = found.setdefault((same[_identity(item)], item.use, item.rows, item.columns), [])
        home = next((stack for stack in stacks if _share_grid(item, stack[0])), None)
        if home is None:
            stacks.append([item])
        else:
            home.append(item)
    return [Series(in_order(stack), owners[stack[0].owner]) for stacks in found.values() for stack in stacks]


def _share_grid(item: Slice, other: Slice) -> bool:
    return np.allclose(item.orientation or (), other.orientation or (), atol=2e-3) and np.allclose(
        item.spacing_ji_mm or (), other.spacing_ji_mm or (), rtol=1e-3
    )


def _reconstructions(series: Series) -> list[Series]:
    """A series parted by kernel, thickness, phase and the like, where such parts lie in one place; else itself.

    Parts that follow one another are one volume.
    """
    slices = series.slices
    texts = [item.reconstruction.split("\n") for item in slices]
    for values in zip(*texts, strict=True):
        if len(set(values)) == 1 or (fits(slices) and not interleave(values)):
            continue
        parts = [[s for s, v in zip(slices, values, strict=True) if v == value] for value in dict.fromkeys(values)]
        large = [part for part in parts if len(part) >= MIN_SLICES]
        if sum(map(len, large)) >= (1 - _SMALL_MINORITY) * len(slices) and _lie_together(large):
            return [whole for part in parts for whole in _reconstructions(replace(series, slices=part))]
    return [series]


def _lie_together(parts: Sequence[Sequence[Slice]]) -> bool:
    """Whether some two parts overlap by half of the lesser extent, or more."""
    ends = [(float(d.min()), float(d.max())) for d in map(depths_of, parts)]
    return any(
        min(a[1], b[1]) - max(a[0], b[0]) > min(a[1] - a[0], b[1] - b[0]) / 2
        for n, a in enumerate(ends)
        for b in ends[n + 1 :]
    )


def drop_strays(best: Series, ranking: Ranking, slices: Sequence[Slice]) -> list[Flag]:
    """A few slices of the chosen series may lack a geometry or have another one; more may not.

    Another reconstruction of the same place, another patient or another frame of reference is a series of its own.
    """
    kept = {id(item) for item in best.slices}
    for series in [*ranking.series, *(series for series, _ in ranking.left_out)]:
        if _is_of_its_own(series, best):
            kept |= {id(item) for item in series.slices}
    same = groups_of(map(_identity, slices))
    here = same[_identity(best.slices[0])]
    others = [item for item in slices if same[_identity(item)] == here and id(item) not in kept]
    across = [i for i in others if i.has_geometry and abs(i.normal @ best.slices[0].normal) < _AXIAL]
    localizers = across if len(across) <= _MOST_LOCALIZERS else []
    strays = [item for item in others if item not in localizers]
    lack = "no or another position, orientation, spacing or shape"
    if len(strays) > _SMALL_MINORITY * len(best.slices):
        raise Quarantine("Q_NO_GEOMETRY", f"{len(strays)} slices beside {len(best.slices)} have {lack}")
    return [Flag("W_SLICES_DROPPED", f"{len(strays)} slices dropped: {lack}")] if strays else []


def _is_of_its_own(series: Series, best: Series) -> bool:
    """Whether slices beside the best ones, of several, show nothing of the patient that those do not show."""
    if len(series.slices) < MIN_SLICES or series.slices[0].use != "slice":
        return series.slices[0].use != "slice"
    there = np.array([item.position_xyz_mm for item in series.slices]) @ best.slices[0].normal
    here = depths_of(best.slices)
    step = np.ptp(here) / max(len(here) - 1, 1)
    return bool(there.min() >= here.min() - step and there.max() <= here.max() + step)
