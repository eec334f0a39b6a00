"""The same damage done to real scans, where they are at hand: read from the sample folder, changed in scratch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tests.conformance.robustness.analytic_phantom import Array, Grid
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.judge import GroundTruth

SERIES = {"cip-ct64": "chest-ct/cip-ct64", "lung-dx": "chest-ct/lung-dx-a0002"}


def real_cases(folder: Path | None) -> Iterator[Case]:
    if folder is None:
        return
    for name, place in SERIES.items():
        if (folder / place).is_dir():
            yield from _of_series(name, folder / place)
    yield from _syntaxes(folder / "malformed" / "transfer_syntaxes")
    yield from _metaimages(folder / "malformed" / "mhd")
    for path in sorted((folder / "luna16-format").glob("*.mhd")):
        yield Case(
            "real-luna16",
            f"slab-{path.stem[-6:]}",
            "mhd",
            lambda f, p=path: p,
            GroundTruth("answer", *_mhd_truth(path)),
        )
    for path in sorted((folder / "malformed" / "bombs").glob("*.dcm")):
        yield Case("real-bomb", path.stem, "dicom", lambda f, p=path: p, GroundTruth("refuse"))
    for path in sorted((folder / "malformed" / "dicom_series").glob("*/*/")):
        name = f"{path.parent.name}-{path.name}"
        yield Case("real-not-a-chest", name, "dicom", lambda f, p=path: p, GroundTruth("refuse"))


@lru_cache(maxsize=2)
def _slices(folder: Path) -> tuple[list[Path], Grid, Callable[[Array], Array]]:
    """Files of an even series in their order, its grid, and HU between its voxels: stacked by hand from the headers."""
    found = [(pydicom.dcmread(path), path) for path in sorted(folder.iterdir()) if path.is_file()]
    along = np.array(found[0][0].ImageOrientationPatient, float)
    normal = np.cross(along[:3], along[3:])
    found.sort(key=lambda pair: float(np.array(pair[0].ImagePositionPatient, float) @ normal))
    first, last = (np.array(found[k][0].ImagePositionPatient, float) for k in (0, -1))
    head = found[0][0]
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(found) - 1)
    affine[:3, 1] = along[3:] * float(head.PixelSpacing[0])
    affine[:3, 2] = along[:3] * float(head.PixelSpacing[1])
    affine[:3, 3] = first
    hu = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds, _ in found])
    grid = Grid(hu.shape, affine)
    return [path for _, path in found], grid, _between(hu.astype(np.float32), affine)


def _between(hu: NDArray, affine: Array) -> Callable[[Array], Array]:
    """HU at world points by linear interpolation; padding and what lies outside is nan."""
    known = np.where(hu < -1024, np.nan, hu)

    def field(points: Array) -> Array:
        index = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        return map_coordinates(known, np.moveaxis(index, -1, 0), order=1, cval=np.nan, output=np.float64)

    return field


def _mhd_truth(path: Path) -> tuple[Grid, bool, Callable[[Array], Array]]:
    from tests.conformance.robustness import reference_reader

    read = reference_reader.read_metaimage(path)
    assert read is not None
    array, affine = read
    return Grid(array.shape, affine), True, _between(array.astype(np.float32), affine)


def _of_series(name: str, folder: Path) -> Iterator[Case]:
    files, grid, field = _slices(folder)
    count = len(files)

    def ground_truth(expect: str, part: Grid = grid) -> GroundTruth:
        return GroundTruth(expect, part, True, field)  # type: ignore[arg-type]

    def copied(
        keep: Callable[[int], bool] = lambda k: True,
        change: Callable[[int, pydicom.Dataset], object] | None = None,
        spoil: Callable[[int, bytes], bytes] | None = None,
    ) -> Callable[[Path], Path]:
        def build(target: Path) -> Path:
            scan = target / "scan"
            scan.mkdir()
            for k, path in enumerate(files):
                if not keep(k):
                    continue
                to = scan / f"{(k * 37) % 1009:04d}.dcm"
                if change:
                    ds = pydicom.dcmread(path)
                    change(k, ds)
                    ds.save_as(to)
                elif spoil:
                    to.write_bytes(spoil(k, path.read_bytes()))
                else:
                    shutil.copyfile(path, to)
            return scan

        return build

    def case(kind: str, what: object, build: Callable[[Path], Path], expect: GroundTruth) -> Case:
        return Case(f"real-{kind}", f"{name}-{what}", "dicom", build, expect)

    middle = count // 2
    yield case("sound", "as-it-is", lambda target: folder, ground_truth("answer"))
    yield case("sound", "renamed", copied(), ground_truth("answer"))
    for gone in (1, 2, 5):
        lost = range(middle, middle + gone)
        yield case("missing-slices", gone, copied(lambda k, g=lost: k not in g), ground_truth("either"))
        yield case(
            "truncated",
            gone,
            copied(spoil=lambda k, b, g=lost: b[: len(b) // 2] if k in g else b),
            ground_truth("either"),
        )
        yield case("empty-files", gone, copied(spoil=lambda k, b, g=lost: b"" if k in g else b), ground_truth("either"))
    yield case(
        "missing-slices",
        "every-second",
        copied(lambda k: k % 2 == 0),
        GroundTruth("either", _second(grid), True, field),
    )
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept"):
        yield case(
            "missing-element",
            f"{key}-all",
            copied(change=lambda k, ds, key=key: delattr(ds, key)),
            ground_truth("refuse"),
        )
        yield case(
            "missing-element",
            f"{key}-one",
            copied(change=lambda k, ds, key=key: delattr(ds, key) if k == middle else None),
            ground_truth("either"),
        )
    for key, value in {"SliceThickness": "99", "InstanceNumber": "1", "SpacingBetweenSlices": "9"}.items():
        yield case(
            "wrong-element",
            key,
            copied(change=lambda k, ds, key=key, v=value: setattr(ds, key, v)),
            ground_truth("answer"),
        )
    if name == "cip-ct64":
        for key, value in {"RescaleSlope": "0", "Rows": 65535, "PixelSpacing": ["0", "0"], "BitsStored": 99}.items():
            yield case(
                "wrong-element",
                key,
                copied(change=lambda k, ds, key=key, v=value: setattr(ds, key, v)),
                ground_truth("refuse"),
            )


def _second(grid: Grid) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 0] *= 2
    return Grid(((grid.shape_zyx[0] + 1) // 2, *grid.shape_zyx[1:]), affine)


def _syntaxes(folder: Path) -> Iterator[Case]:
    """One slice is no chest, in whatever syntax."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield Case("real-not-a-chest", f"slice-{path.name[-40:]}", "dicom", lambda f, p=path: p, GroundTruth("refuse"))


def _metaimages(folder: Path) -> Iterator[Case]:
    """Three are sound, but too small for a chest; all others are malformed."""
    for path in sorted(folder.glob("*.mhd")) if folder.is_dir() else ():
        kind = "real-not-a-chest" if path.stem in ("ok", "okz", "flip") else "real-metaimage"
        yield Case(kind, path.stem, "mhd", lambda f, p=path: p, GroundTruth("refuse"))
