"""MetaImage files (.mhd with .raw or .zraw, .mha), sound, odd and malformed."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conformance.robustness.analytic_phantom import Array, Grid, make_grid, no_chests, turned_grids
from tests.conformance.robustness.case import Case, special_file
from tests.conformance.robustness.decompression_bombs import zlib_zeros
from tests.conformance.robustness.judge import GroundTruth
from tests.conformance.robustness.mhd_files import ANSWER, EITHER, GRID, REFUSE, header_of, sound_hu, text_of, write


def case(kind: str, name: object, ground_truth: GroundTruth, **how: object) -> Case:
    return Case(kind, str(name), "mhd", lambda folder: write(folder, sound_hu(), **how), ground_truth)  # type: ignore[arg-type]


def built(kind: str, name: object, ground_truth: GroundTruth, build: Callable[[Path], Path]) -> Case:
    return Case(kind, str(name), "mhd", build, ground_truth)


def sound() -> Iterator[Case]:
    for name, how in {
        "raw": {},
        "zraw": {"compressed": True},
        "mha": {"local": True},
        "mha-zlib": {"local": True, "compressed": True},
    }.items():
        yield case("sound", name, ANSWER, **how)
    of_kind = partial(built, "element-type")
    for kind in ("i4", "f4", "f8", ">i2", ">f4"):
        yield of_kind(kind, ANSWER, lambda f, k=kind: write(f, sound_hu().astype(k)))
    yield of_kind("u2-offset", REFUSE, lambda f: write(f, (sound_hu() + 1024).astype("u2")))
    yield of_kind("u1", REFUSE, lambda f: write(f, (np.clip(sound_hu(), -1000, 1500) // 10 + 100).astype("u1")))
    of_kind = partial(case, "element-type")
    yield of_kind("unknown", REFUSE, ElementType="MET_LONG_LONG_LONG")
    yield of_kind("array", REFUSE, ElementType="MET_SHORT_ARRAY")
    yield of_kind("other-width", REFUSE, ElementType="MET_INT")
    yield of_kind("same-width", REFUSE, ElementType="MET_USHORT")
    for name, grid in turned_grids():
        for packed in (False, True):
            yield built(
                "orientation",
                f"{name}-{packed}",
                GroundTruth("answer", grid),
                lambda f, g=grid, c=packed: write(f, g.hu(), g, compressed=c),
            )
    of_kind = partial(case, "odd-text")
    yield of_kind("crlf", EITHER, end="\r\n")
    yield of_kind("crlf-mha", EITHER, end="\r\n", local=True)
    yield of_kind("comment", ANSWER, Comment="made by hand, äöü", ElementDataFile="scan.raw")
    yield of_kind("synonyms", EITHER, TransformMatrix=None, Rotation="1 0 0 0 1 0 0 0 1")
    yield of_kind("exponents", ANSWER, ElementSpacing="1.7e0 19e-1 +2.6")
    of_kind = partial(built, "odd-text")
    yield of_kind("non-ascii-file-name", ANSWER, lambda f: _renamed(f, "größe\U0001fac1.raw"))
    yield of_kind("file-name-with-spaces", ANSWER, lambda f: _renamed(f, "a b  c.raw"))
    yield of_kind("file-name-with-quotes", ANSWER, lambda f: _renamed(f, "a'b\"c;$(x).raw"))
    yield of_kind("no-last-newline", EITHER, lambda f: _edited(f, lambda t: t.rstrip()))
    yield of_kind("byte-order-mark", EITHER, lambda f: _edited(f, lambda t: b"\xef\xbb\xbf" + t))
    yield of_kind("no-spaces-around-equals", EITHER, lambda f: _edited(f, lambda t: t.replace(b" = ", b"=")))


def _renamed(folder: Path, name: str) -> Path:
    path = write(folder, sound_hu(), ElementDataFile=name)
    (folder / "scan.raw").rename(folder / name)
    return path


def _edited(folder: Path, edit: Callable[[bytes], bytes], **how: object) -> Path:
    path = write(folder, sound_hu(), **how)  # type: ignore[arg-type]
    path.write_bytes(edit(path.read_bytes()))
    return path


def data_files() -> Iterator[Case]:
    def elsewhere(make: Callable[[Path], str]) -> Callable[[Path], Path]:
        def build(folder: Path) -> Path:
            (folder / "in").mkdir(parents=True)
            (folder / "secret.raw").write_bytes(sound_hu().tobytes())
            return write(folder / "in", sound_hu(), ElementDataFile=make(folder))

        return build

    def linked(folder: Path) -> str:
        (folder / "in" / "link.raw").symlink_to(folder / "secret.raw")
        return "link.raw"

    of_kind = partial(built, "data-file")
    for name, make in {
        "parent": lambda f: "../secret.raw",
        "absolute": lambda f: str(f / "secret.raw"),
        "dev-zero": lambda f: "/dev/zero",
        "passwd": lambda f: "/etc/passwd",
        "link-outside": linked,
        "url": lambda f: "http://example.org/x.raw",
        "list": lambda f: "LIST",
        "list-2d": lambda f: "LIST 2\nscan.raw",
        "pattern": lambda f: "scan%d.raw 1 40 1",
        "format-string": lambda f: "%s%s%s%n",
        "missing": lambda f: "nowhere.raw",
        "empty": lambda f: "",
        "dot": lambda f: ".",
        "itself": lambda f: "scan.mhd",
        "nul": lambda f: "scan.raw\0x",
        "backslash": lambda f: "..\\secret.raw",
        "long": lambda f: "a" * 5000,
        "local-in-mhd": lambda f: "LOCAL",
    }.items():
        yield of_kind(name, REFUSE, elsewhere(make))

    def special(make: Callable[[Path], object]) -> Callable[[Path], Path]:
        def build(folder: Path) -> Path:
            path = write(folder, sound_hu())
            (folder / "scan.raw").unlink()
            make(folder / "scan.raw")
            return path

        return build

    yield of_kind("fifo", REFUSE, special(os.mkfifo))
    yield of_kind("folder", REFUSE, special(os.mkdir))
    yield of_kind("link-in-a-circle", REFUSE, special(lambda p: p.symlink_to(p)))

    of_kind = partial(built, "header-file")
    yield of_kind("fifo", REFUSE, special_file("scan.mhd", os.mkfifo))
    yield of_kind("folder", REFUSE, special_file("scan.mhd", os.mkdir))
    yield of_kind("empty", REFUSE, special_file("scan.mhd", lambda p: p.write_bytes(b"")))
    yield of_kind("dangling-link", REFUSE, special_file("scan.mhd", lambda p: p.symlink_to("nowhere")))
    yield of_kind("dev-zero", REFUSE, special_file("scan.mhd", lambda p: p.symlink_to("/dev/zero")))
    yield of_kind(
        "binary", REFUSE, special_file("scan.mhd", lambda p: p.write_bytes(np.random.default_rng(0).bytes(5000)))
    )
    yield of_kind(
        "50-mb-line", REFUSE, special_file("scan.mhd", lambda p: p.write_bytes(b"Comment = " + b"x" * (50 << 20)))
    )
    yield of_kind(
        "a-million-lines", REFUSE, special_file("scan.mhd", lambda p: p.write_bytes(b"Comment = x\n" * 1_000_000))
    )
    yield of_kind("nul-bytes", REFUSE, lambda f: _edited(f, lambda t: t.replace(b"Image", b"Im\0ge")))
    yield of_kind("utf-16", REFUSE, lambda f: _edited(f, lambda t: t.decode().encode("utf-16")))


def headers() -> Iterator[Case]:
    for value in (
        "48 44 39",
        "48 44 41",
        "47 44 40",
        "48 44",
        "48 44 40 1",
        "48 44 0",
        "48 44 -40",
        "48.5 44 40",
        "",
        "a b c",
        "65535 65535 65535",
        "2147483647 2147483647 2147483647",
        "4294967297 1 1",
        "99999999999999999999 1 1",
        "1 1 84480",
    ):
        yield case("dim-size", value or "nothing", REFUSE, DimSize=value)
        yield case("dim-size", f"{value or 'nothing'} zraw", REFUSE, DimSize=value, compressed=True)
    of_kind = partial(case, "spacing")
    for value in (
        "nan 1.9 2.6",
        "0 1.9 2.6",
        "-1.7 1.9 2.6",
        "inf 1.9 2.6",
        "1e9 1.9 2.6",
        "1e-9 1.9 2.6",
        "1,7 1,9 2,6",
        "1.7 1.9",
        "1.7 1.9 2.6 1",
        "",
        "0x1p3 1 1",
        "1.7mm 1.9mm 2.6mm",
        "1e400 1 1",
        "٣ 1 1",
    ):
        yield of_kind(value or "nothing", REFUSE, ElementSpacing=value)
    yield of_kind("missing", REFUSE, ElementSpacing=None)
    yield of_kind("element-size-contradicts", EITHER, ElementSize="9 9 9")
    of_kind = partial(case, "matrix")
    for value in (
        "0 0 0 0 0 0 0 0 0",
        "1 0 0 1 0 0 0 0 1",
        "nan 0 0 0 1 0 0 0 1",
        "2 0 0 0 1 0 0 0 1",
        "1 0.5 0 0 1 0 0 0 1",
        "1 0 0 0 1 0",
        "inf 0 0 0 1 0 0 0 1",
        "1e300 0 0 0 1 0 0 0 1",
        "",
        "a b c d e f g h i",
    ):
        yield of_kind(value or "nothing", REFUSE, TransformMatrix=value)
    yield of_kind("missing", REFUSE, TransformMatrix=None)
    yield of_kind("rounded", ANSWER, TransformMatrix="1 0.00001 0 -0.00001 1 0 0 0 1")
    for value in ("nan 0 0", "inf 0 0", "1e300 0 0", "1 2", ""):
        yield case("offset", value or "nothing", REFUSE, Offset=value)
    yield case("offset", "missing", REFUSE, Offset=None)
    of_kind = partial(built, "header-key")
    for key, value in {
        "ObjectType": "Tube",
        "NDims": "2",
        "BinaryData": "False",
        "ElementType": None,
        "DimSize": None,
        "ElementDataFile": None,
        "ElementNumberOfChannels": "3",
        "HeaderSize": "-1",
        "CompressedData": "Maybe",
        "BinaryDataByteOrderMSB": "True",
        "Injected": "1",
    }.items():
        changes = {key: value} if key != "Injected" else {"Shell": "$(id)"}
        if key in ("ElementNumberOfChannels", "HeaderSize", "Injected"):
            changes["ElementDataFile"] = "scan.raw"
        yield of_kind(key, REFUSE, lambda f, c=changes: _with(f, c))
    yield of_kind("NDims-4", REFUSE, lambda f: write(f, sound_hu(), NDims="4"))
    yield of_kind("NDims-huge", REFUSE, lambda f: write(f, sound_hu(), NDims="1000000000"))
    yield of_kind("header-size-positive", REFUSE, lambda f: _with(f, {"HeaderSize": "96"}))
    for line in (b"ElementSpacing = 9 9 9\n", b"DimSize = 10 10 10\n", b"Offset = 0 0 0\n", b"Position = 0 0 0\n"):
        yield built("header-repeated", line.decode().strip(), REFUSE, lambda f, x=line: _edited(f, lambda t: x + t))
    of_kind = partial(built, "header-order")
    yield of_kind("data-file-first", REFUSE, lambda f: _edited(f, lambda t: b"ElementDataFile = scan.raw\n" + t))
    yield of_kind("reversed", REFUSE, lambda f: _edited(f, lambda t: b"\n".join(t.splitlines()[::-1]) + b"\n"))
    yield of_kind("lower-case", EITHER, lambda f: _edited(f, bytes.lower))
    yield of_kind("shuffled-but-ends-well", ANSWER, lambda f: _edited(f, _shuffled))


def _with(folder: Path, changes: dict[str, str | None]) -> Path:
    """Added keys stand before ElementDataFile, which ends the header."""
    header: dict[str, str | None] = {**header_of(GRID), **changes}
    header["ElementDataFile"] = header.pop("ElementDataFile")
    path = write(folder, sound_hu())
    path.write_bytes(text_of(header))
    return path


def _shuffled(text: bytes) -> bytes:
    *lines, last = text.splitlines()
    return b"\n".join([lines[0], *lines[:0:-1], last]) + b"\n"


def pixels() -> Iterator[Case]:
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        yield case("truncated", f"raw-{share}", REFUSE, spoil=lambda b, s=share: b[: int(len(b) * s)])
        yield case("truncated", f"mha-{share}", REFUSE, local=True, spoil=lambda b, s=share: b[: int(len(b) * s)])
        yield case("truncated", f"zraw-{share}", REFUSE, compressed=True, spoil=lambda b, s=share: b[: int(len(b) * s)])
        yield built("truncated", f"zraw-{share}-size-says-so", REFUSE, lambda f, s=share: _cut(f, s))
    for cut in (1, 3, 4, 5):
        yield case(
            "truncated",
            f"zraw-last-{cut}",
            REFUSE,
            compressed=True,
            CompressedDataSize=None,
            spoil=lambda b, c=cut: b[:-c],
        )
    of_kind = partial(case, "trailing")
    yield of_kind("raw", REFUSE, spoil=lambda b: b + b"\0\0")
    yield of_kind("zraw", REFUSE, compressed=True, CompressedDataSize=None, spoil=lambda b: b + b"junk")
    yield of_kind(
        "zraw-second-stream", REFUSE, compressed=True, CompressedDataSize=None, spoil=lambda b: b + zlib.compress(b"x")
    )
    yield of_kind("raw-twice", REFUSE, spoil=lambda b: b + b)
    for name, change in {
        "checksum": lambda b: b[:-4] + struct.pack(">I", zlib.adler32(b)),
        "flipped-middle": lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 0x10]) + b[len(b) // 2 + 1 :],
        "flipped-head": lambda b: bytes([b[0] ^ 1]) + b[1:],
        "zeroed-middle": lambda b: b[:500] + bytes(200) + b[700:],
        "gzip-instead": lambda b: b"\x1f\x8b" + b[2:],
        "not-compressed": lambda b: zlib.decompress(b),
        "deflate-without-wrapper": lambda b: b[2:-4],
    }.items():
        yield case("damaged-zraw", name, REFUSE, compressed=True, CompressedDataSize=None, spoil=change)
    for value in ("1", "-5", "99999999999999", "abc"):
        yield case("compressed-size", value, REFUSE, compressed=True, CompressedDataSize=value)
    yield case("compressed-size", "missing", ANSWER, compressed=True, CompressedDataSize=None)
    of_kind = partial(case, "bomb")
    yield of_kind("zlib-800-mb", REFUSE, compressed=True, CompressedDataSize=None, spoil=lambda b: zlib_zeros(800))
    yield of_kind(
        "zlib-1000-mb-announced",
        REFUSE,
        compressed=True,
        CompressedDataSize=None,
        DimSize="1000 1000 500",
        spoil=lambda b: zlib_zeros(954),
    )
    yield of_kind("announces-3-gb-in-100-kb", REFUSE, DimSize="1500 1000 1000")
    for name, value in {"nan": np.nan, "inf": np.inf, "huge": 1e30}.items():
        yield built("voxels", f"one-{name}", EITHER if name == "huge" else REFUSE, lambda f, v=value: write(f, _one(v)))
        yield built("voxels", f"all-{name}", REFUSE, lambda f, v=value: write(f, np.full(GRID.shape_zyx, v, "f4")))
    of_kind = partial(built, "not-a-chest")
    for name, hu in no_chests(GRID.shape_zyx):
        yield of_kind(name, REFUSE, lambda f, h=hu: write(f, h))
    tiny = make_grid((12, 10, 9), (1.0, 1.1, 1.2))
    yield of_kind("one-centimetre", REFUSE, lambda f: write(f, tiny.hu(), tiny))
    yield of_kind("wrong-scale", REFUSE, lambda f: write(f, sound_hu() * np.int16(10)))
    padded = _padded(GRID)
    yield built(
        "padding", "minus-3024-outside", padded, lambda f: write(f, np.where(_corner(), -3024, sound_hu()).astype("i2"))
    )


def _cut(folder: Path, share: float) -> Path:
    size = int(len(zlib.compress(sound_hu().tobytes(), 6)) * share)
    return write(folder, sound_hu(), compressed=True, spoil=lambda b: b[:size], CompressedDataSize=str(size))


def _one(value: float) -> NDArray:
    array = sound_hu().astype("f4")
    array[20, 20, 20] = value
    return array


def _corner() -> NDArray[np.bool_]:
    mask = np.zeros(GRID.shape_zyx, dtype=bool)
    mask[:, :5] = True
    return mask


def _padded(grid: Grid) -> GroundTruth:
    from tests.conformance.robustness.analytic_phantom import hu_at

    def field(points: Array) -> Array:
        return np.where((points[..., 1] - grid.affine[1, 3]) / 1.9 < 5.2, np.nan, hu_at(points))

    return GroundTruth("answer", grid, True, field)


def mhd_cases() -> Iterator[Case]:
    for part in (sound, data_files, headers, pixels):
        yield from part()
