"""Where the slices of a DICOM folder lie, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from tests.conformance.robustness.analytic_phantom import Array, Grid, hu_at, make_grid
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.dicom_files import (
    ANSWER,
    EITHER,
    GRID,
    MIDDLE,
    PLACES,
    REFUSE,
    Build,
    a_few_else,
    at,
    case,
    changed,
    datasets,
    everywhere,
    raw_text,
    setting,
    store,
    stored,
    write_all,
)
from tests.conformance.robustness.judge import Expect, GroundTruth


def order() -> Iterator[Case]:
    of_kind = partial(case, "instance-number")
    for name, number in {
        "permuted": lambda k: (k * 17) % 61,
        "reversed": lambda k: 60 - k,
        "all-equal": lambda k: 1,
        "negative": lambda k: -k,
        "huge": lambda k: 2147483000 + k,
    }.items():
        yield of_kind(name, changed(lambda k, ds, n=number: setattr(ds, "InstanceNumber", n(k))), ANSWER)
    yield of_kind("missing", setting(everywhere, InstanceNumber=None), ANSWER)
    yield of_kind("words", raw_text(everywhere, "InstanceNumber", "abc"), ANSWER)
    for name, text in {"0": "0", "99": "99", "negative": "-3", "words": "thick", "nan": "nan"}.items():
        yield case("slice-thickness", name, raw_text(everywhere, "SliceThickness", text), ANSWER)
    yield case("slice-thickness", "missing", setting(everywhere, SliceThickness=None), ANSWER)
    for value in ("0", "7.5", "-2"):
        yield case("spacing-between-slices", value, setting(everywhere, SpacingBetweenSlices=value), ANSWER)
    yield case(
        "slice-location", "contradicts", changed(lambda k, ds: setattr(ds, "SliceLocation", str(-5 * k))), ANSWER
    )
    for name, position in {"prone": "HFP", "feet-first": "FFS", "nonsense": "XYZ"}.items():
        yield case("patient-position", f"{name}-word", setting(everywhere, PatientPosition=position), ANSWER)


def spacing() -> Iterator[Case]:
    rng = np.random.default_rng(3)
    steps = {
        "jitter-4-percent": 2 + rng.uniform(-0.08, 0.08, 59),
        "jitter-15-percent": 2 + rng.uniform(-0.3, 0.3, 59),
        "ramp": np.linspace(1.6, 2.4, 59),
        "halves-1.5": np.where(np.arange(59) < 30, 1.6, 2.4),
        "halves-3": np.where(np.arange(59) < 30, 1.0, 3.0),
        "ramp-5": np.linspace(0.7, 3.5, 59),
        "one-wide-step": np.where(np.arange(59) == 30, 2.9, 2.0),
        "one-narrow-step": np.where(np.arange(59) == 30, 1.3, 2.0),
        "one-step-4.9": np.where(np.arange(59) == 30, 4.9, 2.0),
    }
    for name, step in steps.items():
        depths = np.concatenate([[0], np.cumsum(step)])
        depths = np.round(depths + (118 - depths[-1]) / 2, 3)
        positions = GRID.affine[:3, 3] + np.outer(depths, (0, 0, 1))
        grid = Grid(GRID.shape_zyx, GRID.affine.copy())
        grid.affine[:3, 0] = (0, 0, depths[-1] / 59 - depths[0] / 59)
        grid.affine[:3, 3] = positions[0]
        expect: Expect = "refuse" if name in ("halves-3", "ramp-5") else "answer"
        if name == "one-step-4.9":
            expect = "either"

        def build(folder: Path, positions: Array = positions) -> Path:
            k, j, i = np.meshgrid(np.arange(60), np.arange(40), np.arange(48), indexing="ij")
            axes = GRID.affine[:3, :3]
            points = positions[k] + j[..., None] * axes[:, 1] + i[..., None] * axes[:, 2]
            return write_all(folder / "scan", datasets(GRID, np.rint(hu_at(points)), positions=positions))

        yield case(
            "non-uniform-spacing", name, build, GroundTruth("either" if expect == "refuse" else expect, grid, False)
        )


def tilt() -> Iterator[Case]:
    of_kind = partial(case, "gantry-tilt")
    for angle in (-30, -20, -10, -5, -1, 2, 5, 10, 15, 20, 30):
        t = np.deg2rad(angle)
        along_j = (0, np.cos(t), np.sin(t))
        sheared = make_grid((60, 40, 48), (2.0, 2.1, 1.7), (1, 0, 0), along_j, (0, 0, 1))
        yield of_kind(
            angle, lambda f, g=sheared: write_all(f / "scan", datasets(g)), GroundTruth("answer", sheared, True)
        )
    for angle in (45, 60):
        t = np.deg2rad(angle)
        sheared = make_grid((60, 40, 48), (2.0, 2.1, 1.7), (1, 0, 0), (0, np.cos(t), np.sin(t)), (0, 0, 1))
        yield of_kind(
            angle, lambda f, g=sheared: write_all(f / "scan", datasets(g)), GroundTruth("either", sheared, True)
        )
    t = np.deg2rad(12)
    swivel = make_grid((60, 40, 48), (2.0, 2.1, 1.7), (np.cos(t), 0, np.sin(t)), (0, 1, 0), (0, 0, 1))
    yield of_kind("swivel-12", lambda f: write_all(f / "scan", datasets(swivel)), GroundTruth("answer", swivel, True))


def orientation() -> Iterator[Case]:
    c, s = np.cos(np.deg2rad(25)), np.sin(np.deg2rad(25))
    u = np.array([[c, s, 0], [-s * c, c * c, s]])
    for name, (i, j, k) in {
        "prone": ((-1, 0, 0), (0, -1, 0), None),
        "feet-first": ((-1, 0, 0), (0, 1, 0), None),
        "flipped-rows": ((1, 0, 0), (0, -1, 0), None),
        "feet-first-prone": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
        "quarter-turn": ((0, 1, 0), (-1, 0, 0), None),
        "decubitus": ((0, -1, 0), (1, 0, 0), None),
        "stored-from-the-head": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
        "oblique-25": ((c, s, 0), (-s, c, 0), None),
        "oblique-two": (tuple(u[0]), tuple(u[1]), None),
        "oblique-5": ((1, 0, 0), (0, np.cos(0.087), np.sin(0.087)), None),
    }.items():
        grid = make_grid((60, 44, 48), (2.0, 2.0, 1.8), i, j, k)
        yield case(
            "orientation", name, lambda f, g=grid: write_all(f / "scan", datasets(g)), GroundTruth("answer", grid)
        )


def damaged_geometry() -> Iterator[Case]:
    position, direction, spacing = "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"
    for key in (position, direction, spacing):
        for place, which in PLACES.items():
            ground_truth = a_few_else("answer", "either", place) if place != "all" else REFUSE
            yield case(f"missing-{key}", place, setting(which, **{key: None}), ground_truth)
        yield case(f"missing-{key}", "empty", raw_text(everywhere, key, ""), REFUSE)
        for name, text in {
            "nan": "nan\\nan\\nan",
            "inf": "inf\\0\\0",
            "words": "a\\b\\c",
            "one-number": "1",
            "commas": "1,5\\2,5",
        }.items():
            yield case(f"bad-{key}", name, raw_text(everywhere, key, text), REFUSE)
            if name != "one-number":
                yield case(
                    f"bad-{key}",
                    f"{name}-in-one",
                    raw_text(at(MIDDLE), key, text),
                    a_few_else("answer", "either", "one"),
                )
    for place, which in PLACES.items():
        if place == "all":
            continue
        few = a_few_else("answer", "either", place)
        yield case(
            "changing-orientation", place, setting(which, ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"]), few
        )
        yield case(
            "changing-orientation",
            f"{place}-flipped",
            setting(which, ImageOrientationPatient=["-1", "0", "0", "0", "1", "0"]),
            few,
        )
        yield case("changing-spacing", place, setting(which, PixelSpacing=["2.3", "1.9"]), few)
        yield case("changing-spacing", f"{place}-swapped", setting(which, PixelSpacing=["1.7", "2.1"]), few)

        def smaller(k: int, ds: Dataset, which: Callable[[int], bool] = which) -> None:
            if which(k):
                plane = stored(ds)[:32, :36]
                ds.Rows, ds.Columns = plane.shape
                store(ds, plane, np.int16)

        yield case("changing-size", place, changed(smaller), few)

        def swapped(k: int, ds: Dataset, which: Callable[[int], bool] = which) -> None:
            if which(k):
                ds.Rows, ds.Columns = ds.Columns, ds.Rows

        yield case("changing-size", f"{place}-swapped", changed(swapped), few)
    for name, value in {
        "zero": ["0"] * 6,
        "parallel": ["1", "0", "0", "1", "0", "0"],
        "long": ["2", "0", "0", "0", "2", "0"],
        "slanted": ["1", "0", "0", "0.5", "0.8660254", "0"],
        "huge": ["1e30", "0", "0", "0", "1", "0"],
    }.items():
        yield case("bad-ImageOrientationPatient", name, setting(everywhere, ImageOrientationPatient=value), REFUSE)
    for name, values in {
        "zero": ["0", "0"],
        "negative": ["-2.1", "1.7"],
        "huge": ["1e9", "1e9"],
        "tiny": ["1e-9", "1e-9"],
        "one-zero": ["2.1", "0"],
        "metres": ["0.0021", "0.0017"],
    }.items():
        yield case("bad-PixelSpacing", name, setting(everywhere, PixelSpacing=values), REFUSE)

    def moved(shift: Callable[[int], Array]) -> Build:
        def change(k: int, ds: Dataset) -> None:
            ds.ImagePositionPatient = [f"{a:.8g}" for a in np.array(ds.ImagePositionPatient, float) + shift(k)]

        return changed(change)

    rng = np.random.default_rng(5)
    jitter = rng.uniform(-9, 9, (60, 3)) * (1, 1, 0)
    of_kind = partial(case, "bad-ImagePositionPatient")
    yield of_kind("all-equal", setting(everywhere, ImagePositionPatient=["0", "0", "0"]), REFUSE)
    yield of_kind("far-away", moved(lambda k: np.array([0, 0, 1e7])), REFUSE)
    yield of_kind("jitter-in-plane", moved(lambda k: jitter[k]), REFUSE)
    yield of_kind("one-slice-away", moved(lambda k: np.array([0, 0, 500.0 * (k == 9)])), EITHER)
    yield of_kind("one-slice-sideways", moved(lambda k: np.array([40.0 * (k == 9), 0, 0])), EITHER)
    yield of_kind("a-step-sideways", moved(lambda k: np.array([15.0 * (k > 30), 0, 0])), EITHER)
    yield of_kind("two-numbers", raw_text(everywhere, position, "1\\2"), REFUSE)
    yield case("missing-geometry", "z-only-from-slice-location", changed(_location_only), REFUSE)
    of_kind = partial(case, "bad-size")
    for rows, columns in ((0, 48), (40, 0), (65535, 65535), (41, 48)):
        yield of_kind(f"{rows}x{columns}", setting(everywhere, Rows=rows, Columns=columns), REFUSE)
        yield of_kind(f"{rows}x{columns}-in-one", setting(at(MIDDLE), Rows=rows, Columns=columns), EITHER)
    yield of_kind("rows-missing", setting(everywhere, Rows=None), REFUSE)


def _location_only(k: int, ds: Dataset) -> None:
    del ds.ImagePositionPatient
    ds.SliceLocation = str(2 * k)
