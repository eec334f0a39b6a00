"""A scan in a zip is read as one in a folder; a hostile zip costs one scan, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lungline.errors import LunglineError, Quarantine
from lungline.readers import zips
from lungline.readers.raw_state import raw_state
from lungline.stages import ingest, manifest
from lungline.storage import hdf5
from lungline.storage.scan_rows import read_manifest
from scans import chest, write_dicom, write_mhd, write_nifti

HU = chest()


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files; the test fails if anything is left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def zip_of(path: Path, folder: Path, **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def study(tmp_path):
    """A zip as hospitals hand it out: two series, a list of them, a note; and a MetaImage and a NIfTI beside."""
    folder = tmp_path / "study"
    write_dicom(folder / "DICOM/ST1/SE1", HU)
    for file in write_dicom(folder / "DICOM/ST1/SE2", HU[::-1]).iterdir():
        file.rename(file.with_suffix(""))  # known by the mark alone
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "README.TXT").write_text("read me")
    write_mhd(folder / "more/1.2.3.4.5.6.mhd", HU)
    write_nifti(folder / "more/b.nii.gz", HU)
    return zip_of(tmp_path / "Doe^Jane.zip", folder)


def ingested(raw: Path, source: str, output: Path) -> tuple[hdf5.Header, np.ndarray | None]:
    ingest.run(raw, output, source=source)
    header = hdf5.read_header(output)
    return header, None if header.status == "quarantined" else hdf5.read_volume(output, "ct").array


def test_every_scan_of_a_zip_is_that_of_the_folder_to_the_last_bit(study, tmp_path) -> None:
    found = {path.relative_to(study).as_posix(): source for path, source in zips.scans_in_zip(study)}
    assert found == {
        "DICOM/ST1/SE1": "dicom",
        "DICOM/ST1/SE2": "dicom",
        "more/1.2.3.4.5.6.mhd": "mhd",
        "more/b.nii.gz": "nifti",
    }
    for place, source in found.items():
        ours, hu = ingested(study / place, source, tmp_path / "a.h5")
        theirs, expected = ingested(tmp_path / "study" / place, source, tmp_path / "b.h5")
        assert np.array_equal(hu, expected)
        assert ours == theirs


def test_a_manifest_lists_zips_and_their_scans_are_read_through_its_links(study, tmp_path) -> None:
    folder = tmp_path / "all"
    write_dicom(folder / "plain", HU)
    (folder / "zips").mkdir()
    study.rename(folder / "zips/Doe.ZIP")
    manifest.run("folder", folder, tmp_path / "out")
    rows = read_manifest(tmp_path / "out/manifest.csv")
    assert sorted(row.source for row in rows) == ["dicom", "dicom", "dicom", "mhd", "nifti"]
    identity = tmp_path / "private/identity.json"
    hashes = set()
    for row in rows:
        ingest.run(tmp_path / "out/private/raw" / row.scan, tmp_path / "c.h5", source=row.source, identity=identity)
        header = hdf5.read_header(tmp_path / "c.h5")
        assert header.status != "quarantined"
        assert "Doe" not in repr(header)
        assert "SeriesInstanceUID" in identity.read_text() or row.source == "nifti"
        hashes.add(header.provenance["raw_sha256"])
    assert len(hashes) == 4  # `plain` is a copy of SE1


def test_a_scan_at_the_top_of_a_zip_that_a_link_names(tmp_path) -> None:
    zip_of(tmp_path / "a.zip", write_dicom(tmp_path / "a", HU))
    (tmp_path / "b.zip").symlink_to("a.zip")
    (tmp_path / "link").symlink_to(tmp_path / "b.zip")
    assert zips.scans_in_zip(tmp_path / "b.zip") == [(tmp_path / "b.zip", "dicom")]
    assert np.array_equal(ingested(tmp_path / "link", "dicom", tmp_path / "o.h5")[1], HU)
    assert zips.place_in_zip(tmp_path / "a") is None


def test_a_folder_or_a_file_in_a_zip_may_be_named(study, tmp_path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    for place, count in (("DICOM", 2), ("DICOM/ST1/SE2", 1), ("more/b.nii.gz", 1)):
        out = tmp_path / "out" / place
        manifest.run("folder", tmp_path / "here" / study.name / place, out)
        rows = read_manifest(out / "manifest.csv")
        assert len(rows) == count
        ingest.run(out / "private/raw" / rows[0].scan, out / "ct.h5", source=rows[0].source)
        assert hdf5.read_header(out / "ct.h5").status != "quarantined"
    with pytest.raises(LunglineError, match="Found none"):
        manifest.run("folder", study / "nowhere", tmp_path / "out")


def test_the_state_of_a_scan_is_that_of_its_zip(study) -> None:
    before = raw_state(study / "DICOM/ST1/SE1", "dicom")
    assert before != raw_state(study / "more/b.nii.gz", "nifti")
    os.utime(study, ns=(1, study.stat().st_mtime_ns + 1))
    assert raw_state(study / "DICOM/ST1/SE1", "dicom") != before


def test_the_copy_is_readable_by_its_owner_alone_and_gone_after_an_error(study, temporary) -> None:
    with suppress(KeyError), zips.unpacked(study / "DICOM/ST1/SE1", "dicom") as folder:
        seen = stat.S_IMODE(folder.stat().st_mode), len(list(folder.iterdir()))
        raise KeyError
    assert seen == (0o700, len(HU))
    assert not folder.exists()


def test_what_a_killed_process_left_is_removed_and_what_another_holds_is_not(study, temporary) -> None:
    left, fresh = temporary / "lungline-zip-left", temporary / "lungline-zip-fresh"
    for folder in (left, fresh):
        folder.mkdir()
        (folder / "secret.dcm").touch()
    os.utime(left, (1, 1))
    with zips.unpacked(study / "more/b.nii.gz", "nifti") as first:
        os.utime(first.parent, (1, 1))
        with zips.unpacked(study / "more/b.nii.gz", "nifti"):
            assert first.is_file()
    assert not left.exists()
    shutil.rmtree(fresh)


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def mode(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed(("a.dcm", b"1"), ("a.dcm", b"2"))


def encrypted() -> bytes:
    content = bytearray(packed(("a.dcm", b"secret")))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def lying_size() -> bytes:
    """An entry that says it is small and unpacks to 16 MB."""
    content = bytearray(packed(("a.dcm", bytes(1 << 24))))
    for at in (22, content.index(b"PK\1\2") + 24):
        content[at : at + 4] = struct.pack("<I", 1000)
    return bytes(content)


def huge_size() -> bytes:
    content = bytearray(packed(("a.dcm", b"small")))
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", (1 << 31) + 1)
    return bytes(content)


def flipped() -> bytes:
    content = bytearray(packed(("a.dcm", np.random.default_rng(0).bytes(5000)), method=zipfile.ZIP_STORED))
    content[2000] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("make", "flag", "words"),
    [
        (lambda: packed(("../../evil.dcm", b"x")), "Q_BAD_ZIP", "leads out"),
        (lambda: packed(("/etc/evil.dcm", b"x")), "Q_BAD_ZIP", "leads out"),
        (lambda: packed(("C:/evil.dcm", b"x")), "Q_BAD_ZIP", "leads out"),
        (lambda: packed(("a\\..\\evil.dcm", b"x")), "Q_BAD_ZIP", "leads out"),
        (lambda: packed((mode("a.dcm", stat.S_IFLNK), b"/etc/passwd")), "Q_BAD_ZIP", "link"),
        (lambda: packed((mode("a.dcm", stat.S_IFIFO), b"")), "Q_BAD_ZIP", "link or a device"),
        (lambda: packed(("a.dcm", b"x"), ("b.zip", packed(("c", b"")))), "Q_BAD_ZIP", "another zip"),
        (lambda: packed(("a.dcm", b"x" * 99), method=zipfile.ZIP_BZIP2), "Q_BAD_ZIP", "method 12"),
        (lambda: packed(*((f"{n}.dcm", b"") for n in range(20_001)), method=zipfile.ZIP_STORED), "Q_LIMIT", "20001"),
        (twice, "Q_BAD_ZIP", "twice"),
        (encrypted, "Q_BAD_ZIP", "encrypted"),
        (lying_size, "Q_BAD_ZIP", "BadZipFile"),
        (huge_size, "Q_LIMIT", "2147483649 bytes"),
        (flipped, "Q_BAD_ZIP", "BadZipFile"),
        (lambda: packed(("a.dcm", bytes(999)))[:-30], "Q_BAD_ZIP", "cannot be read as a zip"),
        (lambda: b"no zip at all", "Q_BAD_ZIP", "cannot be read as a zip"),
    ],
)
def test_a_hostile_zip_is_one_quarantined_scan(make: Callable[[], bytes], flag, words, tmp_path, temporary) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/Doe.zip").write_bytes(make())
    write_dicom(tmp_path / "in/good", HU)
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    manifest.run("folder", tmp_path / "in", tmp_path / "out")
    found = {}
    for row in read_manifest(tmp_path / "out/manifest.csv"):
        ingest.run(tmp_path / "out/private/raw" / row.scan, tmp_path / "out/ct.h5", source=row.source)
        header = hdf5.read_header(tmp_path / "out/ct.h5")
        found[header.status == "quarantined"] = header
    assert sorted(found) == [False, True]
    assert found[True].flags[0].flag == flag
    assert words in found[True].flags[0].detail
    assert "Doe" not in repr(found[True])
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before


def test_a_bomb_of_two_gigabytes_costs_neither_memory_nor_disk(tmp_path) -> None:
    (tmp_path / "bomb.zip").write_bytes(huge_size())
    start = time.monotonic()
    with pytest.raises(Quarantine, match="Q_LIMIT"), zips.unpacked(tmp_path / "bomb.zip", "dicom"):
        pass
    assert time.monotonic() - start < 5


def test_a_zip_without_scans_is_none(tmp_path) -> None:
    (tmp_path / "code.zip").write_bytes(packed(("main.py", b"print()"), ("docs/", b"")))
    assert zips.scans_in_zip(tmp_path / "code.zip") == []


@pytest.mark.parametrize("seed", range(20))
def test_no_mutant_of_a_zip_raises_anything_but_a_quarantine(seed, tmp_path) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(packed(("s/a.dcm", rng.bytes(300)), ("s/b.dcm", bytes(300)), ("c.nii", b"")))
    for at in rng.integers(0, len(content), rng.integers(1, 9)):
        content[at] = rng.integers(256)
    (tmp_path / "m.zip").write_bytes(content[: rng.integers(1, len(content))] if seed % 4 == 0 else content)
    for path, source in zips.scans_in_zip(tmp_path / "m.zip"):
        with suppress(Quarantine), zips.unpacked(path, source) as place:
            assert place.exists()
