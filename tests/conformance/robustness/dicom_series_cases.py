"""What a DICOM folder consists of: slices, copies, other series, other objects, other files."""

from __future__ import annotations

import copy
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from tests.conformance.robustness.analytic_phantom import make_grid
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.dicom_files import (
    ANSWER,
    EITHER,
    FINE,
    GRID,
    INTERCEPT,
    MIDDLE,
    REFUSE,
    ROOT,
    UIDS,
    Build,
    at,
    beside,
    case,
    changed,
    datasets,
    everywhere,
    hu_of,
    raw_text,
    setting,
    sound,
    store,
    stored,
    strip_slice,
    with_values,
    write_all,
    write_one,
)
from tests.conformance.robustness.judge import GroundTruth


def plain() -> Iterator[Case]:
    of_kind = partial(case, "sound")
    yield of_kind("signed", changed(lambda k, ds: None), ANSWER)
    yield of_kind("fine", changed(lambda k, ds: None, FINE), GroundTruth("answer", FINE))

    def whole_hu(k: int, ds: Dataset) -> None:
        ds.RescaleIntercept = 0
        store(ds, stored(ds) + INTERCEPT, np.int16)

    yield of_kind("intercept-0", changed(whole_hu), ANSWER)
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
    of_kind = partial(case, "missing-slices")
    for name, gone in one.items():
        grid = GRID.part(1, 60) if gone == [0] else GRID.part(0, 59) if gone == [59] else GRID
        yield of_kind(f"1-{name}", changed(lambda k, ds, g=gone: k not in g), GroundTruth("answer", grid))
    for count in (2, 3, 4, 5, 10, 30):
        gone = list(range(20, 20 + count))
        yield of_kind(f"{count}-adjacent", changed(lambda k, ds, g=gone: k not in g), EITHER)
    for count in (2, 3, 6, 15):
        gone = np.linspace(3, 56, count).astype(int).tolist()
        yield of_kind(f"{count}-spread", changed(lambda k, ds, g=gone: k not in g), EITHER)
    fine = GroundTruth("answer", FINE)
    for name, gone in {"2-of-120-adjacent": [50, 51], "2-of-120-apart": [20, 90], "1-of-120": [70]}.items():
        yield of_kind(name, changed(lambda k, ds, g=gone: k not in g, FINE), fine)
    yield of_kind("3-of-120-adjacent", changed(lambda k, ds: k not in (50, 51, 52), FINE), GroundTruth("either", FINE))
    twice = make_grid((30, 40, 48), (4.0, 2.1, 1.7), shift_mm=(0, 0, -1))
    yield of_kind("every-second", changed(lambda k, ds: k % 2 == 0), GroundTruth("answer", twice))
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
        return write_all(folder / "scan", [with_values(ds, SOPInstanceUID=UID(f"{ROOT}.1")) for ds in sound()])

    of_kind = partial(case, "uids")
    yield of_kind("one-instance-uid-for-all", same_id, ANSWER)
    yield of_kind("series-uid-missing", setting(everywhere, SeriesInstanceUID=None), EITHER)
    yield of_kind("one-series-uid-missing", setting(at(MIDDLE), SeriesInstanceUID=None), EITHER)
    yield of_kind(
        "a-series-uid-each", changed(lambda k, ds: setattr(ds, "SeriesInstanceUID", UID(f"{ROOT}.6.{k}"))), EITHER
    )
    yield of_kind("study-uid-missing", setting(everywhere, StudyInstanceUID=None), EITHER)
    yield of_kind("not-a-uid", raw_text(everywhere, "SeriesInstanceUID", "../../etc/x"), EITHER)


def mixed() -> Iterator[Case]:
    def add(more: Callable[[], list[Dataset]]) -> Build:
        return beside(lambda folder: [write_one(folder / f"z{k:03d}.dcm", ds) for k, ds in enumerate(more())])

    coronal = make_grid((30, 60, 48), (2.8, 2.0, 1.7), (1, 0, 0), (0, 0, -1))
    sagittal = make_grid((30, 60, 40), (2.7, 2.0, 2.1), (0, 1, 0), (0, 0, -1))
    thick = make_grid((15, 40, 48), (8.0, 2.1, 1.7))
    away = make_grid((20, 40, 48), (2.0, 2.1, 1.7), shift_mm=(0, 0, -300))
    of_kind = partial(case, "mixed-series")
    for name, grid in {"coronal": coronal, "sagittal": sagittal, "thick": thick, "elsewhere": away}.items():
        yield of_kind(name, add(lambda g=grid: datasets(g, series=2)), ANSWER)
    yield of_kind("two-others", add(lambda: datasets(coronal, series=2) + datasets(thick, series=3)), ANSWER)
    yield of_kind("only-coronal", lambda f: write_all(f / "scan", datasets(coronal)), GroundTruth("answer", coronal))
    yield of_kind("only-sagittal", lambda f: write_all(f / "scan", datasets(sagittal)), GroundTruth("answer", sagittal))
    yield of_kind(
        "other-patient",
        add(
            lambda: [
                with_values(ds, PatientID="other", StudyInstanceUID=UID(f"{ROOT}.77"))
                for ds in datasets(thick, series=4)
            ]
        ),
        ANSWER,
    )
    yield of_kind("derived-copy", add(lambda: _derived()), ANSWER)

    def localizer(same_series: bool) -> list[Dataset]:
        scout = make_grid((1, 70, 48), (1.0, 2.0, 1.7), (1, 0, 0), (0, 0, -1))
        made = datasets(scout, series=1 if same_series else 9, acquisition=0)
        return [with_values(ds, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], InstanceNumber=0) for ds in made]

    of_kind = partial(case, "localizer")
    yield of_kind("own-series", add(lambda: localizer(False)), ANSWER)
    yield of_kind("same-series", add(lambda: localizer(True)), ANSWER)
    yield of_kind(
        "not-said-in-image-type",
        add(lambda: [with_values(d, ImageType=["DERIVED", "PRIMARY"]) for d in localizer(False)]),
        ANSWER,
    )
    yield of_kind("alone", lambda f: write_all(f / "scan", localizer(False)), REFUSE)

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

    of_kind = partial(case, "secondary-capture")
    yield of_kind("grey", add(lambda: capture(False)), ANSWER)
    yield of_kind("colour", add(lambda: capture(True)), ANSWER)
    yield of_kind(
        "in-the-series",
        add(lambda: [with_values(d, SeriesInstanceUID=UID(f"{ROOT}.8.1")) for d in capture(False)]),
        EITHER,
    )
    yield of_kind("alone", lambda f: write_all(f / "scan", capture(True)), REFUSE)
    for kind, (uid, modality) in {
        "dose-report": (UIDS["dose"], "SR"),
        "presentation-state": (UIDS["state"], "PR"),
    }.items():
        yield case("no-image-object", kind, add(lambda u=uid, m=modality: [report(u, m)]), ANSWER)
        yield case(
            "no-image-object",
            f"{kind}-alone",
            lambda f, u=uid, m=modality: write_all(f / "scan", [report(u, m)]),
            REFUSE,
        )
    of_kind = partial(case, "other-modality")
    for modality in ("MR", "PT"):
        uid = UID(UIDS["mr" if modality == "MR" else "pet"])

        def other(k: int, ds: Dataset, modality: str = modality, uid: UID = uid) -> None:
            ds.Modality, ds.SOPClassUID, ds.file_meta.MediaStorageSOPClassUID = modality, uid, uid

        yield of_kind(f"{modality}-alone", changed(other), REFUSE)
    yield of_kind("modality-missing", setting(everywhere, Modality=None), EITHER)
    yield of_kind("modality-empty", setting(everywhere, Modality=""), EITHER)
    yield of_kind("class-missing", setting(everywhere, SOPClassUID=None), EITHER)

    def colour(k: int, ds: Dataset) -> None:
        grey = (np.clip(stored(ds) // 8, 0, 255)).astype(np.uint8)
        store(ds, np.repeat(grey[..., None], 3, -1), np.uint8)
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0

    of_kind = partial(case, "colour")
    yield of_kind("rgb", changed(colour), REFUSE)
    yield of_kind("one-slice", changed(lambda k, ds: colour(k, ds) if k == MIDDLE else None), EITHER)
    yield of_kind("monochrome1", setting(everywhere, PhotometricInterpretation="MONOCHROME1"), EITHER)
    yield of_kind("palette", setting(everywhere, PhotometricInterpretation="PALETTE COLOR"), EITHER)
    yield of_kind("photometric-missing", setting(everywhere, PhotometricInterpretation=None), EITHER)


def _derived() -> list[Dataset]:
    made = datasets(GRID, np.maximum(hu_of(GRID) + 80, -1024), series=5)
    return [with_values(ds, ImageType=["DERIVED", "SECONDARY", "AXIAL"]) for ds in made]


def report(uid: str, modality: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = UID(uid), UID(f"{ROOT}.30"), modality
    ds.SeriesInstanceUID, ds.StudyInstanceUID = UID(f"{ROOT}.8.30"), UID(f"{ROOT}.7")
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = UID(uid), ds.SOPInstanceUID
    return ds


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
    of_kind = partial(case, "other-files")
    for name, blob in files.items():
        yield of_kind(name, beside(lambda f, n=name, b=blob: (f / n).write_bytes(b)), ANSWER)
    yield of_kind("real-dicomdir", beside(_dicomdir), ANSWER)
    yield of_kind("200-text-files", beside(lambda f: [(f / f"{k}.txt").write_text("x") for k in range(200)]), ANSWER)
    yield of_kind("only-text", _only({"a.txt": b"x", "b.dcm": b"y"}), REFUSE)
    yield of_kind("empty-folder", _only({}), REFUSE)
    yield of_kind("only-dicomdir", lambda f: _dicomdir(_made(f / "scan")), REFUSE)
    of_kind = partial(case, "special-files")
    yield of_kind("fifo", beside(lambda f: os.mkfifo(f / "a.dcm")), ANSWER)
    yield of_kind("folder-named-dcm", beside(lambda f: (f / "b.dcm").mkdir()), ANSWER)
    yield of_kind("socket", beside(_socket), ANSWER)
    yield of_kind("dangling-link", beside(lambda f: (f / "c.dcm").symlink_to("nowhere")), ANSWER)
    yield of_kind("link-in-a-circle", beside(lambda f: (f / "d.dcm").symlink_to(f / "d.dcm")), ANSWER)
    yield of_kind("link-to-own-folder", beside(lambda f: (f / "loop").symlink_to(f)), ANSWER)
    yield of_kind("link-to-dev-zero", beside(lambda f: (f / "e.dcm").symlink_to("/dev/zero")), ANSWER)
    yield of_kind("unreadable", beside(lambda f: sorted(f.iterdir())[3].chmod(0)), EITHER)
    yield of_kind("scan-is-a-fifo", _fifo, REFUSE)
    yield of_kind("scan-is-one-file", lambda f: _one_file(f), REFUSE)
    yield of_kind("links-to-the-slices", _links, ANSWER)
    yield of_kind(
        "sub-folder-with-another", beside(lambda f: write_all(f / "more", datasets(GRID.part(0, 8), series=3))), ANSWER
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
    ds = report(UIDS["dicomdir"], "OT")
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
