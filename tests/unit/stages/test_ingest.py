"""Ingest: a scan becomes HU, or a file that says why not; never a crash."""

from __future__ import annotations

import numpy as np
import pytest

from lungline.cli import main
from lungline.readers.scan import hash_of_files, raw_files
from lungline.stages import ingest
from lungline.storage import hdf5
from scans import chest, write_dicom, write_mhd

HU = chest()


def test_a_scan_becomes_a_file_that_knows_its_raw_files(tmp_path):
    raw = write_dicom(tmp_path / "raw", HU)
    ingest.run(raw, tmp_path / "a.h5", source="dicom")
    header = hdf5.read_header(tmp_path / "a.h5")
    assert (header.status, header.quantity, header.stage) == ("ok", "ct_hu", "ingest")
    assert header.provenance["raw_sha256"] == hash_of_files(raw_files(raw, "dicom"))
    assert header.provenance["raw_files"] == len(HU)
    ct = hdf5.read_volume(tmp_path / "a.h5", "ct")
    assert ct.array.dtype == np.int16
    np.testing.assert_array_equal(ct.array, HU)


def test_the_same_scan_gives_the_same_bytes_and_no_path_of_it(tmp_path):
    for name in ("one", "two"):
        write_mhd(tmp_path / f"Doe-{name}" / "Jane.mhd", HU, ElementDataFile="Jane.raw")
        ingest.run(tmp_path / f"Doe-{name}" / "Jane.mhd", tmp_path / f"{name}.h5", source="mhd")
    one, two = ((tmp_path / f"{name}.h5").read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"Doe" not in one
    assert b"Jane" not in one


def test_a_warning_travels_with_the_scan(tmp_path):
    raw = write_dicom(tmp_path / "raw", HU)
    (raw / "Thumbs.db").write_bytes(b"x")
    ingest.run(raw, tmp_path / "a.h5", source="dicom")
    header = hdf5.read_header(tmp_path / "a.h5")
    assert header.status == "warned"
    assert [flag.flag for flag in header.flags] == ["W_FILES_SKIPPED"]


@pytest.mark.parametrize(
    ("make", "source", "flag"),
    [
        (lambda p: write_mhd(p / "a.mhd", HU, DimSize="1 2"), "mhd", "Q_BAD_MHD"),
        (lambda p: write_mhd(p / "a.mhd", np.full_like(HU, -700)), "mhd", "Q_BAD_VOXELS"),
        (lambda p: write_mhd(p / "a.mhd", np.minimum(HU, -900)), "mhd", "Q_NOT_CHEST_CT"),
        (lambda p: write_mhd(p / "a.mhd", HU, ElementSpacing="0.2 0.2 0.2"), "mhd", "Q_NOT_CHEST_CT"),
        (lambda p: write_dicom(p / "a", HU, change=lambda k, d: delattr(d, "PixelSpacing")), "dicom", "Q_NO_GEOMETRY"),
        (lambda p: write_mhd(p / "a.nii", HU), "nifti", "Q_BAD_NIFTI"),
    ],
)
def test_a_scan_that_cannot_be_used_is_a_file_and_exit_code_0(tmp_path, make, source, flag):
    raw = make(tmp_path)
    assert main(["ingest", str(raw), str(tmp_path / "out.h5"), "--source", source]) == 0
    header = hdf5.read_header(tmp_path / "out.h5")
    assert header.status == "quarantined"
    assert [found.flag for found in header.flags] == [flag]
    assert header.provenance["raw_sha256"]
    assert hdf5.field_names(tmp_path / "out.h5") == []


def test_raw_files_that_cannot_be_read_are_named_without_their_name(tmp_path, monkeypatch):
    raw = write_dicom(tmp_path / "Doe", HU)

    def denied(files):
        raise PermissionError(13, "Permission denied", str(raw))

    monkeypatch.setattr(ingest, "hash_of_files", denied)
    ingest.run(raw, tmp_path / "a.h5", source="dicom")
    [flag] = hdf5.read_header(tmp_path / "a.h5").flags
    assert (flag.flag, flag.detail) == ("Q_UNREADABLE", "PermissionError")


@pytest.mark.data
@pytest.mark.parametrize(
    ("raw", "source", "shape"),
    [
        ("chest-ct/cip-ct64", "dicom", (79, 64, 64)),
        ("chest-ct/lungfcp-0001-upper.mhd", "mhd", (98, 512, 512)),
        ("chest-ct/lung-dx-a0002", "dicom", (30, 512, 512)),
    ],
)
def test_real_chests_and_parts_of_chests_are_taken(sample_data, tmp_path, raw, source, shape):
    ingest.run(sample_data / raw, tmp_path / "a.h5", source=source)
    assert hdf5.read_header(tmp_path / "a.h5").status == "ok"
    assert hdf5.read_grid(tmp_path / "a.h5", "ct")[0] == shape


@pytest.mark.data
def test_real_slabs_around_a_nodule_are_taken(sample_data, tmp_path):
    for path in sorted((sample_data / "luna16-format").glob("*.mhd")):
        ingest.run(path, tmp_path / "a.h5", source="mhd")
        assert hdf5.read_header(tmp_path / "a.h5").status == "ok"


def test_a_mistake_of_ours_is_reported_without_its_words(tmp_path, monkeypatch, capsys):
    raw = write_dicom(tmp_path / "raw", HU)

    def wrong(path, source):
        raise ValueError("cannot convert 'Doe^Jane'")

    monkeypatch.setattr(ingest, "read_scan", wrong)
    assert main(["ingest", str(raw), str(tmp_path / "a.h5"), "--source", "dicom"]) == 2
    said = capsys.readouterr().err
    assert "ValueError in test_ingest.py, line" in said
    assert "Doe" not in said
    assert not (tmp_path / "a.h5").exists()


def test_a_transfer_syntax_is_named_only_if_dicom_knows_it(tmp_path):
    known, strange = "1.2.840.10008.1.20", "1.2.Doe"
    for syntax, told in ((known, f"transfer syntax {known}"), (strange, "that DICOM does not define")):
        raw = write_dicom(tmp_path / syntax, HU)
        for path in raw.iterdir():
            path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", syntax.ljust(20, "\0").encode(), 1))
        ingest.run(raw, tmp_path / "a.h5", source="dicom")
        [flag] = hdf5.read_header(tmp_path / "a.h5").flags
        assert flag.flag == "Q_UNSUPPORTED_SYNTAX"
        assert told in flag.detail


def test_a_scan_whose_files_are_gone_is_quarantined_and_named_without_its_place(tmp_path):
    (tmp_path / "scan-1").symlink_to(tmp_path / "Doe")
    assert main(["ingest", str(tmp_path / "scan-1"), str(tmp_path / "a.h5"), "--source", "dicom"]) == 0
    [flag] = hdf5.read_header(tmp_path / "a.h5").flags
    assert flag.flag == "Q_UNREADABLE"
    assert b"Doe" not in (tmp_path / "a.h5").read_bytes()
    assert main(["ingest", str(tmp_path / "scan-2"), str(tmp_path / "b.h5"), "--source", "dicom"]) == 2
