"""A folder of DICOM files as one CT image.

SimpleITK's series reader repairs geometry silently: a missing slice stretches the spacing, a tilted gantry
loses its shear. So the geometry is worked out here, from the position and orientation of every slice.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.uid import UID_dictionary

from lungline.errors import Quarantine
from lungline.imaging.chest_gate import check_chest
from lungline.imaging.volume import Volume
from lungline.readers.assembly import assemble, depths_of, in_order, places_of
from lungline.readers.dicom_headers import Folder, Slice, quiet, read_dataset, read_folder, regular_files
from lungline.readers.dicom_pixels import LOSSY, SUPPORTED, DamagedSliceError, slice_hu
from lungline.readers.raw import RawImage, check_affine, check_size
from lungline.readers.sandbox import empty_int16, run_in_sandbox
from lungline.readers.series_choice import Ranking, Series, drop_strays, rank_series, told_of_choice, why_left_out
from lungline.readers.stack import deskew
from lungline.storage.hdf5 import Flag

_SMALL_MINORITY = 0.1  # part of a series that may be dropped


@dataclass(frozen=True)
class _Read:
    """A series as an image, the slices that it was made of, and what had to be left out, filled or corrected."""

    image: RawImage
    slices: list[Slice]
    flags: list[Flag]


def read_dicom(path: Path) -> tuple[RawImage, list[Flag]]:
    """Read the CT series of a folder (or of the one file that `path` is) that shows the lungs.

    Returns int16 HU on a rectilinear grid, and what had to be left out, filled or corrected. `Quarantine` if there is
    no CT, or its geometry or its pixels cannot be trusted; see `docs/reference/flags.md`.
    """
    with quiet():
        read = _read_best(read_folder(regular_files(path)))
    return read.image, read.flags


def _numbers_of_planes(image: RawImage, chosen: Sequence[Slice]) -> tuple[int, ...] | None:
    """InstanceNumber of the slice nearest to each plane; the frame's number in an enhanced CT, whose frames share one.

    None where the numbers tell no slice from another, as where they are missing.
    """
    frames = len({item.path for item in chosen}) == 1 and len(chosen) > 1
    numbers = [item.frame + 1 if frames else item.instance for item in chosen]
    if len(set(numbers)) == 1 or numbers.count(0) > 1:
        return None
    depths, (first, *_) = depths_of(chosen), image.affine_ijk[:3, 3:4].T
    planes = (first + np.outer(np.arange(image.array.shape[0]), image.affine_ijk[:3, 2])) @ chosen[0].normal
    return tuple(numbers[int(np.argmin(np.abs(depths - depth)))] for depth in planes)


def used_slices(path: Path) -> tuple[list[Slice], list[Flag]]:
    """The slices that a scan is read from, along their normal, and what had to be left out; call inside `quiet`."""
    folder = read_folder(regular_files(path))
    ranking = rank_series(folder)
    if len(ranking.series) > 1:  # which of them is the chest, only its pixels say
        read = _read_best(folder, ranking)
        return read.slices, read.flags
    return _slices_of(ranking.series[0], ranking, folder)


def nearest_slices(path: Path, points_xyz_mm: ArrayLike) -> list[tuple[str, int]]:
    """SOPInstanceUID and frame (from 1) of the slice of the chosen series that lies nearest to each point.

    Identifiers: only for the way out (`lungline export`), never for results. `points_xyz_mm` (n, 3) are world points,
    LPS. `Quarantine` if the folder holds no CT any more.
    """
    tag = "SOPInstanceUID"

    def work() -> tuple[NDArray[np.int16], list[tuple[str, int]]]:
        with quiet():
            chosen = in_order(used_slices(path)[0])
            depths = depths_of(chosen)
            wanted = np.asarray(points_xyz_mm, dtype=np.float64).reshape(-1, 3) @ chosen[0].normal
            nearest = [chosen[int(np.argmin(np.abs(depths - depth)))] for depth in wanted]
            read = (read_dataset(s.path, specific_tags=[tag], stop_before_pixels=True) for s in nearest)
            found = [(str(header.get(tag, "")), item.frame + 1) for header, item in zip(read, nearest, strict=True)]
            return np.zeros(1, np.int16), found

    return [(uid, frame) for uid, frame in run_in_sandbox(work)[1]]


def _read_best(folder: Folder, ranking: Ranking | None = None) -> _Read:
    """The best series that can be read and shows a chest; the best one that can be read where none shows a chest."""
    ranking = ranking or rank_series(folder)
    unread: list[tuple[Series, str]] = []
    no_chest: list[tuple[Series, str]] = []
    first: tuple[Series, _Read] | None = None
    refusal: Quarantine | None = None
    for series in ranking.series:
        try:
            read = _read_series(series, ranking, folder)
        except Quarantine as reason:
            refusal = refusal or reason
            unread.append((series, f"{reason.flag}, {reason.detail}"))
            continue
        try:
            if len(ranking.series) > 1:
                check_chest(Volume(read.image.array, read.image.affine_ijk[:, [2, 1, 0, 3]]).to_lps())
        except Quarantine as reason:
            no_chest.append((series, f"{reason.flag}, {reason.detail}"))
            first = first or (series, read)
            continue
        return _with_choice(read, series, unread + no_chest, ranking, folder)
    if first:
        return _with_choice(first[1], first[0], unread, ranking, folder)
    assert refusal
    raise refusal


def _with_choice(read: _Read, best: Series, tried: list[tuple[Series, str]], ranking: Ranking, folder: Folder) -> _Read:
    """What was read, with the flags that say what else lies in the folder."""
    known = {id(series) for series, _ in tried} | {id(best)}
    lesser = [(series, why_left_out(series, best)) for series in ranking.series if id(series) not in known]
    flags = told_of_choice(best, [*tried, *lesser, *ranking.left_out], folder)
    if folder.not_dicom:
        flags.append(Flag("W_FILES_SKIPPED", f"{folder.not_dicom} files are not DICOM"))
    if folder.damaged:
        flags.append(Flag("W_DAMAGED_SLICES", f"{folder.damaged} files with a damaged header"))
    return _Read(read.image, read.slices, flags + read.flags)


def _slices_of(series: Series, ranking: Ranking, folder: Folder) -> tuple[list[Slice], list[Flag]]:
    """One slice a position of a series, before its pixels are read."""
    if folder.damaged > _SMALL_MINORITY * len(folder.slices):
        raise Quarantine("Q_DAMAGED_SLICES", f"{folder.damaged} damaged files beside {len(folder.slices)} slices")
    flags = drop_strays(series, ranking, folder.slices)
    first = series.slices[0]
    check_size(first.columns, first.rows, len(series.slices))
    _check_rescale(series.slices)
    chosen, more = assemble(series.slices)
    return chosen, flags + more


def _read_series(series: Series, ranking: Ranking, folder: Folder) -> _Read:
    chosen, flags = _slices_of(series, ranking, folder)
    stated = chosen[0].slope is not None
    chosen, array, more = _decode_all(chosen)
    flags = flags + more + _lossy(chosen)
    if not stated:
        flags += _looks_like_hu(array)
    elif not all(item.says_hu for item in chosen):
        flags += _looks_like_hu(array, "Q_NOT_HU", "the unit of the values is not specified")
    image, more = deskew(places_of(chosen, array))
    check_affine(image.affine_ijk)
    image = replace(image, instance_numbers=_numbers_of_planes(image, chosen))
    return _Read(image, chosen, flags + more)


def _decode_all(stack: list[Slice]) -> tuple[list[Slice], NDArray[np.int16], list[Flag]]:
    """HU (K, J, I) of the slices that can be decoded; the others count as missing."""
    unsupported = Counter(item.syntax for item in stack if item.syntax not in SUPPORTED)
    if unsupported:
        syntax, count = unsupported.most_common(1)[0]
        known = syntax in UID_dictionary  # else it may be any text
        named = f"transfer syntax {syntax}" if known else "a transfer syntax that DICOM does not define"
        raise Quarantine("Q_UNSUPPORTED_SYNTAX", f"{count} of {len(stack)} slices in {named}")
    array = empty_int16((len(stack), stack[0].rows, stack[0].columns))
    decoded: list[Slice] = []
    for item in stack:
        with suppress(DamagedSliceError):
            array[len(decoded)] = slice_hu(item)
            decoded.append(item)
    damaged = len(stack) - len(decoded)
    found = f"the pixels of {damaged} of {len(stack)} slices cannot be decoded"
    if damaged > _SMALL_MINORITY * len(stack):
        raise Quarantine("Q_DAMAGED_SLICES", found)
    return decoded, array[: len(decoded)], [Flag("W_DAMAGED_SLICES", found)] if damaged else []


def _check_rescale(stack: Sequence[Slice]) -> None:
    """All slices must say how stored values become HU, or none; then the values must prove it."""
    if any(item.has_lut for item in stack):
        raise Quarantine("Q_NO_RESCALE", "values become HU by a table (ModalityLUTSequence), which is not read")
    given = [(item.slope, item.intercept) for item in stack]
    stated = [(s, i) for s, i in given if s is not None and i is not None]
    if any(not np.isfinite(s) or not np.isfinite(i) or s <= 0 for s, i in stated):
        raise Quarantine("Q_BAD_RESCALE", "RescaleSlope or RescaleIntercept is not finite, or the slope not positive")
    if (stated and len(stated) < len(given)) or any((s is None) != (i is None) for s, i in given):
        found = f"{len(given) - len(stated)} of {len(given)} slices without a full rescale"
        raise Quarantine("Q_NO_RESCALE", found)


def _looks_like_hu(array: NDArray[np.int16], flag: str = "Q_NO_RESCALE", lack: str = "no rescale") -> list[Flag]:
    """Values that nobody calls HU count as HU where there is air at -1000 and, of the rest, tissue near 0."""
    counts = np.zeros(3)  # slice by slice, for the sake of memory
    for plane in array:
        counts += plane.size, np.count_nonzero(plane < -900), np.count_nonzero((plane > -200) & (plane < 200))
    air, soft = counts[1] / counts[0], counts[2] / max(1, counts[0] - counts[1])
    found = f"{lack}; {air:.0%} of the values are those of air, {soft:.0%} of the others near those of water"
    if air < 0.02 or soft < 0.05:
        raise Quarantine(flag, found)
    return [Flag("W_ASSUMED_HU", found)]


def _lossy(stack: Sequence[Slice]) -> list[Flag]:
    n_lossy = sum(item.lossy or item.syntax in LOSSY for item in stack)
    return [Flag("W_LOSSY", f"{n_lossy} of {len(stack)} slices were compressed with loss")] if n_lossy else []
