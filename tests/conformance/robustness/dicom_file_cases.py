"""DICOM files that are damaged, grow, or hold what few readers expect."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from tests.conformance.robustness.case import Case
from tests.conformance.robustness.decompression_bombs import deflated_zeros
from tests.conformance.robustness.dicom_files import (
    ANSWER,
    EITHER,
    GRID,
    INTERCEPT,
    MIDDLE,
    REFUSE,
    UIDS,
    Change,
    case,
    changed,
    compress,
    everywhere,
    hu_of,
    raw_text,
    setting,
    sound,
    spoiled,
    strip_slice,
    write_all,
    write_one,
)
from tests.conformance.robustness.judge import Expect, GroundTruth


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
        ground_truth = GroundTruth(expect, GRID)
        for share in (0.05, 0.5, 0.97):
            yield case(
                "truncated",
                f"{name}-at-{share}",
                spoiled(lambda p, b, s=share: b[: int(len(b) * s)], which),
                ground_truth,
            )
        yield case("empty-files", name, spoiled(lambda p, b: b"", which), ground_truth)
        yield case("header-only", name, spoiled(lambda p, b: b[: b.index(b"\xe0\x7f\x10\x00")], which), ground_truth)
        yield case(
            "zeroed-tail",
            name,
            spoiled(lambda p, b: b[: len(b) // 2] + bytes(len(b) - len(b) // 2), which),
            GroundTruth("either", GRID),
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

    of_kind = partial(case, "pixel-data-length")
    yield of_kind("one-row-short", changed(pixels(lambda n: n - 96)), REFUSE)
    yield of_kind("empty", changed(pixels(lambda n: 0)), REFUSE)
    yield of_kind("a-row-too-many", changed(lambda k, ds: setattr(ds, "PixelData", ds.PixelData + bytes(96))), EITHER)
    yield of_kind(
        "two-bytes-too-many", changed(lambda k, ds: setattr(ds, "PixelData", ds.PixelData + bytes(2))), EITHER
    )
    yield of_kind("twice", changed(lambda k, ds: setattr(ds, "PixelData", ds.PixelData * 2)), EITHER)


def bombs() -> Iterator[Case]:
    def claims(**values: object) -> Change:
        return lambda k, ds: [setattr(ds, key, value) for key, value in values.items()] and None

    of_kind = partial(case, "bomb")
    yield of_kind("65535-squared", changed(claims(Rows=65535, Columns=65535)), REFUSE)
    yield of_kind("2-billion-frames", changed(claims(NumberOfFrames="2147483647")), REFUSE)

    def rle(k: int, ds: Dataset) -> None:
        ds.Rows = ds.Columns = 2048
        segment = b"\x81\0" * (2048 * 2048 // 128)
        header = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
        ds.PixelData = pydicom.encaps.encapsulate([header + segment + segment])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = RLELossless

    yield of_kind("rle-2048-squared", changed(lambda k, ds: rle(k, ds) if k < 4 else False), REFUSE)

    def huge_stream(k: int, ds: Dataset) -> None:
        compress(ds, JPEG2000Lossless)
        frame = bytearray(pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1))
        at_ = frame.index(b"\xff\x51")
        frame[at_ + 6 : at_ + 14] = struct.pack(">II", 60000, 60000)
        ds.PixelData = pydicom.encaps.encapsulate([bytes(frame)])

    yield of_kind("jpeg-2000-stream-60000-squared", changed(huge_stream), REFUSE)

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

    yield of_kind("deflate-400-mb-a-file", deflated, REFUSE)

    def element(tag: int, size: int) -> Change:
        return lambda k, ds: ds.add_new(tag, "UN", b"\x20" * size) and None

    of_kind = partial(case, "huge-header")
    yield of_kind(
        "5-mb-before-the-pixels", changed(lambda k, ds: element(0x00091010, 5 << 20)(k, ds) if k < 3 else None), EITHER
    )
    yield of_kind(
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

    yield of_kind("nested-60-deep", changed(nested(60)), EITHER)

    def deep(path: Path, blob: bytes) -> bytes:
        start = blob.index(b"\x28\x00\x02\x00US")
        level = struct.pack("<HH2sHI", 0x0020, 0x9111, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
            "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
        )
        return blob[:start] + level * 20000 + blob[start:]

    yield of_kind("nested-20000-deep-in-one", spoiled(deep, [MIDDLE]), EITHER)

    def length(value: int) -> Callable[[Path, bytes], bytes]:
        def spoil(path: Path, blob: bytes) -> bytes:
            start = blob.index(b"\xe0\x7f\x10\x00OW") + 8
            return blob[:start] + struct.pack("<I", value) + blob[start + 4 :]

        return spoil

    for value in (0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF, 10):
        yield case("pixel-data-length", f"claims-{value:#x}", spoiled(length(value), range(60)), REFUSE)
        yield case("pixel-data-length", f"claims-{value:#x}-in-one", spoiled(length(value), [MIDDLE]), EITHER)


def text() -> Iterator[Case]:
    of_kind = partial(case, "text")
    yield of_kind("non-ascii-name", setting(everywhere, PatientName="Мюллер^日本"), ANSWER)
    yield of_kind("script-name", setting(everywhere, PatientName="<script>alert(1)</script>"), ANSWER)
    yield of_kind("unknown-character-set", raw_text(everywhere, "SpecificCharacterSet", "ISO_IR 9999"), ANSWER)
    yield of_kind("latin-bytes", spoiled(lambda p, b: b.replace(b"Phantom", b"Ph\xe4nt\xf6m"), range(60)), ANSWER)
    yield of_kind("long-name", setting(everywhere, PatientComments="x" * 9000), ANSWER)
    yield of_kind("numbers-with-spaces", raw_text(everywhere, "PixelSpacing", " 2.1 \\ 1.7 "), ANSWER)
    yield of_kind(
        "long-decimals",
        raw_text(everywhere, "PixelSpacing", "2.10000000000000000000000\\1.70000000000000000000000"),
        ANSWER,
    )
    yield of_kind("bad-date", raw_text(everywhere, "StudyDate", "yesterday"), ANSWER)


def enhanced() -> Iterator[Case]:
    def build(folder: Path, geometry: bool) -> Path:
        hu = hu_of(GRID)
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

    of_kind = partial(case, "enhanced-multi-frame")
    yield of_kind("with-geometry", lambda f: build(f, True), EITHER)
    yield of_kind("without-geometry", lambda f: build(f, False), REFUSE)

    def both(folder: Path) -> Path:
        write_all(folder / "scan", sound())
        build(folder / "other", True)
        os.rename(next((folder / "other" / "scan").iterdir()), folder / "scan" / "zz.dcm")
        return folder / "scan"

    yield of_kind("beside-classic", both, ANSWER)
    yield of_kind("classic-with-frames-2", setting(everywhere, NumberOfFrames="2"), REFUSE)
    yield of_kind("classic-with-frames-1", setting(everywhere, NumberOfFrames="1"), ANSWER)
