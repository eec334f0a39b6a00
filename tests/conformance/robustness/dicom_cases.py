"""DICOM folders, each with one thing that real exports, scanners or attackers do."""

from __future__ import annotations

import copy
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.conformance.robustness.analytic_phantom import Array, Grid, hu_at, make_grid
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.decompression_bombs import deflated_zeros
from tests.conformance.robustness.dicom_files import (
    INTERCEPT,
    ROOT,
    Change,
    datasets,
    store,
    stored,
    strip_slice,
    write_all,
    write_one,
)
from tests.conformance.robustness.judge import Expect, Truth

Build = Callable[[Path], Path]
GRID = make_grid()
FINE = make_grid((120, 40, 48), (1.0, 2.1, 1.7))
ANSWER, REFUSE, EITHER = (Truth(e, GRID) for e in ("answer", "refuse", "either"))
MIDDLE = 27
UIDS = {
    "secondary": "1.2.840.10008.5.1.4.1.1.7",
    "dose": "1.2.840.10008.5.1.4.1.1.88.67",
    "enhanced": "1.2.840.10008.5.1.4.1.1.2.1",
    "dicomdir": "1.2.840.10008.1.3.10",
    "mr": "1.2.840.10008.5.1.4.1.1.4",
    "pet": "1.2.840.10008.5.1.4.1.1.128",
    "state": "1.2.840.10008.5.1.4.1.1.11.1",
}


@lru_cache(maxsize=2)
def _hu(grid_id: int) -> np.ndarray:
    return (GRID if grid_id == 0 else FINE).hu()


def sound(grid: Grid = GRID) -> list[Dataset]:
    return datasets(grid, _hu(0 if grid is GRID else 1))


def case(kind: str, name: object, build: Build, truth: Truth) -> Case:
    return Case(kind, str(name), "dicom", build, truth)


def changed(change: Change, grid: Grid = GRID) -> Build:
    """A sound series whose dataset k went through `change(k, dataset)`; False leaves the file out."""

    def build(folder: Path) -> Path:
        made: list[Dataset | None] = []
        for k, ds in enumerate(sound(grid)):
            made.append(None if change(k, ds) is False else ds)
        return write_all(folder / "scan", made)

    return build


def setting(which: Callable[[int], bool], **values: object) -> Build:
    """A sound series with some elements set, or deleted where the value is None, in some slices."""

    def change(k: int, ds: Dataset) -> None:
        for key, value in values.items() if which(k) else ():
            if value is None:
                delattr(ds, key)
            else:
                setattr(ds, key, value)

    return changed(change)


def raw_text(which: Callable[[int], bool], key: str, text: str) -> Build:
    """A sound series with the text of one element replaced as bytes, valid or not."""

    def change(k: int, ds: Dataset) -> None:
        if which(k):
            ds[key].VR = "LO"  # pydicom checks numbers, not words
            ds[key].value = text

    return changed(change)


def spoiled(spoil: Callable[[Path, bytes], bytes | None], some: Sequence[int]) -> Build:
    """A sound series, the bytes of some of its files replaced; None removes the file."""

    def build(folder: Path) -> Path:
        write_all(folder / "scan", sound(), lambda k: f"{k:03d}.dcm")
        for k in some:
            path = folder / "scan" / f"{k:03d}.dcm"
            blob = spoil(path, path.read_bytes())
            path.unlink()
            if blob is not None:
                path.write_bytes(blob)
        return folder / "scan"

    return build


def beside(add: Callable[[Path], object]) -> Build:
    """A sound series, and what `add` puts into its folder."""

    def build(folder: Path) -> Path:
        write_all(folder / "scan", sound())
        add(folder / "scan")
        return folder / "scan"

    return build


def everywhere(k: int) -> bool:
    return True


def at(*some: int) -> Callable[[int], bool]:
    return lambda k: k in some


def half(k: int) -> bool:
    return k >= 30


PLACES = {"one": at(MIDDLE), "three": at(5, 30, 31), "half": half, "all": everywhere}


def a_few_else(few: Expect, many: Expect, place: str) -> Truth:
    """Slices that count as missing: one in sixty may be filled."""
    return Truth(few if place == "one" else many, GRID)


# ---- what a series consists of -----------------------------------------------------------------------------


def plain() -> Iterator[Case]:
    yield case("sound", "signed", changed(lambda k, ds: None), ANSWER)
    yield case("sound", "fine", changed(lambda k, ds: None, FINE), Truth("answer", FINE))

    def whole_hu(k: int, ds: Dataset) -> None:
        ds.RescaleIntercept = 0
        store(ds, stored(ds) + INTERCEPT, np.int16)

    yield case("sound", "intercept-0", changed(whole_hu), ANSWER)
    for name, make in {
        "hex": lambda k: f"{(k * 7919) % 65521:04x}{k:02x}",
        "upper-case": lambda k: f"IM{(k * 31) % 61:02d}{k}.DCM",
        "ima": lambda k: f"CT.1.2.{k}.IMA",
        "spaces-and-quotes": lambda k: f"a 'b' \"c\" ${k}; .dcm",
        "newline": lambda k: f"a\nb{k}.dcm",
        "emoji": lambda k: f"\U0001fac1{k}é.dcm",
        "leading-dash": lambda k: f"-{k}.dcm",
        "option-like": lambda k: f"--help{k}.dcm",
        "angle": lambda k: f"<script>{k}.dcm",
    }.items():
        yield case("file-names", name, lambda f, m=make: write_all(f / "scan", sound(), m), ANSWER)


def missing() -> Iterator[Case]:
    one = {"first": [0], "last": [59], "middle": [MIDDLE], "second": [1], "second-last": [58]}
    for name, gone in one.items():
        grid = GRID.part(1, 60) if gone == [0] else GRID.part(0, 59) if gone == [59] else GRID
        yield case("missing-slices", f"1-{name}", changed(lambda k, ds, g=gone: k not in g), Truth("answer", grid))
    for count in (2, 3, 4, 5, 10, 30):
        gone = list(range(20, 20 + count))
        yield case("missing-slices", f"{count}-adjacent", changed(lambda k, ds, g=gone: k not in g), EITHER)
    for count in (2, 3, 6, 15):
        gone = np.linspace(3, 56, count).astype(int).tolist()
        yield case("missing-slices", f"{count}-spread", changed(lambda k, ds, g=gone: k not in g), EITHER)
    fine = Truth("answer", FINE)
    for name, gone in {"2-of-120-adjacent": [50, 51], "2-of-120-apart": [20, 90], "1-of-120": [70]}.items():
        yield case("missing-slices", name, changed(lambda k, ds, g=gone: k not in g, FINE), fine)
    yield case(
        "missing-slices",
        "3-of-120-adjacent",
        changed(lambda k, ds: k not in (50, 51, 52), FINE),
        Truth("either", FINE),
    )
    twice = make_grid((30, 40, 48), (4.0, 2.1, 1.7), shift_mm=(0, 0, -1))
    yield case("missing-slices", "every-second", changed(lambda k, ds: k % 2 == 0), Truth("answer", twice))
    for count in (1, 2):
        yield case("too-few-slices", count, changed(lambda k, ds, n=count: k < n), REFUSE)
    yield case("missing-slices", "random-half", changed(lambda k, ds: (k * 29) % 61 < 31), EITHER)


def duplicates() -> Iterator[Case]:
    for name, some in {"one": [MIDDLE], "five": [3, 4, 5, 30, 59], "all": range(60)}.items():

        def build(folder: Path, some: Sequence[int] = tuple(some)) -> Path:
            made = sound()
            return write_all(folder / "scan", made + [copy.deepcopy(made[k]) for k in some], lambda k: f"{k:04d}.dcm")

        yield case("duplicate-slices", f"copies-{name}", build, ANSWER)

    def other_pixels(folder: Path, count: int, acquisition: int) -> Path:
        made = sound()
        for k in range(10, 10 + count):
            other = copy.deepcopy(made[k])
            other.AcquisitionNumber, other.SOPInstanceUID = acquisition, UID(f"{ROOT}.5.{k}")
            store(other, stored(other)[::-1], np.int16)
            made.append(other)
        return write_all(folder / "scan", made, lambda k: f"{k:04d}.dcm")

    for count in (1, 6, 50):
        yield case("duplicate-slices", f"other-pixels-{count}", lambda f, n=count: other_pixels(f, n, 1), EITHER)
        yield case("two-acquisitions", f"other-pixels-{count}", lambda f, n=count: other_pixels(f, n, 2), ANSWER)

    def two(folder: Path, first: int, stop: int, shift: float, change_hu: int) -> Path:
        other = make_grid(shift_mm=(0, 0, shift)).part(first, stop)
        more = datasets(other, np.maximum(other.hu() + change_hu, -1024), acquisition=2)
        return write_all(folder / "scan", sound() + more, lambda k: f"{k:04d}.dcm")

    for name, (first, stop, shift, more) in {
        "interleaved": (0, 50, 0.7, 0),
        "same-places-brighter": (5, 45, 0.0, 60),
        "overlap-at-the-end": (40, 60, 1.1, 0),
        "half-a-step": (0, 58, 1.0, 60),
    }.items():
        yield case("two-acquisitions", name, lambda f, a=(first, stop, shift, more): two(f, *a), ANSWER)

    def same_id(folder: Path) -> Path:
        return write_all(folder / "scan", [_set(ds, SOPInstanceUID=UID(f"{ROOT}.1")) for ds in sound()])

    yield case("uids", "one-instance-uid-for-all", same_id, ANSWER)
    yield case("uids", "series-uid-missing", setting(everywhere, SeriesInstanceUID=None), EITHER)
    yield case("uids", "one-series-uid-missing", setting(at(MIDDLE), SeriesInstanceUID=None), EITHER)
    yield case(
        "uids",
        "a-series-uid-each",
        changed(lambda k, ds: setattr(ds, "SeriesInstanceUID", UID(f"{ROOT}.6.{k}"))),
        EITHER,
    )
    yield case("uids", "study-uid-missing", setting(everywhere, StudyInstanceUID=None), EITHER)
    yield case("uids", "not-a-uid", raw_text(everywhere, "SeriesInstanceUID", "../../etc/x"), EITHER)


def _set(ds: Dataset, **values: object) -> Dataset:
    for key, value in values.items():
        setattr(ds, key, value)
    return ds


def mixed() -> Iterator[Case]:
    def add(more: Callable[[], list[Dataset]]) -> Build:
        return beside(lambda folder: [write_one(folder / f"z{k:03d}.dcm", ds) for k, ds in enumerate(more())])

    coronal = make_grid((30, 60, 48), (2.8, 2.0, 1.7), (1, 0, 0), (0, 0, -1))
    sagittal = make_grid((30, 60, 40), (2.7, 2.0, 2.1), (0, 1, 0), (0, 0, -1))
    thick = make_grid((15, 40, 48), (8.0, 2.1, 1.7))
    away = make_grid((20, 40, 48), (2.0, 2.1, 1.7), shift_mm=(0, 0, -300))
    for name, grid in {"coronal": coronal, "sagittal": sagittal, "thick": thick, "elsewhere": away}.items():
        yield case("mixed-series", name, add(lambda g=grid: datasets(g, series=2)), ANSWER)
    yield case(
        "mixed-series",
        "two-others",
        add(lambda: datasets(coronal, series=2) + datasets(thick, series=3)),
        ANSWER,
    )
    yield case(
        "mixed-series", "only-coronal", lambda f: write_all(f / "scan", datasets(coronal)), Truth("answer", coronal)
    )
    yield case(
        "mixed-series", "only-sagittal", lambda f: write_all(f / "scan", datasets(sagittal)), Truth("answer", sagittal)
    )
    yield case(
        "mixed-series",
        "other-patient",
        add(
            lambda: [
                _set(ds, PatientID="other", StudyInstanceUID=UID(f"{ROOT}.77")) for ds in datasets(thick, series=4)
            ]
        ),
        ANSWER,
    )
    yield case("mixed-series", "derived-copy", add(lambda: _derived()), ANSWER)

    def localizer(same_series: bool) -> list[Dataset]:
        scout = make_grid((1, 70, 48), (1.0, 2.0, 1.7), (1, 0, 0), (0, 0, -1))
        made = datasets(scout, series=1 if same_series else 9, acquisition=0)
        return [_set(ds, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], InstanceNumber=0) for ds in made]

    yield case("localizer", "own-series", add(lambda: localizer(False)), ANSWER)
    yield case("localizer", "same-series", add(lambda: localizer(True)), ANSWER)
    yield case(
        "localizer",
        "not-said-in-image-type",
        add(lambda: [_set(d, ImageType=["DERIVED", "PRIMARY"]) for d in localizer(False)]),
        ANSWER,
    )
    yield case("localizer", "alone", lambda f: write_all(f / "scan", localizer(False)), REFUSE)

    def capture(colour: bool) -> list[Dataset]:
        ds = sound()[0]
        strip_slice(ds)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(UIDS["secondary"])
        ds.SeriesInstanceUID, ds.ImageType = UID(f"{ROOT}.8.20"), ["DERIVED", "SECONDARY"]
        ds.Rows, ds.Columns = 64, 64
        store(ds, np.zeros((64, 64 * (3 if colour else 1))), np.uint8)
        if colour:
            ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        return [ds]

    yield case("secondary-capture", "grey", add(lambda: capture(False)), ANSWER)
    yield case("secondary-capture", "colour", add(lambda: capture(True)), ANSWER)
    yield case(
        "secondary-capture",
        "in-the-series",
        add(lambda: [_set(d, SeriesInstanceUID=UID(f"{ROOT}.8.1")) for d in capture(False)]),
        EITHER,
    )
    yield case("secondary-capture", "alone", lambda f: write_all(f / "scan", capture(True)), REFUSE)
    for kind, (uid, modality) in {
        "dose-report": (UIDS["dose"], "SR"),
        "presentation-state": (UIDS["state"], "PR"),
    }.items():
        yield case("no-image-object", kind, add(lambda u=uid, m=modality: [_report(u, m)]), ANSWER)
        yield case(
            "no-image-object",
            f"{kind}-alone",
            lambda f, u=uid, m=modality: write_all(f / "scan", [_report(u, m)]),
            REFUSE,
        )
    for modality in ("MR", "PT"):
        uid = UID(UIDS["mr" if modality == "MR" else "pet"])

        def other(k: int, ds: Dataset, modality: str = modality, uid: UID = uid) -> None:
            ds.Modality, ds.SOPClassUID, ds.file_meta.MediaStorageSOPClassUID = modality, uid, uid

        yield case("other-modality", f"{modality}-alone", changed(other), REFUSE)
    yield case("other-modality", "modality-missing", setting(everywhere, Modality=None), EITHER)
    yield case("other-modality", "modality-empty", setting(everywhere, Modality=""), EITHER)
    yield case("other-modality", "class-missing", setting(everywhere, SOPClassUID=None), EITHER)

    def colour(k: int, ds: Dataset) -> None:
        grey = (np.clip(stored(ds) // 8, 0, 255)).astype(np.uint8)
        store(ds, np.repeat(grey[..., None], 3, -1), np.uint8)
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0

    yield case("colour", "rgb", changed(colour), REFUSE)
    yield case("colour", "one-slice", changed(lambda k, ds: colour(k, ds) if k == MIDDLE else None), EITHER)
    yield case("colour", "monochrome1", setting(everywhere, PhotometricInterpretation="MONOCHROME1"), EITHER)
    yield case("colour", "palette", setting(everywhere, PhotometricInterpretation="PALETTE COLOR"), EITHER)
    yield case("colour", "photometric-missing", setting(everywhere, PhotometricInterpretation=None), EITHER)


def _derived() -> list[Dataset]:
    made = datasets(GRID, np.maximum(_hu(0) + 80, -1024), series=5)
    return [_set(ds, ImageType=["DERIVED", "SECONDARY", "AXIAL"]) for ds in made]


def _report(uid: str, modality: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = UID(uid), UID(f"{ROOT}.30"), modality
    ds.SeriesInstanceUID, ds.StudyInstanceUID = UID(f"{ROOT}.8.30"), UID(f"{ROOT}.7")
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = UID(uid), ds.SOPInstanceUID
    return ds


# ---- geometry ----------------------------------------------------------------------------------------------


def order() -> Iterator[Case]:
    for name, number in {
        "permuted": lambda k: (k * 17) % 61,
        "reversed": lambda k: 60 - k,
        "all-equal": lambda k: 1,
        "negative": lambda k: -k,
        "huge": lambda k: 2147483000 + k,
    }.items():
        yield case(
            "instance-number", name, changed(lambda k, ds, n=number: setattr(ds, "InstanceNumber", n(k))), ANSWER
        )
    yield case("instance-number", "missing", setting(everywhere, InstanceNumber=None), ANSWER)
    yield case("instance-number", "words", raw_text(everywhere, "InstanceNumber", "abc"), ANSWER)
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

        yield case("non-uniform-spacing", name, build, Truth("either" if expect == "refuse" else expect, grid, False))


def tilt() -> Iterator[Case]:
    for angle in (-30, -20, -10, -5, -1, 2, 5, 10, 15, 20, 30):
        t = np.deg2rad(angle)
        along_j = (0, np.cos(t), np.sin(t))
        sheared = make_grid((60, 40, 48), (2.0, 2.1, 1.7), (1, 0, 0), along_j, (0, 0, 1))
        yield case(
            "gantry-tilt",
            angle,
            lambda f, g=sheared: write_all(f / "scan", datasets(g)),
            Truth("answer", sheared, True),
        )
    for angle in (45, 60):
        t = np.deg2rad(angle)
        sheared = make_grid((60, 40, 48), (2.0, 2.1, 1.7), (1, 0, 0), (0, np.cos(t), np.sin(t)), (0, 0, 1))
        yield case(
            "gantry-tilt",
            angle,
            lambda f, g=sheared: write_all(f / "scan", datasets(g)),
            Truth("either", sheared, True),
        )
    t = np.deg2rad(12)
    swivel = make_grid((60, 40, 48), (2.0, 2.1, 1.7), (np.cos(t), 0, np.sin(t)), (0, 1, 0), (0, 0, 1))
    yield case(
        "gantry-tilt", "swivel-12", lambda f: write_all(f / "scan", datasets(swivel)), Truth("answer", swivel, True)
    )


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
        yield case("orientation", name, lambda f, g=grid: write_all(f / "scan", datasets(g)), Truth("answer", grid))


def damaged_geometry() -> Iterator[Case]:
    position, direction, spacing = "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"
    for key in (position, direction, spacing):
        for place, which in PLACES.items():
            truth = a_few_else("answer", "either", place) if place != "all" else REFUSE
            yield case(f"missing-{key}", place, setting(which, **{key: None}), truth)
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
    yield case(
        "bad-ImagePositionPatient", "all-equal", setting(everywhere, ImagePositionPatient=["0", "0", "0"]), REFUSE
    )
    yield case("bad-ImagePositionPatient", "far-away", moved(lambda k: np.array([0, 0, 1e7])), REFUSE)
    yield case("bad-ImagePositionPatient", "jitter-in-plane", moved(lambda k: jitter[k]), REFUSE)
    yield case(
        "bad-ImagePositionPatient", "one-slice-away", moved(lambda k: np.array([0, 0, 500.0 * (k == 9)])), EITHER
    )
    yield case(
        "bad-ImagePositionPatient", "one-slice-sideways", moved(lambda k: np.array([40.0 * (k == 9), 0, 0])), EITHER
    )
    yield case(
        "bad-ImagePositionPatient", "a-step-sideways", moved(lambda k: np.array([15.0 * (k > 30), 0, 0])), EITHER
    )
    yield case("bad-ImagePositionPatient", "two-numbers", raw_text(everywhere, position, "1\\2"), REFUSE)
    yield case("missing-geometry", "z-only-from-slice-location", changed(_location_only), REFUSE)
    for rows, columns in ((0, 48), (40, 0), (65535, 65535), (41, 48)):
        yield case("bad-size", f"{rows}x{columns}", setting(everywhere, Rows=rows, Columns=columns), REFUSE)
        yield case("bad-size", f"{rows}x{columns}-in-one", setting(at(MIDDLE), Rows=rows, Columns=columns), EITHER)
    yield case("bad-size", "rows-missing", setting(everywhere, Rows=None), REFUSE)


def _location_only(k: int, ds: Dataset) -> None:
    del ds.ImagePositionPatient
    ds.SliceLocation = str(2 * k)


# ---- pixels ------------------------------------------------------------------------------------------------


def rescale() -> Iterator[Case]:
    yield case("rescale-missing", "all", setting(everywhere, RescaleSlope=None, RescaleIntercept=None), REFUSE)
    for place in ("one", "half"):
        yield case("rescale-missing", place, setting(PLACES[place], RescaleSlope=None, RescaleIntercept=None), EITHER)
    yield case("rescale-missing", "slope-only", setting(everywhere, RescaleIntercept=None), REFUSE)
    yield case("rescale-missing", "intercept-only", setting(everywhere, RescaleSlope=None), EITHER)

    def hu_without(k: int, ds: Dataset) -> None:
        store(ds, stored(ds) + INTERCEPT, np.int16)
        del ds.RescaleSlope, ds.RescaleIntercept

    yield case("rescale-missing", "values-are-hu", changed(hu_without), ANSWER)

    def varying(k: int, ds: Dataset) -> None:
        hu = stored(ds) + INTERCEPT
        slope, intercept = 1 + k % 3 * 0.5, -1024 + 7 * (k % 5)
        ds.RescaleSlope, ds.RescaleIntercept = f"{slope:.3g}", str(intercept)
        store(ds, np.rint((hu - intercept) / slope), np.int16)

    yield case("rescale-varying", "slope-and-intercept", changed(varying), ANSWER)
    yield case("rescale-varying", "fraction", changed(_halved), ANSWER)
    for name, value in {
        "nan": "nan",
        "inf": "inf",
        "0": "0",
        "negative": "-1",
        "words": "abc",
        "empty": "",
        "huge": "1e30",
        "tiny": "1e-30",
    }.items():
        yield case(
            "rescale-bad",
            f"slope-{name}",
            raw_text(everywhere, "RescaleSlope", value),
            EITHER if name == "empty" else REFUSE,
        )
        yield case("rescale-bad", f"slope-{name}-in-one", raw_text(at(MIDDLE), "RescaleSlope", value), EITHER)
    for name, value in {"nan": "nan", "inf": "-inf", "words": "abc", "huge": "1e30", "12345678": "12345678"}.items():
        yield case("rescale-bad", f"intercept-{name}", raw_text(everywhere, "RescaleIntercept", value), REFUSE)


def _halved(k: int, ds: Dataset) -> None:
    hu = stored(ds) + INTERCEPT
    ds.RescaleSlope, ds.RescaleIntercept = "0.25", "-1000.5"
    store(ds, np.rint((hu + 1000.5) / 0.25), np.int16)


def padding() -> Iterator[Case]:
    y, x = np.ogrid[:40, :48]
    outside = np.hypot((y - 19.5) / 19.5, (x - 23.5) / 23.5) > 1

    def field(points: Array) -> Array:
        index = (points - GRID.affine[:3, 3]) / GRID.spacing_zyx_mm[::-1]
        far = np.hypot((index[..., 1] - 19.5) / 19.5, (index[..., 0] - 23.5) / 23.5) > 0.93
        return np.where(far, np.nan, hu_at(points))

    truth = Truth("answer", GRID, True, field)
    for raw, said in (
        (-2000, -2000),
        (-3024, None),
        (-1500, None),
        (-2000, -32768),
        (-32768, -32768),
        (0, None),
        (-1000, 0),
        (32767, 32767),
        (-2000, 63536),
    ):

        def change(k: int, ds: Dataset, raw: int = raw, said: int | None = said) -> None:
            store(ds, np.where(outside, raw, stored(ds)), np.int16)
            if said is not None:
                ds.add_new(0x00280120, "US" if said > 32767 else "SS", said)

        yield case("padding", f"{raw}-said-{said}", changed(change), truth)
    for said in (1024 - 850, 1064, 24):
        yield case(
            "padding", f"a-real-value-{said}", changed(lambda k, ds, v=said: ds.add_new(0x00280120, "SS", v)), ANSWER
        )


def bits() -> Iterator[Case]:
    def as_type(dtype: type, stored_bits: int | None = None, slope: float = 1.0) -> Change:
        def change(k: int, ds: Dataset) -> None:
            ds.RescaleSlope = f"{slope:g}"
            store(ds, np.rint(stored(ds) / slope), dtype, stored_bits)

        return change

    yield case("bits", "unsigned-16", changed(as_type(np.uint16)), ANSWER)
    yield case("bits", "unsigned-12-of-16", changed(as_type(np.uint16, 12)), ANSWER)
    yield case("bits", "signed-13-of-16", changed(as_type(np.int16, 13)), ANSWER)
    yield case("bits", "unsigned-8", changed(as_type(np.uint8, 8, 8.0)), Truth("either", GRID, tolerance_hu=6))
    yield case("bits", "signed-32", changed(as_type(np.int32)), EITHER)
    yield case("bits", "unsigned-32", changed(as_type(np.uint32)), EITHER)

    def overlay(k: int, ds: Dataset) -> None:
        plane = stored(ds)
        plane[5:20, 10:30] |= 0xF000
        store(ds, plane, np.uint16, 12)

    yield case("bits", "overlay-above-12", changed(overlay), ANSWER)

    def high(k: int, ds: Dataset) -> None:
        store(ds, stored(ds) << 4, np.uint16)
        ds.BitsStored, ds.HighBit = 12, 15

    yield case("bits", "12-at-the-top", changed(high), EITHER)

    def signed_12(k: int, ds: Dataset) -> None:
        store(ds, np.clip(stored(ds) + INTERCEPT, -2048, 2047) & 0xFFF, np.uint16, 12)
        ds.PixelRepresentation, ds.RescaleIntercept = 1, 0

    yield case("bits", "signed-12-not-extended", changed(signed_12), ANSWER)
    for key, value in {
        "BitsStored": 17,
        "BitsAllocated": 12,
        "HighBit": 3,
        "PixelRepresentation": 2,
        "SamplesPerPixel": 0,
    }.items():
        yield case("bits-bad", f"{key}-{value}", setting(everywhere, **{key: value}), REFUSE)
        yield case("bits-bad", f"{key}-missing", setting(everywhere, **{key: None}), EITHER)
    yield case("bits-bad", "signedness-changes", setting(half, PixelRepresentation=0), EITHER)

    def floating(k: int, ds: Dataset) -> None:
        values = (stored(ds) + INTERCEPT).astype("<f4")
        del ds.PixelData
        ds.add_new(0x7FE00008, "OF", values.tobytes())
        ds.BitsAllocated, ds.RescaleIntercept = 32, 0

    yield case("bits", "float-pixels", changed(floating), EITHER)


def syntaxes() -> Iterator[Case]:
    def compressed(syntax: UID, dtype: type = np.int16, **options: object) -> Change:
        def change(k: int, ds: Dataset) -> None:
            store(ds, stored(ds), dtype, 16)
            ds.compress(syntax, generate_instance_uid=False, **options)

        return change

    def native(syntax: UID) -> Change:
        def change(k: int, ds: Dataset) -> None:
            ds.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()

        return change

    yield case("transfer-syntax", "implicit", changed(native(ImplicitVRLittleEndian)), ANSWER)
    yield case("transfer-syntax", "big-endian", changed(native(ExplicitVRBigEndian)), ANSWER)
    yield case("transfer-syntax", "deflated", changed(native(DeflatedExplicitVRLittleEndian)), ANSWER)
    yield case("transfer-syntax", "rle", changed(compressed(RLELossless)), ANSWER)
    for dtype in (np.int16, np.uint16):
        word = np.dtype(dtype).name
        yield case("transfer-syntax", f"jpeg-ls-{word}", changed(compressed(JPEGLSLossless, dtype)), ANSWER)
        yield case("transfer-syntax", f"jpeg-2000-{word}", changed(compressed(JPEG2000Lossless, dtype)), ANSWER)
    lossy = Truth("answer", GRID, tolerance_hu=60)
    yield case(
        "transfer-syntax", "jpeg-ls-near", changed(compressed(JPEGLSNearLossless, np.uint16, jls_error=3)), lossy
    )
    yield case("transfer-syntax", "jpeg-2000-lossy", changed(compressed(JPEG2000, np.uint16, j2k_psnr=[70])), lossy)
    yield case(
        "transfer-syntax", "mixed", changed(lambda k, ds: compressed(RLELossless)(k, ds) if k % 2 else None), ANSWER
    )
    yield case("transfer-syntax", "lossy-flag", setting(everywhere, LossyImageCompression="01"), ANSWER)
    for name, uid in {
        "mpeg": "1.2.840.10008.1.2.4.100",
        "private": "1.2.840.113619.5.2",
        "invented": "1.2.3.4.5",
    }.items():
        yield case("unknown-syntax", name, changed(lambda k, ds, u=uid: _claim(ds, u)), REFUSE)
        yield case(
            "unknown-syntax",
            f"{name}-in-one",
            changed(lambda k, ds, u=uid: _claim(ds, u) if k == MIDDLE else None),
            EITHER,
        )

    def lie(claimed: UID, really: UID) -> Build:
        def build(folder: Path) -> Path:
            write_all(folder / "scan", [_compress(ds, really) for ds in sound()], lambda k: f"{k:03d}.dcm")
            for path in sorted((folder / "scan").iterdir()):
                blob = path.read_bytes()
                size = len(str(really)) + len(str(really)) % 2
                path.write_bytes(
                    blob.replace(str(really).encode().ljust(size, b"\0"), str(claimed).encode().ljust(size, b"\0"), 1)
                )
            return folder / "scan"

        return build

    yield case("syntax-lies", "rle-said-to-be-jpeg-ls", lie(UID("1.2.840.10008.1.2.9"), RLELossless), REFUSE)
    yield case("syntax-lies", "jpeg-2000-said-to-be-jpeg-ls", lie(JPEGLSLossless, JPEG2000Lossless), EITHER)

    def other_size(k: int, ds: Dataset) -> None:
        compressed(JPEG2000Lossless, np.uint16)(k, ds)
        ds.Rows, ds.Columns = 20, 24

    yield case("syntax-lies", "stream-larger-than-the-header", changed(other_size), REFUSE)

    def no_syntax(path: Path, blob: bytes) -> bytes:
        at_ = blob.index(b"\x02\x00\x10\x00UI")
        length = struct.unpack("<H", blob[at_ + 6 : at_ + 8])[0]
        total = struct.unpack("<I", blob[140:144])[0] - 8 - length
        return blob[:140] + struct.pack("<I", total) + blob[144:at_] + blob[at_ + 8 + length :]

    yield case("preamble", "no-syntax", spoiled(no_syntax, range(60)), EITHER)
    yield case("preamble", "no-dicm", spoiled(lambda p, b: b[132:], range(60)), EITHER)
    yield case("preamble", "other-mark", spoiled(lambda p, b: b[:128] + b"DICX" + b[132:], range(60)), REFUSE)
    yield case(
        "preamble",
        "group-length-wrong",
        spoiled(lambda p, b: b[:140] + b"\x04\x00\x00\x00" + b[144:], range(60)),
        EITHER,
    )
    yield case(
        "preamble",
        "group-length-huge",
        spoiled(lambda p, b: b[:140] + b"\xff\xff\xff\x7f" + b[144:], range(60)),
        EITHER,
    )
    yield case("preamble", "filled", spoiled(lambda p, b: b"II*\0" + b[4:], range(60)), ANSWER)
    yield case(
        "preamble",
        "no-meta",
        spoiled(lambda p, b: b[:132] + b[144 + struct.unpack("<I", b[140:144])[0] :], range(60)),
        EITHER,
    )


def _claim(ds: Dataset, uid: str) -> None:
    ds.file_meta.TransferSyntaxUID = UID(uid)
    if UID(uid).is_transfer_syntax and UID(uid).is_compressed:
        ds.PixelData = pydicom.encaps.encapsulate([ds.PixelData])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True


def _compress(ds: Dataset, syntax: UID) -> Dataset:
    ds.compress(syntax, generate_instance_uid=False)
    return ds


def damaged_files() -> Iterator[Case]:
    some = {
        "one": [MIDDLE],
        "three": [5, 30, 31],
        "ten": range(20, 30),
        "half": range(0, 60, 2),
        "all": range(60),
        "last": [59],
    }
    for name, which in some.items():
        expect: Expect = {"one": "answer", "last": "answer", "all": "refuse"}.get(name, "either")  # type: ignore[assignment]
        truth = Truth(expect, GRID)
        for share in (0.05, 0.5, 0.97):
            yield case(
                "truncated", f"{name}-at-{share}", spoiled(lambda p, b, s=share: b[: int(len(b) * s)], which), truth
            )
        yield case("empty-files", name, spoiled(lambda p, b: b"", which), truth)
        yield case("header-only", name, spoiled(lambda p, b: b[: b.index(b"\xe0\x7f\x10\x00")], which), truth)
        yield case(
            "zeroed-tail",
            name,
            spoiled(lambda p, b: b[: len(b) // 2] + bytes(len(b) - len(b) // 2), which),
            Truth("either", GRID),
        )
    for name, spoil in {
        "text": lambda p, b: b"this is no image\n" * 40,
        "html-error-page": lambda p, b: b"<html>404</html>",
        "random": lambda p, b: np.random.default_rng(1).bytes(3000),
        "zeros": lambda p, b: bytes(len(b)),
        "mark-only": lambda p, b: bytes(128) + b"DICM",
        "crlf-transfer": lambda p, b: b.replace(b"\n", b"\r\n"),
        "cut-in-the-meta": lambda p, b: b[:150],
    }.items():
        yield case("not-dicom-named-dcm", f"{name}-one", spoiled(spoil, [MIDDLE]), EITHER)
        yield case(
            "not-dicom-named-dcm",
            f"{name}-all",
            spoiled(spoil, range(60)),
            EITHER if name == "crlf-transfer" else REFUSE,
        )

    def pixels(count: Callable[[int], int]) -> Change:
        return lambda k, ds: setattr(ds, "PixelData", ds.PixelData[: count(len(ds.PixelData))])

    yield case("pixel-data-length", "one-row-short", changed(pixels(lambda n: n - 96)), REFUSE)
    yield case("pixel-data-length", "empty", changed(pixels(lambda n: 0)), REFUSE)
    yield case(
        "pixel-data-length",
        "a-row-too-many",
        changed(lambda k, ds: setattr(ds, "PixelData", ds.PixelData + bytes(96))),
        EITHER,
    )
    yield case(
        "pixel-data-length",
        "two-bytes-too-many",
        changed(lambda k, ds: setattr(ds, "PixelData", ds.PixelData + bytes(2))),
        EITHER,
    )
    yield case("pixel-data-length", "twice", changed(lambda k, ds: setattr(ds, "PixelData", ds.PixelData * 2)), EITHER)


def beside_the_scan() -> Iterator[Case]:
    files = {
        "Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(900),
        "readme.txt": b"hello",
        "report.pdf": b"%PDF-1.4",
        "scan.zip": b"PK\3\4",
        ".DS_Store": bytes(40),
        "empty": b"",
        "DICOMDIR": bytes(128) + b"DICM" + b"junk",
    }
    for name, blob in files.items():
        yield case("other-files", name, beside(lambda f, n=name, b=blob: (f / n).write_bytes(b)), ANSWER)
    yield case("other-files", "real-dicomdir", beside(_dicomdir), ANSWER)
    yield case(
        "other-files",
        "200-text-files",
        beside(lambda f: [(f / f"{k}.txt").write_text("x") for k in range(200)]),
        ANSWER,
    )
    yield case("other-files", "only-text", _only({"a.txt": b"x", "b.dcm": b"y"}), REFUSE)
    yield case("other-files", "empty-folder", _only({}), REFUSE)
    yield case("other-files", "only-dicomdir", lambda f: _dicomdir(_made(f / "scan")), REFUSE)
    yield case("special-files", "fifo", beside(lambda f: os.mkfifo(f / "a.dcm")), ANSWER)
    yield case("special-files", "folder-named-dcm", beside(lambda f: (f / "b.dcm").mkdir()), ANSWER)
    yield case("special-files", "socket", beside(_socket), ANSWER)
    yield case("special-files", "dangling-link", beside(lambda f: (f / "c.dcm").symlink_to("nowhere")), ANSWER)
    yield case("special-files", "link-in-a-circle", beside(lambda f: (f / "d.dcm").symlink_to(f / "d.dcm")), ANSWER)
    yield case("special-files", "link-to-own-folder", beside(lambda f: (f / "loop").symlink_to(f)), ANSWER)
    yield case("special-files", "link-to-dev-zero", beside(lambda f: (f / "e.dcm").symlink_to("/dev/zero")), ANSWER)
    yield case("special-files", "unreadable", beside(lambda f: sorted(f.iterdir())[3].chmod(0)), EITHER)
    yield case("special-files", "scan-is-a-fifo", _fifo, REFUSE)
    yield case("special-files", "scan-is-one-file", lambda f: _one_file(f), REFUSE)
    yield case("special-files", "links-to-the-slices", _links, ANSWER)
    yield case(
        "special-files",
        "sub-folder-with-another",
        beside(lambda f: write_all(f / "more", datasets(GRID.part(0, 8), series=3))),
        ANSWER,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _only(blobs: dict[str, bytes]) -> Build:
    def build(folder: Path) -> Path:
        scan = _made(folder / "scan")
        for name, blob in blobs.items():
            (scan / name).write_bytes(blob)
        return scan

    return build


def _dicomdir(folder: Path) -> Path:
    ds = _report(UIDS["dicomdir"], "OT")
    item = Dataset()
    item.DirectoryRecordType, item.ReferencedFileID = "IMAGE", ["..", "..", "etc", "passwd"]
    ds.DirectoryRecordSequence = Items([item])
    write_one(folder / "DICOMDIR", ds)
    return folder


def _socket(folder: Path) -> None:
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as end:
        try:
            os.chdir(folder)  # the path of a socket must be short
            end.bind("s.dcm")
        finally:
            os.chdir(here)


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "scan")
    return folder / "scan"


def _one_file(folder: Path) -> Path:
    write_one(folder / "scan.dcm", sound()[30])
    return folder / "scan.dcm"


def _links(folder: Path) -> Path:
    write_all(folder / "store", sound())
    scan = _made(folder / "scan")
    for path in (folder / "store").iterdir():
        (scan / path.name).symlink_to(path)
    return scan


def bombs() -> Iterator[Case]:
    def claims(**values: object) -> Change:
        return lambda k, ds: [setattr(ds, key, value) for key, value in values.items()] and None

    yield case("bomb", "65535-squared", changed(claims(Rows=65535, Columns=65535)), REFUSE)
    yield case("bomb", "2-billion-frames", changed(claims(NumberOfFrames="2147483647")), REFUSE)

    def rle(k: int, ds: Dataset) -> None:
        ds.Rows = ds.Columns = 2048
        segment = b"\x81\0" * (2048 * 2048 // 128)
        header = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
        ds.PixelData = pydicom.encaps.encapsulate([header + segment + segment])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = RLELossless

    yield case("bomb", "rle-2048-squared", changed(lambda k, ds: rle(k, ds) if k < 4 else False), REFUSE)

    def huge_stream(k: int, ds: Dataset) -> None:
        _compress(ds, JPEG2000Lossless)
        frame = bytearray(pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1))
        at_ = frame.index(b"\xff\x51")
        frame[at_ + 6 : at_ + 14] = struct.pack(">II", 60000, 60000)
        ds.PixelData = pydicom.encaps.encapsulate([bytes(frame)])

    yield case("bomb", "jpeg-2000-stream-60000-squared", changed(huge_stream), REFUSE)

    def deflated(folder: Path) -> Path:
        scan = write_all(folder / "scan", sound()[:4], lambda k: f"{k}.dcm")
        for path in scan.iterdir():
            ds = pydicom.dcmread(path)
            ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            write_one(path, ds)
            blob = path.read_bytes()
            start = 144 + struct.unpack("<I", blob[140:144])[0]
            body = zlib.decompress(blob[start:], -15)
            more = struct.pack("<HH2sHI", 0x7FE1, 0x10, b"OB", 0, 400 << 20)
            path.write_bytes(blob[:start] + deflated_zeros(body + more, 400))
        return scan

    yield case("bomb", "deflate-400-mb-a-file", deflated, REFUSE)

    def element(tag: int, size: int) -> Change:
        return lambda k, ds: ds.add_new(tag, "UN", b"\x20" * size) and None

    yield case(
        "huge-header",
        "5-mb-before-the-pixels",
        changed(lambda k, ds: element(0x00091010, 5 << 20)(k, ds) if k < 3 else None),
        EITHER,
    )
    yield case(
        "huge-header",
        "5000-private-elements",
        changed(
            lambda k, ds: (
                [ds.add_new(0x00110000 + 0x1000 + n, "LO", "x") for n in range(5000)] and None if k == 3 else None
            )
        ),
        EITHER,
    )

    def nested(depth: int) -> Change:
        def change(k: int, ds: Dataset) -> None:
            inner = Dataset()
            inner.CodeMeaning = "x"
            for _ in range(depth):
                outer = Dataset()
                outer.ConceptNameCodeSequence = Items([inner])
                inner = outer
            if k == 3:
                ds.ConceptNameCodeSequence = Items([inner])

        return change

    yield case("huge-header", "nested-60-deep", changed(nested(60)), EITHER)

    def deep(path: Path, blob: bytes) -> bytes:
        start = blob.index(b"\x28\x00\x02\x00US")
        level = struct.pack("<HH2sHI", 0x0020, 0x9111, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
            "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
        )
        return blob[:start] + level * 20000 + blob[start:]

    yield case("huge-header", "nested-20000-deep-in-one", spoiled(deep, [MIDDLE]), EITHER)

    def length(value: int) -> Callable[[Path, bytes], bytes]:
        def spoil(path: Path, blob: bytes) -> bytes:
            start = blob.index(b"\xe0\x7f\x10\x00OW") + 8
            return blob[:start] + struct.pack("<I", value) + blob[start + 4 :]

        return spoil

    for value in (0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF, 10):
        yield case("pixel-data-length", f"claims-{value:#x}", spoiled(length(value), range(60)), REFUSE)
        yield case("pixel-data-length", f"claims-{value:#x}-in-one", spoiled(length(value), [MIDDLE]), EITHER)


def text() -> Iterator[Case]:
    yield case("text", "non-ascii-name", setting(everywhere, PatientName="Мюллер^日本"), ANSWER)
    yield case("text", "script-name", setting(everywhere, PatientName="<script>alert(1)</script>"), ANSWER)
    yield case("text", "unknown-character-set", raw_text(everywhere, "SpecificCharacterSet", "ISO_IR 9999"), ANSWER)
    yield case("text", "latin-bytes", spoiled(lambda p, b: b.replace(b"Phantom", b"Ph\xe4nt\xf6m"), range(60)), ANSWER)
    yield case("text", "long-name", setting(everywhere, PatientComments="x" * 9000), ANSWER)
    yield case("text", "numbers-with-spaces", raw_text(everywhere, "PixelSpacing", " 2.1 \\ 1.7 "), ANSWER)
    yield case(
        "text",
        "long-decimals",
        raw_text(everywhere, "PixelSpacing", "2.10000000000000000000000\\1.70000000000000000000000"),
        ANSWER,
    )
    yield case("text", "bad-date", raw_text(everywhere, "StudyDate", "yesterday"), ANSWER)


def enhanced() -> Iterator[Case]:
    def build(folder: Path, geometry: bool) -> Path:
        hu = _hu(0)
        ds = sound()[0]
        strip_slice(ds)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(UIDS["enhanced"])
        ds.NumberOfFrames = len(hu)
        ds.PixelData = (hu.astype(np.int32) - INTERCEPT).astype("<i2").tobytes()
        frames = []
        for k in range(len(hu)):
            frame, place, plane, measures, value = (Dataset() for _ in range(5))
            place.ImagePositionPatient = [f"{p:.6g}" for p in GRID.affine[:3, 3] + k * GRID.affine[:3, 0]]
            plane.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
            measures.PixelSpacing, measures.SliceThickness = ["2.1", "1.7"], "2"
            value.RescaleIntercept, value.RescaleSlope, value.RescaleType = str(INTERCEPT), "1", "HU"
            if geometry:
                frame.PlanePositionSequence, frame.PlaneOrientationSequence = Items([place]), Items([plane])
                frame.PixelMeasuresSequence = Items([measures])
            frame.PixelValueTransformationSequence = Items([value])
            frames.append(frame)
        ds.PerFrameFunctionalGroupsSequence = Items(frames)
        return write_all(folder / "scan", [ds])

    yield case("enhanced-multi-frame", "with-geometry", lambda f: build(f, True), EITHER)
    yield case("enhanced-multi-frame", "without-geometry", lambda f: build(f, False), REFUSE)

    def both(folder: Path) -> Path:
        write_all(folder / "scan", sound())
        build(folder / "other", True)
        os.rename(next((folder / "other" / "scan").iterdir()), folder / "scan" / "zz.dcm")
        return folder / "scan"

    yield case("enhanced-multi-frame", "beside-classic", both, ANSWER)
    yield case("enhanced-multi-frame", "classic-with-frames-2", setting(everywhere, NumberOfFrames="2"), REFUSE)
    yield case("enhanced-multi-frame", "classic-with-frames-1", setting(everywhere, NumberOfFrames="1"), ANSWER)


def content() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    shape = GRID.shape_zyx
    head = np.where(
        np.hypot(*np.meshgrid(*(np.linspace(-1.3, 1.3, n) for n in shape[1:]), indexing="ij")) < 1, 40, -1000
    )
    for name, hu in {
        "constant-0": np.zeros(shape),
        "constant-minus-1024": np.full(shape, -1024.0),
        "air-only": rng.normal(-1000, 15, shape),
        "water-only": rng.normal(0, 15, shape),
        "head": head + rng.normal(0, 10, shape),
        "all-lung": rng.normal(-850, 10, shape),
        "highest": np.full(shape, 31743.0),
    }.items():
        yield case("not-a-chest", name, lambda f, h=hu: write_all(f / "scan", datasets(GRID, np.rint(h))), REFUSE)
    tiny = make_grid((20, 16, 16), (0.5, 0.6, 0.6))
    yield case("not-a-chest", "one-centimetre", lambda f: write_all(f / "scan", datasets(tiny)), REFUSE)
    yield case("not-a-chest", "uncalibrated", setting(everywhere, RescaleIntercept="0"), REFUSE)


def dicom_cases() -> Iterator[Case]:
    for part in (
        plain, missing, duplicates, mixed, order, spacing, tilt, orientation, damaged_geometry, rescale, padding,
        bits, syntaxes, damaged_files, beside_the_scan, bombs, text, enhanced, content,
    ):  # fmt: skip
        yield from part()
