"""NIfTI files, sound, odd and malformed."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.conformance.robustness.analytic_phantom import make_grid, no_chests, turned_grids
from tests.conformance.robustness.case import Case, special_file
from tests.conformance.robustness.decompression_bombs import gzip_zeros
from tests.conformance.robustness.judge import GroundTruth
from tests.conformance.robustness.nifti_files import ANSWER, EITHER, GRID, REFUSE, header_of, sound_hu, write


def case(kind: str, name: object, ground_truth: GroundTruth, **how: object) -> Case:
    return Case(kind, str(name), "nifti", lambda folder: write(folder, sound_hu(), **how), ground_truth)  # type: ignore[arg-type]


def built(kind: str, name: object, ground_truth: GroundTruth, build: Callable[[Path], Path]) -> Case:
    return Case(kind, str(name), "nifti", build, ground_truth)


def sound() -> Iterator[Case]:
    of_kind = partial(case, "sound")
    yield of_kind("nii", ANSWER)
    yield of_kind("gz", ANSWER, file="scan.nii.gz")
    yield of_kind("big-endian", ANSWER, order=">")
    yield of_kind("odd-name", ANSWER, file="a 'b' \U0001fac1\n.nii")
    of_kind = partial(built, "datatype")
    for kind in ("i4", "f4", "f8"):
        yield of_kind(kind, ANSWER, lambda f, k=kind: write(f, sound_hu().astype(k)))
    yield of_kind("i8", EITHER, lambda f: write(f, sound_hu().astype("i8")))
    yield of_kind("u2-with-inter", ANSWER, lambda f: write(f, (sound_hu() + 1024).astype("u2"), scl_inter=(-1024.0,)))
    yield of_kind(
        "u1-with-slope",
        GroundTruth("either", GRID, tolerance_hu=6),
        lambda f: write(
            f,
            np.rint((np.clip(sound_hu(), -1024, 1500) + 1024) / 10).astype("u1"),
            scl_slope=(10.0,),
            scl_inter=(-1024.0,),
        ),
    )
    of_kind = partial(case, "datatype")
    for code in (0, 1, 32, 128, 2304, 1536, 999):
        yield of_kind(f"code-{code}", REFUSE, datatype=(code,))
    yield of_kind("u2-said", REFUSE, datatype=(512,))
    for bits in (8, 32, 0):
        yield of_kind(f"bitpix-{bits}", EITHER, bitpix=(bits,))
    of_kind = partial(case, "gz")
    yield of_kind("named-nii", EITHER, pack=gzip.compress)
    yield of_kind("plain-named-gz", EITHER, file="scan.nii.gz", pack=bytes)
    yield of_kind(
        "two-members", EITHER, file="scan.nii.gz", pack=lambda b: gzip.compress(b[:9000]) + gzip.compress(b[9000:])
    )
    yield of_kind("trailing-junk", EITHER, file="scan.nii.gz", pack=lambda b: gzip.compress(b) + b"junk")
    for name, grid in turned_grids():
        for form, changes in {"both": {}, "sform": {"qform_code": (0,)}, "qform": {"sform_code": (0,)}}.items():
            yield built(
                "orientation",
                f"{name}-{form}",
                GroundTruth("answer", grid),
                lambda f, g=grid, c=changes: write(f, g.hu(), g, **c),
            )


def geometry() -> Iterator[Case]:
    rows = np.array(header_of(GRID)["srow"]).reshape(3, 4)
    of_kind = partial(case, "forms")
    yield of_kind("sform-only", ANSWER, qform_code=(0,))
    yield of_kind("qform-only", ANSWER, sform_code=(0,))
    yield of_kind("neither", REFUSE, sform_code=(0,), qform_code=(0,))
    yield of_kind("strange-codes", EITHER, sform_code=(77,), qform_code=(-3,))
    wider, moved, turned = rows.copy(), rows.copy(), rows.copy()
    wider[:, 2] *= 1.25
    moved[:, 3] += 30
    turned[0] *= -1
    of_kind = partial(case, "forms-contradict")
    for name, srow in {"spacing": wider, "origin": moved, "left-right": turned}.items():
        yield of_kind(name, REFUSE, srow=tuple(srow.reshape(-1)))
    yield of_kind("pixdim", REFUSE, pixdim=(1, 1.7, 1.9, 3.3, 0, 0, 0, 0))
    yield of_kind("pixdim-sform-only", REFUSE, pixdim=(1, 1.7, 1.9, 3.3, 0, 0, 0, 0), qform_code=(0,))
    yield of_kind("quaternion", REFUSE, quatern=(0.0, 0.7, 0.0))
    sheared, flat, large = rows.copy(), rows.copy(), rows.copy()
    sheared[0, 2] += 1.0
    flat[:, 2] = 0
    large[:, :3] *= 1e6
    for name, srow in {
        "sheared": sheared,
        "singular": flat,
        "huge": large,
        "nan": rows * np.nan,
        "zero": rows * 0,
        "inf": rows + np.inf,
    }.items():
        yield case("bad-sform", name, REFUSE, srow=tuple(srow.reshape(-1)), qform_code=(0,))
    for name, b in {"too-long": (0.9, 0.9, 0.9), "nan": (np.nan, 0, 0)}.items():
        yield case("bad-qform", name, REFUSE, quatern=b, sform_code=(0,))
    yield case("bad-qform", "qfac-2", EITHER, pixdim=(2.0, 1.7, 1.9, 2.6, 0, 0, 0, 0), sform_code=(0,))
    for name, pixdim in {
        "zero": (1, 0, 1.9, 2.6),
        "negative": (1, -1.7, 1.9, 2.6),
        "nan": (1, np.nan, 1.9, 2.6),
        "huge": (1, 1e9, 1.9, 2.6),
        "inf": (1, np.inf, 1.9, 2.6),
    }.items():
        yield case("bad-pixdim", name, REFUSE, pixdim=(*pixdim, 0, 0, 0, 0), sform_code=(0,))
    for unit, ground_truth in {
        0: EITHER,
        1: REFUSE,
        3: REFUSE,
        5: REFUSE,
        2 + 8: ANSWER,
        2 + 16: ANSWER,
        127: REFUSE,
    }.items():
        yield case("units", unit, ground_truth, xyzt_units=(unit,))
    of_kind = partial(case, "dim")
    for name, dim in {"4d-one": (4, 48, 44, 40, 1, 1, 1, 1), "5d-one": (5, 48, 44, 40, 1, 1, 1, 1)}.items():
        yield of_kind(name, EITHER, dim=dim)
    for name, dim in {
        "4d-two": (4, 48, 44, 20, 2, 1, 1, 1),
        "2d": (2, 48, 1760, 1, 1, 1, 1, 1),
        "0d": (0, 48, 44, 40, 1, 1, 1, 1),
        "8d": (8, 48, 44, 40, 1, 1, 1, 1),
        "negative": (3, 48, 44, -40, 1, 1, 1, 1),
        "zero": (3, 48, 0, 40, 1, 1, 1, 1),
        "larger": (3, 48, 44, 41, 1, 1, 1, 1),
        "smaller": (3, 48, 44, 39, 1, 1, 1, 1),
        "huge": (3, 32767, 32767, 32767, 1, 1, 1, 1),
        "negative-ndim": (-3, 48, 44, 40, 1, 1, 1, 1),
    }.items():
        yield of_kind(name, REFUSE, dim=dim)
        yield of_kind(f"{name}-gz", REFUSE, dim=dim, file="scan.nii.gz")


def values() -> Iterator[Case]:
    of_kind = partial(case, "scale")
    for name, (slope, inter) in {"zero": (0.0, 0.0), "zero-with-inter": (0.0, 100.0)}.items():
        yield of_kind(name, EITHER, scl_slope=(slope,), scl_inter=(inter,))
    for name, (slope, inter) in {
        "nan": (np.nan, 0.0),
        "inf": (np.inf, 0.0),
        "nan-inter": (1.0, np.nan),
        "inf-inter": (1.0, np.inf),
    }.items():
        yield of_kind(name, EITHER if np.isnan(slope) else REFUSE, scl_slope=(slope,), scl_inter=(inter,))
    for name, (slope, inter) in {"tiny": (1e-30, 0.0), "huge": (1e30, 0.0), "negative": (-1.0, 0.0)}.items():
        yield of_kind(name, REFUSE, scl_slope=(slope,), scl_inter=(inter,))
    yield built("scale", "half", ANSWER, lambda f: write(f, (sound_hu() * 2).astype("i2"), scl_slope=(0.5,)))
    yield built("scale", "half-of-floats", ANSWER, lambda f: write(f, (sound_hu() * 2).astype("f4"), scl_slope=(0.5,)))
    for name, value in {"nan": np.nan, "inf": -np.inf, "huge": 1e30}.items():
        array = sound_hu().astype("f4")
        array[20, 20, 20] = value
        yield built("voxels", f"one-{name}", EITHER if name == "huge" else REFUSE, lambda f, a=array: write(f, a))
        yield built("voxels", f"all-{name}", REFUSE, lambda f, v=value: write(f, np.full(GRID.shape_zyx, v, "f4")))
    of_kind = partial(built, "not-a-chest")
    for name, hu in no_chests(GRID.shape_zyx):
        yield of_kind(name, REFUSE, lambda f, h=hu: write(f, h))
    tiny = make_grid((12, 10, 9), (1.0, 1.1, 1.2))
    yield of_kind("one-centimetre", REFUSE, lambda f: write(f, tiny.hu(), tiny))
    yield of_kind("mask", REFUSE, lambda f: write(f, (sound_hu() > 0).astype("u1")))


def files() -> Iterator[Case]:
    of_kind = partial(case, "truncated")
    for share in (0.0, 0.0005, 0.002, 0.1, 0.5, 0.9, 0.999):
        yield of_kind(f"nii-{share}", REFUSE, spoil=lambda b, s=share: b[: int(len(b) * s)])
        yield of_kind(f"gz-{share}", REFUSE, file="scan.nii.gz", pack=lambda b, s=share: _cut(gzip.compress(b), s))
        yield of_kind(f"inside-gz-{share}", REFUSE, file="scan.nii.gz", spoil=lambda b, s=share: b[: int(len(b) * s)])
    for cut in (1, 4, 8):
        yield of_kind(f"gz-last-{cut}", REFUSE, file="scan.nii.gz", pack=lambda b, c=cut: gzip.compress(b)[:-c])
    for name, change in {
        "checksum": lambda b: b[:-8] + bytes(4) + b[-4:],
        "size": lambda b: b[:-4] + bytes(4),
        "flipped": lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 4]) + b[len(b) // 2 + 1 :],
        "zeroed": lambda b: b[:3000] + bytes(300) + b[3300:],
        "zlib-instead": lambda b: zlib.compress(gzip.decompress(b)),
    }.items():
        yield case("damaged-gz", name, REFUSE, file="scan.nii.gz", pack=lambda b, c=change: c(gzip.compress(b)))
    yield case("trailing", "two-bytes", EITHER, spoil=lambda b: b + b"\0\0")
    yield case("trailing", "a-slice", EITHER, spoil=lambda b: b + bytes(48 * 44 * 2))
    for offset in (0.0, 100.0, 348.0, 353.0, 360.0, -352.0, 1e9, 3e38, np.nan):
        yield case("vox-offset", offset, REFUSE, vox_offset=(offset,))
    for magic in (b"ni1\0", b"n+2\0", b"xxxx", b"\0\0\0\0"):
        yield case("magic", magic, REFUSE, magic=(magic,))
    for size in (0, 540, -1, 349):
        yield case("magic", f"sizeof-{size}", REFUSE, sizeof_hdr=(size,))

    def extension(size: int, really: int) -> Callable[[bytes], bytes]:
        blob = struct.pack("<4b2i", 1, 0, 0, 0, size, 6) + b"x" * (really - 8)
        return lambda b: b[:348] + blob + b[352:]

    of_kind = partial(case, "extension")
    yield of_kind("sound", ANSWER, spoil=extension(32, 32), vox_offset=(384.0,))
    for size in (0, -16, 7, 2**31 - 1):
        yield of_kind(f"size-{size}", EITHER, spoil=extension(size, 32), vox_offset=(384.0,))
    yield of_kind("over-the-voxels", REFUSE, spoil=extension(64, 32))
    of_kind = partial(case, "bomb")
    yield of_kind("gz-600-mb-behind", EITHER, file="scan.nii.gz", pack=lambda b: gzip_zeros(b, 600))
    yield of_kind(
        "gz-announced",
        REFUSE,
        file="scan.nii.gz",
        dim=(3, 1000, 1000, 400, 1, 1, 1, 1),
        pack=lambda b: gzip_zeros(b[:352], 763),
    )
    yield of_kind("gz-announces-too-much", REFUSE, file="scan.nii.gz", dim=(3, 2000, 2000, 260, 1, 1, 1, 1))
    yield of_kind(
        "float64-announced",
        REFUSE,
        file="scan.nii.gz",
        dim=(3, 1000, 1000, 1000, 1, 1, 1, 1),
        datatype=(64,),
        bitpix=(64,),
    )
    for name, blob in {
        "empty": b"",
        "text": b"hello\n" * 200,
        "random": np.random.default_rng(0).bytes(90000),
        "zeros": bytes(5000),
        "header-only": b"",
    }.items():
        keep = 352 if name == "header-only" else 0
        for suffix in ("nii", "nii.gz"):
            yield case(
                "not-nifti",
                f"{name}-{suffix}",
                REFUSE,
                file=f"scan.{suffix}",
                spoil=lambda b, x=blob, n=keep: b[:n] + x,
                pack=bytes,
            )

    of_kind = partial(built, "special-files")
    yield of_kind("fifo", REFUSE, special_file("scan.nii", os.mkfifo))
    yield of_kind("fifo-gz", REFUSE, special_file("scan.nii.gz", os.mkfifo))
    yield of_kind("folder", REFUSE, special_file("scan.nii", os.mkdir))
    yield of_kind("dangling-link", REFUSE, special_file("scan.nii", lambda p: p.symlink_to("nowhere")))
    yield of_kind("link-in-a-circle", REFUSE, special_file("scan.nii", lambda p: p.symlink_to(p)))
    yield of_kind("dev-zero", REFUSE, special_file("scan.nii", lambda p: p.symlink_to("/dev/zero")))


def _cut(blob: bytes, share: float) -> bytes:
    return blob[: int(len(blob) * share)]


def nifti_cases() -> Iterator[Case]:
    for part in (sound, geometry, values, files):
        yield from part()
