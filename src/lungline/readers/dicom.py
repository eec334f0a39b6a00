"""A folder of DICOM files as one CT image.

SimpleITK's series reader repairs geometry silently: a missing slice stretches the spacing, a tilted gantry
loses its shear. So the geometry is worked out here, from the position and orientation of every slice.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import ArrayLike, NDArray
from pydicom.uid import UID_dictionary

from lungline.errors import Quarantine
from lungline.readers.dicom_headers import Folder, Slice, quiet, read_folder, regular_files
from lungline.readers.dicom_pixels import LOSSY, SUPPORTED, DamagedSliceError, slice_hu
from lungline.readers.raw import RawImage, check_affine, check_size
from lungline.readers.stack import MIN_SLICES, SAME_PLACE_MM, Stack, deskew, uniform_grid
from lungline.storage.hdf5 import Flag

_AXIAL = 0.7  # cosine between the normal of axial slices and the long axis of the body
_MOST_LOCALIZERS = 4  # slices of one series that may stand across the others
_SMALL_MINORITY = 0.1  # part of a series that may be dropped
_NEARLY_ALL = 0.9  # part of the largest extent that counts as the whole chest, too


def read_dicom(path: Path) -> tuple[RawImage, list[Flag]]:
    """Read the best axial CT series of a folder (or the one file that `path` is).

    Returns int16 HU on a rectilinear grid, and what had to be left out, filled or corrected. `Quarantine` if there is
    no CT, or its geometry or its pixels cannot be trusted; see `docs/reference/flags.md`.
    """
    with quiet():
        chosen, flags = used_slices(path)
        rescaled = chosen[0].slope is not None
        chosen, array, more = _decode_all(chosen)
        flags += more + _lossy(chosen) + ([] if rescaled else _looks_like_hu(array))
    first = chosen[0]
    assert first.orientation  # `choose_series` takes no other slices
    assert first.spacing_ji_mm
    stack = Stack(
        array=array,
        positions_xyz_mm=np.array([item.position_xyz_mm for item in chosen]),
        along_i_xyz=np.array(first.orientation[:3]),
        along_j_xyz=np.array(first.orientation[3:]),
        spacing_ij_mm=first.spacing_ji_mm[::-1],  # type: ignore[arg-type]
    )
    image, more = deskew(stack)
    check_affine(image.affine_ijk)
    return image, flags + more


def used_slices(path: Path) -> tuple[list[Slice], list[Flag]]:
    """The slices that a scan is read from, along their normal, and what had to be left out; call inside `quiet`."""
    chosen, flags = choose_series(read_folder(regular_files(path)))
    check_size(chosen[0].columns, chosen[0].rows, len(chosen))
    _check_rescale(chosen)
    chosen, more = one_acquisition(chosen)
    return chosen, flags + more


def nearest_slices(path: Path, points_xyz_mm: ArrayLike) -> list[tuple[str, int]]:
    """SOPInstanceUID and frame (from 1) of the slice of the chosen series that lies nearest to each point.

    Identifiers: only for the way out (`lungline export`), never for results. No pixel is read. `points_xyz_mm` (n, 3)
    are world points, LPS. `Quarantine` if the folder holds no CT any more.
    """
    with quiet():
        chosen = _sorted(choose_series(read_folder(regular_files(path)))[0])
        depths = _depths(chosen)
        wanted = np.asarray(points_xyz_mm, dtype=np.float64).reshape(-1, 3) @ chosen[0].normal
        nearest = [chosen[int(np.argmin(np.abs(depths - depth)))] for depth in wanted]
        tag = "SOPInstanceUID"
        read = (pydicom.dcmread(s.path, specific_tags=[tag], stop_before_pixels=True) for s in nearest)
        return [(str(header.get(tag, "")), item.frame + 1) for header, item in zip(read, nearest, strict=True)]


def choose_series(folder: Folder) -> tuple[list[Slice], list[Flag]]:
    """The slices of the best axial CT of the folder, and what was left out.

    Best is: axial, covering (nearly) the largest extent, then the most positions, then ORIGINAL.
    """
    stacks = _stacks(folder.slices)
    if not stacks:
        _nothing_usable(folder)
    extents = {id(stack): float(np.ptp(_depths(stack))) for stack in stacks}
    usable = [s for s in stacks if abs(s[0].normal[2]) >= _AXIAL and _n_positions(s) >= MIN_SLICES] or stacks
    enough = _NEARLY_ALL * max(extents[id(stack)] for stack in usable)
    best = max(
        (stack for stack in usable if extents[id(stack)] >= enough),
        key=lambda s: (_n_positions(s), s[0].original, -s[0].series_number, s[0].series),
    )
    flags = _check_same_series(best, folder.slices)
    left_out = len({item.series for item in folder.slices} - {best[0].series})
    turned = len(stacks) - 1 - left_out
    if left_out > 0 or turned > 0 or folder.other_images or folder.enhanced:
        found = f"{len(best)} slices used; left out: {max(left_out, 0)} other CT series, "
        flags.append(Flag("W_SERIES_CHOSEN", f"{found}{folder.other_images + folder.enhanced} other images"))
    if folder.not_dicom:
        flags.append(Flag("W_FILES_SKIPPED", f"{folder.not_dicom} files are not DICOM"))
    if folder.damaged > _SMALL_MINORITY * len(folder.slices):
        raise Quarantine("Q_DAMAGED_SLICES", f"{folder.damaged} damaged files beside {len(folder.slices)} slices")
    if folder.damaged:
        flags.append(Flag("W_DAMAGED_SLICES", f"{folder.damaged} files with a damaged header"))
    return best, flags


def _nothing_usable(folder: Folder) -> None:
    """Say why there is not one stack of slices with a geometry."""
    found = (
        f"{len(folder.slices)} CT slices, {folder.enhanced} enhanced, {folder.other_images} other images, "
        f"{folder.damaged} damaged, {folder.not_dicom} not DICOM"
    )
    if folder.slices:
        raise Quarantine("Q_NO_GEOMETRY", f"no slice with position, orientation and PixelSpacing: {found}")
    raise Quarantine("Q_ENHANCED_CT" if folder.enhanced else "Q_NO_CT_SERIES", found)


def _stacks(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices of one series that share orientation, spacing and shape."""
    stacks: list[list[Slice]] = []
    for item in slices:
        if not item.has_geometry:
            continue
        home = next((stack for stack in stacks if _belongs(item, stack[0])), None)
        if home is None:
            stacks.append([item])
        else:
            home.append(item)
    return stacks


def _belongs(item: Slice, other: Slice) -> bool:
    return (
        (item.series, item.rows, item.columns) == (other.series, other.rows, other.columns)
        and np.allclose(item.orientation or (), other.orientation or (), atol=2e-3)
        and np.allclose(item.spacing_ji_mm or (), other.spacing_ji_mm or (), rtol=1e-3)
    )


def _depths(stack: Sequence[Slice]) -> NDArray[np.float64]:
    """Position of each slice along the normal of the first, mm."""
    return np.array([item.position_xyz_mm for item in stack]) @ stack[0].normal


def _n_positions(stack: Sequence[Slice]) -> int:
    return 1 + int((np.diff(np.sort(_depths(stack))) > SAME_PLACE_MM).sum())


def _check_same_series(best: list[Slice], slices: Sequence[Slice]) -> list[Flag]:
    """A few slices of the chosen series may lack a geometry or have another one; more may not."""
    kept = {id(item) for item in best}
    others = [item for item in slices if item.series == best[0].series and id(item) not in kept]
    across = [item for item in others if item.has_geometry and abs(item.normal @ best[0].normal) < _AXIAL]
    localizers = across if len(across) <= _MOST_LOCALIZERS else []
    strays = [item for item in others if item not in localizers]
    if len(strays) > _SMALL_MINORITY * len(best):
        found = f"{len(strays)} slices beside {len(best)} have no or another position, orientation, spacing or shape"
        raise Quarantine("Q_NO_GEOMETRY", found)
    found = f"{len(strays)} slices dropped: no or another position, orientation, spacing or shape"
    return [Flag("W_SLICES_DROPPED", found)] if strays else []


def one_acquisition(stack: list[Slice]) -> tuple[list[Slice], list[Flag]]:
    """One slice a position, sorted along the normal.

    Copies are dropped. Where different slices lie at one position, or acquisitions interleave, the most
    complete acquisition is taken: the patient may have moved between them.
    """
    unique, copies = _without_copies(_sorted(stack))
    flags = [Flag("W_DUPLICATE_SLICES", f"{copies} copies of slices dropped")] if copies else []
    if _is_uniform(unique) and not _interleave(unique):
        return unique, flags
    acquisitions: dict[int, list[Slice]] = {}
    for item in unique:
        acquisitions.setdefault(item.acquisition, []).append(item)
    if len(acquisitions) > 1:
        complete = max(acquisitions.values(), key=lambda a: (_n_positions(a), -a[0].acquisition))
        if _n_positions(unique) < len(unique) or _is_uniform(complete):
            found = f"{len(acquisitions)} acquisitions; the one with {len(complete)} of {len(unique)} slices used"
            flags.append(Flag("W_MULTI_ACQUISITION", found))
            unique = complete
    if _n_positions(unique) < len(unique):
        found = f"{len(unique)} different slices at {_n_positions(unique)} positions"
        raise Quarantine("Q_DUPLICATE_SLICES", found)
    return unique, flags


def _sorted(stack: Sequence[Slice]) -> list[Slice]:
    depths = _depths(stack)
    order = sorted(range(len(stack)), key=lambda k: (depths[k], stack[k].instance, stack[k].path.name, stack[k].frame))
    return [stack[k] for k in order]


def _interleave(stack: list[Slice]) -> bool:
    """Whether acquisitions of several slices each alternate along the normal, instead of following one another."""
    counts = Counter(item.acquisition for item in stack)
    order = [item.acquisition for item in stack if counts[item.acquisition] >= MIN_SLICES]
    changes = sum(a != b for a, b in pairwise(order))
    return changes >= len(set(order)) > 0


def _is_uniform(stack: list[Slice]) -> bool:
    """Whether the slices, as they lie, fill a uniform grid without a gap."""
    try:
        return _n_positions(stack) == len(stack) and uniform_grid(_depths(stack))[1] == []
    except Quarantine:
        return False


def _without_copies(stack: list[Slice]) -> tuple[list[Slice], int]:
    """Drop slices that lie where another one lies and show the same."""
    depths = _depths(stack)
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


def _decode_all(stack: list[Slice]) -> tuple[list[Slice], NDArray[np.int16], list[Flag]]:
    """HU (K, J, I) of the slices that can be decoded; the others count as missing."""
    unsupported = Counter(item.syntax for item in stack if item.syntax not in SUPPORTED)
    if unsupported:
        syntax, count = unsupported.most_common(1)[0]
        known = syntax in UID_dictionary  # else it may be any text
        named = f"transfer syntax {syntax}" if known else "a transfer syntax that DICOM does not define"
        raise Quarantine("Q_UNSUPPORTED_SYNTAX", f"{count} of {len(stack)} slices in {named}")
    array = np.empty((len(stack), stack[0].rows, stack[0].columns), dtype=np.int16)
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
    given = [(item.slope, item.intercept) for item in stack]
    stated = [(s, i) for s, i in given if s is not None and i is not None]
    if any(not np.isfinite(s) or not np.isfinite(i) or s <= 0 for s, i in stated):
        raise Quarantine("Q_BAD_RESCALE", "RescaleSlope or RescaleIntercept is not finite, or the slope not positive")
    if (stated and len(stated) < len(given)) or any((s is None) != (i is None) for s, i in given):
        found = f"{len(given) - len(stated)} of {len(given)} slices without a full rescale"
        raise Quarantine("Q_NO_RESCALE", found)


def _looks_like_hu(array: NDArray[np.int16]) -> list[Flag]:
    """Stored values without a rescale count as HU where there is air at -1000 and tissue near 0."""
    air, soft = np.mean(array < -900), np.mean(np.abs(array) < 200)
    found = f"no rescale; {air:.0%} of the values are those of air, {soft:.0%} near those of water"
    if air < 0.02 or soft < 0.05:
        raise Quarantine("Q_NO_RESCALE", found)
    return [Flag("W_ASSUMED_HU", found)]


def _lossy(stack: Sequence[Slice]) -> list[Flag]:
    n_lossy = sum(item.lossy or item.syntax in LOSSY for item in stack)
    return [Flag("W_LOSSY", f"{n_lossy} of {len(stack)} slices were compressed with loss")] if n_lossy else []
