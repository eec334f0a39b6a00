"""One command: read an input at and above the limit of each reader, and say what that cost.

    python -m tests.conformance.limits [--only WORD]

The exit code is 1 if a reading took more memory than `lungline.limits` states for its reader, or did not end in an
answer or in words. Seconds are told and not judged: they are those of this machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom

from lungline import limits
from lungline.errors import LunglineError
from lungline.evaluation.array_pickles import read_arrays
from lungline.evaluation.mark_readers import read_json, read_xml
from lungline.nodules.patient import read_patient
from lungline.privacy.scan_list import list_plain_folder
from lungline.readers.listing import read_labels
from lungline.stages import ingest
from lungline.storage import hdf5
from lungline.storage.foreign_files import read_json as read_card
from tests.conformance.robustness.decompression_bombs import deflated_zeros, gzip_zeros
from tests.scans import chest, write_dicom, write_mhd, write_nifti

HU = chest()
Case = tuple[str, str, Callable[[Path], object]]


def _scan(change: Callable[[Path], Path], source: str) -> Callable[[Path], object]:
    """List what `change` makes in a folder, then ingest it with its identifiers; the flags."""

    def read(folder: Path) -> object:
        raw = change(folder / "in")
        found = list_plain_folder(folder / "in", folder / "out", None).scans
        path = found[0].path if source == "zip" else raw
        ingest.run(
            path,
            folder / "ct.h5",
            source=found[0].row.source if source == "zip" else source,  # type: ignore[arg-type]
            identity=folder / "private/identity.json",
        )
        return [flag.flag for flag in hdf5.read_header(folder / "ct.h5").flags] or "read"

    return read


def _slice_of(folder: Path, change: Callable[[Path], object]) -> Path:
    change(sorted(write_dicom(folder / "a", HU).iterdir())[3])
    return folder / "a"


def _deflate(file: Path) -> None:
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(file)
    content = file.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    file.write_bytes(content[:end] + deflated_zeros(b"", 3000))


def _beside(folder: Path) -> Path:
    write_dicom(folder / "a", HU)
    (folder / "a/film.bin").touch()
    os.truncate(folder / "a/film.bin", 10 * limits.GIB)
    return folder / "a"


def _longer(path: Path, size: int, which: str = "") -> Path:
    file = next(one for one in path.parent.iterdir() if one.name.endswith(which or path.name))
    os.truncate(file, size)
    return path


def _zip_of_folders(folder: Path) -> Path:
    content = sorted(write_dicom(folder.parent / "made", HU).iterdir())[0].read_bytes()
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3000):
            archive.writestr(f"{number}/a.dcm", content)
    return folder / "a.zip"


def _file(content: Callable[[], bytes], read: Callable[[Path], object], name: str = "x") -> Callable[[Path], object]:
    def asked(folder: Path) -> object:
        (folder / name).write_bytes(content())
        return "read" if read(folder / name) is not None else "nothing"

    return asked


_LINES, _VALUES, _PARTS = limits.MAX_TABLE_LINES - 1, limits.MAX_JSON_VALUES, limits.MAX_XML_PARTS - 1
CASES: tuple[Case, ...] = (
    ("DICOM", "a slice of 10 GiB, sparse", _scan(lambda f: _slice_of(f, lambda s: os.truncate(s, 10 << 30)), "dicom")),
    ("DICOM", "10 GiB, sparse, beside slices", _scan(_beside, "dicom")),
    ("DICOM", "deflated, 3,000 MiB of zeros", _scan(lambda f: _slice_of(f, _deflate), "dicom")),
    (
        "DICOM",
        "gzipped, 3,000 MiB of zeros",
        _scan(lambda f: _slice_of(f, lambda s: s.write_bytes(gzip_zeros(s.read_bytes(), 3000))), "dicom"),
    ),
    ("MetaImage", "pixels of 10 GiB", _scan(lambda f: _longer(write_mhd(f / "a.mhd", HU), 10 << 30, "raw"), "mhd")),
    ("NIfTI, also gzipped; NRRD", "10 GiB", _scan(lambda f: _longer(write_nifti(f / "a.nii", HU), 10 << 30), "nifti")),
    ("zip", "3,000 folders, listed, one ingested", _scan(_zip_of_folders, "zip")),
    ("tables", "a line above", _file(lambda: b"id,cancer\n" + b"1,0\n" * (_LINES + 1), read_labels)),
    ("JSON of marks", "a value above", _file(lambda: b"[" + b"[]," * (_VALUES // 2) + b"0]", read_json)),
    ("XML of marks, LIDC", "an element above", _file(lambda: b"<a>" + b"<b/>" * (_PARTS + 1) + b"</a>", read_xml)),
    (
        "pickles of nnDetection",
        "a value named by 2 ** 31",
        _file(lambda: b"\x80\x04}r\xff\xff\xff\x7f.", read_arrays),
    ),
    ("manifest and cards of models", "at it", _file(lambda: b'{"a":[' + b"[]," * 5_592_400 + b"0]}", read_card)),
    (
        "`patient.yaml`, configuration",
        "at it",
        _file(lambda: b"[" * 200 + b"a," * ((limits.MAX_YAML_BYTES - 500) // 2) + b"]" * 200, read_patient),
    ),
    ("JSON of marks", "at it", _file(lambda: b"[" + b"[]," * (_VALUES // 2 - 1) + b"0]", read_json)),
    ("XML of marks, LIDC", "at it", _file(lambda: b"<a>" + b"<b/>" * _PARTS + b"</a>", read_xml)),
    ("tables", "at it", _file(lambda: b"id,cancer\n" + b"1,0\n" * _LINES, read_labels)),
)


def measured(ask: Callable[[Path], object]) -> tuple[str, float, int]:
    """How a reading in a fork ended, in words; its seconds; bytes that it, or its child, took beyond the fork's own."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="lungline-limits-") as folder:
        if not (child := os.fork()):
            said = "2 0 0 died"
            try:
                before, started = _peak(resource.RUSAGE_SELF), time.monotonic()
                try:
                    end = f"0 {ask(Path(folder))}"
                except LunglineError as error:
                    end = f"0 refused: {str(error).splitlines()[0].replace(folder, '')[:100]}"
                except BaseException as error:
                    end = f"1 {type(error).__name__}: {error}"
                took = time.monotonic() - started
                peak = max(_peak(resource.RUSAGE_SELF), _peak(resource.RUSAGE_CHILDREN)) - before
                said = f"{end[0]} {took} {peak} {end[2:]}"
            finally:
                os.write(writing, said.encode())
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            failed, seconds, peak_bytes, words = pipe.read().decode().split(" ", 3)
        os.waitpid(child, 0)
    return ("FAILED: " if failed != "0" else "") + words, float(seconds), int(peak_bytes)


def _peak(who: int) -> int:
    return resource.getrusage(who).ru_maxrss << 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.limits", description=__doc__)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    only = parser.parse_args().only
    print("| reader | input | end | seconds | memory, MiB | stated, MiB |\n|---|---|---|---|---|---|", flush=True)
    wrong = 0
    for reader, what, ask in CASES:
        if only not in reader:
            continue
        words, seconds, peak = measured(ask)
        stated = limits.READERS[reader].memory_bytes
        wrong += peak > stated or words.startswith("FAILED")
        print(f"| {reader} | {what} | {words} | {seconds:.1f} | {peak >> 20} | {stated >> 20} |", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
