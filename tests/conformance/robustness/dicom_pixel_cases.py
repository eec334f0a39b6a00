"""Pixels of DICOM files: rescale, padding, bits, transfer syntaxes, and what shows no chest."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
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

from tests.conformance.robustness.analytic_phantom import Array, hu_at, make_grid
from tests.conformance.robustness.case import Case
from tests.conformance.robustness.dicom_files import (
    ANSWER,
    EITHER,
    GRID,
    INTERCEPT,
    MIDDLE,
    PLACES,
    REFUSE,
    Build,
    Change,
    at,
    case,
    changed,
    compress,
    datasets,
    everywhere,
    half,
    raw_text,
    setting,
    sound,
    spoiled,
    store,
    stored,
    write_all,
)
from tests.conformance.robustness.judge import GroundTruth


def rescale() -> Iterator[Case]:
    of_kind = partial(case, "rescale-missing")
    yield of_kind("all", setting(everywhere, RescaleSlope=None, RescaleIntercept=None), REFUSE)
    for place in ("one", "half"):
        yield of_kind(place, setting(PLACES[place], RescaleSlope=None, RescaleIntercept=None), EITHER)
    yield of_kind("slope-only", setting(everywhere, RescaleIntercept=None), REFUSE)
    yield of_kind("intercept-only", setting(everywhere, RescaleSlope=None), EITHER)

    def hu_without(k: int, ds: Dataset) -> None:
        store(ds, stored(ds) + INTERCEPT, np.int16)
        del ds.RescaleSlope, ds.RescaleIntercept

    yield of_kind("values-are-hu", changed(hu_without), ANSWER)

    def varying(k: int, ds: Dataset) -> None:
        hu = stored(ds) + INTERCEPT
        slope, intercept = 1 + k % 3 * 0.5, -1024 + 7 * (k % 5)
        ds.RescaleSlope, ds.RescaleIntercept = f"{slope:.3g}", str(intercept)
        store(ds, np.rint((hu - intercept) / slope), np.int16)

    yield case("rescale-varying", "slope-and-intercept", changed(varying), ANSWER)
    yield case("rescale-varying", "fraction", changed(_halved), ANSWER)
    of_kind = partial(case, "rescale-bad")
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
        yield of_kind(
            f"slope-{name}", raw_text(everywhere, "RescaleSlope", value), EITHER if name == "empty" else REFUSE
        )
        yield of_kind(f"slope-{name}-in-one", raw_text(at(MIDDLE), "RescaleSlope", value), EITHER)
    for name, value in {"nan": "nan", "inf": "-inf", "words": "abc", "huge": "1e30", "12345678": "12345678"}.items():
        yield of_kind(f"intercept-{name}", raw_text(everywhere, "RescaleIntercept", value), REFUSE)


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

    ground_truth = GroundTruth("answer", GRID, True, field)
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

        yield case("padding", f"{raw}-said-{said}", changed(change), ground_truth)
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

    of_kind = partial(case, "bits")
    yield of_kind("unsigned-16", changed(as_type(np.uint16)), ANSWER)
    yield of_kind("unsigned-12-of-16", changed(as_type(np.uint16, 12)), ANSWER)
    yield of_kind("signed-13-of-16", changed(as_type(np.int16, 13)), ANSWER)
    yield of_kind("unsigned-8", changed(as_type(np.uint8, 8, 8.0)), GroundTruth("either", GRID, tolerance_hu=6))
    yield of_kind("signed-32", changed(as_type(np.int32)), EITHER)
    yield of_kind("unsigned-32", changed(as_type(np.uint32)), EITHER)

    def overlay(k: int, ds: Dataset) -> None:
        plane = stored(ds)
        plane[5:20, 10:30] |= 0xF000
        store(ds, plane, np.uint16, 12)

    yield of_kind("overlay-above-12", changed(overlay), ANSWER)

    def high(k: int, ds: Dataset) -> None:
        store(ds, stored(ds) << 4, np.uint16)
        ds.BitsStored, ds.HighBit = 12, 15

    yield of_kind("12-at-the-top", changed(high), EITHER)

    def signed_12(k: int, ds: Dataset) -> None:
        store(ds, np.clip(stored(ds) + INTERCEPT, -2048, 2047) & 0xFFF, np.uint16, 12)
        ds.PixelRepresentation, ds.RescaleIntercept = 1, 0

    yield of_kind("signed-12-not-extended", changed(signed_12), ANSWER)
    of_kind = partial(case, "bits-bad")
    for key, value in {
        "BitsStored": 17,
        "BitsAllocated": 12,
        "HighBit": 3,
        "PixelRepresentation": 2,
        "SamplesPerPixel": 0,
    }.items():
        yield of_kind(f"{key}-{value}", setting(everywhere, **{key: value}), REFUSE)
        yield of_kind(f"{key}-missing", setting(everywhere, **{key: None}), EITHER)
    yield of_kind("signedness-changes", setting(half, PixelRepresentation=0), EITHER)

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

    of_kind = partial(case, "transfer-syntax")
    yield of_kind("implicit", changed(native(ImplicitVRLittleEndian)), ANSWER)
    yield of_kind("big-endian", changed(native(ExplicitVRBigEndian)), ANSWER)
    yield of_kind("deflated", changed(native(DeflatedExplicitVRLittleEndian)), ANSWER)
    yield of_kind("rle", changed(compressed(RLELossless)), ANSWER)
    for dtype in (np.int16, np.uint16):
        word = np.dtype(dtype).name
        yield of_kind(f"jpeg-ls-{word}", changed(compressed(JPEGLSLossless, dtype)), ANSWER)
        yield of_kind(f"jpeg-2000-{word}", changed(compressed(JPEG2000Lossless, dtype)), ANSWER)
    lossy = GroundTruth("answer", GRID, tolerance_hu=60)
    yield of_kind("jpeg-ls-near", changed(compressed(JPEGLSNearLossless, np.uint16, jls_error=3)), lossy)
    yield of_kind("jpeg-2000-lossy", changed(compressed(JPEG2000, np.uint16, j2k_psnr=[70])), lossy)
    yield of_kind("mixed", changed(lambda k, ds: compressed(RLELossless)(k, ds) if k % 2 else None), ANSWER)
    yield of_kind("lossy-flag", setting(everywhere, LossyImageCompression="01"), ANSWER)
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
            write_all(folder / "scan", [compress(ds, really) for ds in sound()], lambda k: f"{k:03d}.dcm")
            for path in sorted((folder / "scan").iterdir()):
                blob = path.read_bytes()
                size = len(str(really)) + len(str(really)) % 2
                path.write_bytes(
                    blob.replace(str(really).encode().ljust(size, b"\0"), str(claimed).encode().ljust(size, b"\0"), 1)
                )
            return folder / "scan"

        return build

    of_kind = partial(case, "syntax-lies")
    yield of_kind("rle-said-to-be-jpeg-ls", lie(UID("1.2.840.10008.1.2.9"), RLELossless), REFUSE)
    yield of_kind("jpeg-2000-said-to-be-jpeg-ls", lie(JPEGLSLossless, JPEG2000Lossless), EITHER)

    def other_size(k: int, ds: Dataset) -> None:
        compressed(JPEG2000Lossless, np.uint16)(k, ds)
        ds.Rows, ds.Columns = 20, 24

    yield of_kind("stream-larger-than-the-header", changed(other_size), REFUSE)

    def no_syntax(path: Path, blob: bytes) -> bytes:
        at_ = blob.index(b"\x02\x00\x10\x00UI")
        length = struct.unpack("<H", blob[at_ + 6 : at_ + 8])[0]
        total = struct.unpack("<I", blob[140:144])[0] - 8 - length
        return blob[:140] + struct.pack("<I", total) + blob[144:at_] + blob[at_ + 8 + length :]

    of_kind = partial(case, "preamble")
    yield of_kind("no-syntax", spoiled(no_syntax, range(60)), EITHER)
    yield of_kind("no-dicm", spoiled(lambda p, b: b[132:], range(60)), EITHER)
    yield of_kind("other-mark", spoiled(lambda p, b: b[:128] + b"DICX" + b[132:], range(60)), REFUSE)
    yield of_kind(
        "group-length-wrong", spoiled(lambda p, b: b[:140] + b"\x04\x00\x00\x00" + b[144:], range(60)), EITHER
    )
    yield of_kind("group-length-huge", spoiled(lambda p, b: b[:140] + b"\xff\xff\xff\x7f" + b[144:], range(60)), EITHER)
    yield of_kind("filled", spoiled(lambda p, b: b"II*\0" + b[4:], range(60)), ANSWER)
    yield of_kind(
        "no-meta", spoiled(lambda p, b: b[:132] + b[144 + struct.unpack("<I", b[140:144])[0] :], range(60)), EITHER
    )


def _claim(ds: Dataset, uid: str) -> None:
    ds.file_meta.TransferSyntaxUID = UID(uid)
    if UID(uid).is_transfer_syntax and UID(uid).is_compressed:
        ds.PixelData = pydicom.encaps.encapsulate([ds.PixelData])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True


def content() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    shape = GRID.shape_zyx
    head = np.where(
        np.hypot(*np.meshgrid(*(np.linspace(-1.3, 1.3, n) for n in shape[1:]), indexing="ij")) < 1, 40, -1000
    )
    of_kind = partial(case, "not-a-chest")
    for name, hu in {
        "constant-0": np.zeros(shape),
        "constant-minus-1024": np.full(shape, -1024.0),
        "air-only": rng.normal(-1000, 15, shape),
        "water-only": rng.normal(0, 15, shape),
        "head": head + rng.normal(0, 10, shape),
        "all-lung": rng.normal(-850, 10, shape),
        "highest": np.full(shape, 31743.0),
    }.items():
        yield of_kind(name, lambda f, h=hu: write_all(f / "scan", datasets(GRID, np.rint(h))), REFUSE)
    tiny = make_grid((20, 16, 16), (0.5, 0.6, 0.6))
    yield of_kind("one-centimetre", lambda f: write_all(f / "scan", datasets(tiny)), REFUSE)
    yield of_kind("uncalibrated", setting(everywhere, RescaleIntercept="0"), REFUSE)
