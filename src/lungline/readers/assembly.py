"""Which slices of one series make up the volume: copies and doubled positions, and acquisitions that meet or overlap.

AcquisitionNumber says which gathering of data a slice comes from (PS3.3 C.7.6.1), not that two overlap: breath holds
follow one another. What is kept is compared with what there is, so that a part never silently stands for the whole.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine
from lungline.readers.dicom_headers import Slice
from lungline.readers.dicom_pixels import DamagedSliceError, slice_hu
from lungline.readers.lungs_seen import litres_of_lung
from lungline.readers.stack import CLOSEST, MIN_SLICES, SAME_PLACE_MM, Stack, can_be_deskewed
from lungline.storage.hdf5 import Flag

_FEW = 0.1  # part of a series that may be dropped
_NEARLY = 0.4  # of a step: slices nearer than this are one too many
_LEVEL = 0.05  # part of a step by which a slice may be off the grid of others
_GAP = 1.2  # of the thickness: slices further apart leave something out between them
_MOST_SEEDS = 8  # acquisitions that the joining begins with


def assemble(stack: Sequence[Slice]) -> tuple[list[Slice], list[Flag]]:
    """One slice a position, sorted along the normal, of slices of one series, orientation and spacing.

    Copies are dropped. Acquisitions that follow one another, or fill one another's gaps, are joined; where they
    overlap, the one that shows more is kept. Of a few different slices at (nearly) one position the one that its
    neighbours are most like is kept.

    Call inside `dicom_headers.quiet`; `Quarantine` with `Q_DUPLICATE_SLICES` if many are doubled.
    """
    unique, copies = _without_copies(in_order(stack))
    flags = [Flag("W_DUPLICATE_SLICES", f"{copies} copies of slices dropped")] if copies else []
    if fits(unique) and (not interleave([item.acquisition for item in unique]) or _fill_one_another(unique)):
        return unique, flags
    acquisitions: dict[int, list[Slice]] = {}
    for item in unique:
        acquisitions.setdefault(item.acquisition, []).append(item)
    joined = _join(list(acquisitions.values()), unique) if len(acquisitions) > 1 else None
    chosen, more = joined or _thin_out(unique)
    return chosen, flags + more


def depths_of(stack: Sequence[Slice]) -> NDArray[np.float64]:
    """Position of each slice (K,) along the normal of the first, mm."""
    return np.array([item.position_xyz_mm for item in stack]) @ stack[0].normal


def in_order(stack: Sequence[Slice]) -> list[Slice]:
    """The slices along their normal."""
    depths = depths_of(stack)
    order = sorted(range(len(stack)), key=lambda k: (depths[k], stack[k].instance, stack[k].path.name, stack[k].frame))
    return [stack[k] for k in order]


def n_positions(stack: Sequence[Slice]) -> int:
    """The number of different positions of slices."""
    return 1 + int((np.diff(np.sort(depths_of(stack))) > SAME_PLACE_MM).sum())


def places_of(stack: Sequence[Slice], array: NDArray[np.int16]) -> Stack:
    """Sorted slices with a geometry, and their HU (K, J, I), as what is deskewed."""
    first = stack[0]
    assert first.orientation
    assert first.spacing_ji_mm
    return Stack(
        array=array,
        positions_xyz_mm=np.array([item.position_xyz_mm for item in stack]),
        along_i_xyz=np.array(first.orientation[:3]),
        along_j_xyz=np.array(first.orientation[3:]),
        spacing_ij_mm=first.spacing_ji_mm[::-1],  # type: ignore[arg-type]
        seams=_seams(stack),
    )


def _seams(stack: Sequence[Slice]) -> NDArray[np.bool_]:
    """Whether a run of slices of one acquisition ends after each slice (K - 1,), and another run begins."""
    numbers = np.array([item.acquisition for item in stack])
    seams: NDArray[np.bool_] = numbers[1:] != numbers[:-1]
    ends = [0, *(np.flatnonzero(seams) + 1).tolist(), len(numbers)]
    for before, at, after in zip(ends, ends[1:-1], ends[2:], strict=False):
        if min(at - before, after - at) < MIN_SLICES:
            seams[at - 1] = False
    return seams


def fits(stack: Sequence[Slice]) -> bool:
    """Whether sorted slices, as they lie, can be brought onto a uniform grid."""
    return len(stack) >= MIN_SLICES and can_be_deskewed(places_of(stack, np.empty((0, 0, 0), np.int16)))


def interleave(labels: Sequence[object]) -> bool:
    """Whether labels of several slices each alternate along the normal, instead of following one another."""
    counts = Counter(labels)
    order = [label for label in labels if counts[label] >= MIN_SLICES]
    changes = sum(a != b for a, b in pairwise(order))
    return changes >= len(set(order)) > 0


def _fill_one_another(stack: Sequence[Slice]) -> bool:
    """Whether slices lie close together while those of each acquisition leave gaps, as a scan in two passes does."""
    thickness = [item.thickness_mm for item in stack if item.thickness_mm]
    alone = [depths_of([s for s in stack if s.acquisition == number]) for number in {s.acquisition for s in stack}]
    if len(thickness) < len(stack) or min(map(len, alone)) < MIN_SLICES:
        return False
    steps = [float(np.median(np.diff(depths))) for depths in alone]
    together = float(np.median(np.diff(depths_of(stack))))
    return together < _GAP * max(thickness) < min(steps)


def _without_copies(stack: list[Slice]) -> tuple[list[Slice], int]:
    """Drop slices that lie where another one lies and show the same."""
    depths = depths_of(stack)
    firsts = np.flatnonzero(np.diff(depths, prepend=-np.inf) > SAME_PLACE_MM)
    kept: list[Slice] = []
    for start, end in pairwise((*firsts.tolist(), len(stack))):
        group = stack[start:end]
        shown: dict[bytes, Slice] = {}
        for item in group if len(group) > 1 else []:
            with suppress(DamagedSliceError):  # its whole copy serves
                shown.setdefault(slice_hu(item).tobytes(), item)
        kept += shown.values() if shown else group[:1]
    return kept, len(stack) - len(kept)


def _join(parts: list[list[Slice]], unique: list[Slice]) -> tuple[list[Slice], list[Flag]] | None:
    """The longest volume that acquisitions give together, and what is left out; None if none of them gives any."""
    seeds = sorted(parts, key=lambda part: (-n_positions(part), part[0].acquisition))[:_MOST_SEEDS]
    tried = []
    for seed in seeds:
        with suppress(Quarantine):
            thin, _ = _thin_out(seed)
            if fits(thin):
                tried.append(_extended(thin, [part for part in parts if part is not seed]))
    if not tried:
        return None
    longest = max(float(np.ptp(depths_of(stack))) for stack in tried)
    chosen = max((s for s in tried if np.ptp(depths_of(s)) >= (1 - _FEW) * longest), key=len)
    return chosen, _told(chosen, unique)


def _extended(main: list[Slice], others: list[list[Slice]]) -> list[Slice]:
    """Slices with those of other acquisitions that lie beyond them, as far as all still fit together."""
    step = float(np.median(np.diff(depths_of(main))))
    normal, whole = main[0].normal, main

    def depth(item: Slice) -> float:
        return float(np.asarray(item.position_xyz_mm) @ normal)

    def distance(part: list[Slice]) -> float:
        return max(depth(part[0]) - depth(main[-1]), depth(main[0]) - depth(part[-1]))

    for part in sorted(others, key=distance):
        low, high = depth(whole[0]), depth(whole[-1])
        for side in (
            [item for item in part if depth(item) < low - CLOSEST * step],
            [item for item in part if depth(item) > high + CLOSEST * step],
        ):
            off = [((depth(item) - low) / step + 0.5) % 1 - 0.5 for item in side]
            worth = len(side) >= MIN_SLICES or (side and max(map(abs, off)) <= _LEVEL)
            if worth and fits(longer := in_order([*whole, *side])):
                whole = longer
    return whole


def _told(chosen: list[Slice], unique: list[Slice]) -> list[Flag]:
    """What was kept of several acquisitions, and how much of the patient that leaves out."""
    count, used = len({item.acquisition for item in unique}), len({item.acquisition for item in chosen})
    kept = f"{len(chosen)} of {len(unique)} slices"
    if used == 1:
        flags = [Flag("W_MULTI_ACQUISITION", f"{count} acquisitions; the one with {kept} used")]
    else:
        flags = [Flag("W_MULTI_ACQUISITION", f"{used} of {count} acquisitions follow one another: {kept} joined")]
    depths = depths_of(chosen)
    half = float(np.median(np.diff(depths))) / 2
    there = np.array([item.position_xyz_mm for item in unique]) @ chosen[0].normal
    lost_mm = float(max(depths[0] - there.min(), 0) + max(there.max() - depths[-1], 0))
    if lost_mm > 4 * half:
        outside = [s for s, at in zip(unique, there, strict=True) if not depths[0] - half <= at <= depths[-1] + half]
        read_mm = float(np.ptp(depths))
        here, lost = litres_of_lung(chosen, read_mm), litres_of_lung(outside, lost_mm)
        found = (
            f"{read_mm:.0f} mm with about {here:.1f} l of lung are read, not {lost_mm:.0f} mm with about {lost:.1f} l"
        )
        flags.append(Flag("W_PART_ONLY", f"{found}: acquisitions too far apart or too uneven to be joined"))
    return flags


def _thin_out(unique: list[Slice]) -> tuple[list[Slice], list[Flag]]:
    """One of the slices at each (nearly) single position, where only a few are doubled.

    `Quarantine` with `Q_TOO_FEW_SLICES`, or `Q_DUPLICATE_SLICES` where many different slices share positions.
    """
    depths = depths_of(unique)
    gaps = np.diff(depths)
    apart = gaps[gaps > SAME_PLACE_MM]
    step = float(np.median(apart)) if apart.size else 0.0
    firsts = np.flatnonzero(np.diff(depths, prepend=-np.inf) >= max(_NEARLY * step, SAME_PLACE_MM))
    clusters = [unique[start:end] for start, end in pairwise((*firsts.tolist(), len(unique)))]
    extra = len(unique) - len(clusters)
    if extra and extra <= _FEW * len(clusters):
        kept: list[Slice] = []
        for at, cluster in enumerate(clusters):
            after = clusters[at + 1] if at + 1 < len(clusters) else []
            kept.append(_best_of(cluster, kept[-1:], after if len(after) == 1 else [], step))
        if fits(kept):
            found = f"{extra} of {len(unique)} slices left out: a different one lies at (nearly) the same position"
            return kept, [Flag("W_DUPLICATE_SLICES", found)]
    different = n_positions(unique)
    if different < MIN_SLICES:
        raise Quarantine("Q_TOO_FEW_SLICES", f"{different} slices at different places; expected {MIN_SLICES}")
    if different < len(unique):
        raise Quarantine("Q_DUPLICATE_SLICES", f"{len(unique)} different slices at {different} positions")
    return unique, []


def _best_of(cluster: list[Slice], before: list[Slice], after: list[Slice], step: float) -> Slice:
    """The slice that stands a step from its neighbours; of those that do so alike, the one that shows most the same."""
    if len(cluster) == 1 or not before + after:
        return cluster[0]

    def off(item: Slice) -> int:
        away = sum(abs(abs(np.ptp(depths_of([other, item]))) - step) for other in before + after)
        return round(away / (2 * _LEVEL * step))

    def unlike(item: Slice) -> float:
        try:
            here = slice_hu(item)[::4, ::4].astype(np.float64)
            return sum(float(np.abs(slice_hu(other)[::4, ::4] - here).mean()) for other in before + after)
        except DamagedSliceError:
            return np.inf

    return min(cluster, key=lambda item: (off(item), unlike(item)))
