"""`lungline show` prints what a file says about itself, and draws it."""

import json
import zipfile

import numpy as np
import pytest

from lungline import NOTICE
from lungline.cli import main
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.reports.file_view import statistics
from lungline.reports.scan_figures import mosaic
from lungline.stages import show
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from scans import chest, write_dicom, write_nifti


@pytest.fixture
def volume(tmp_path):
    array = np.full((12, 16, 20), -1000, np.int16)
    array[:, 8:, :] = 400  # the back half is bright
    field = Field(array, "zyx", "HU", "a test chest", geometry.make_affine((2.5, 0.8, 0.7), (-12.5, 7, 31)))
    header = Header(
        "ct_hu", "ingest", (Flag("W_GAP_FILLED", "2 slices"),), {"spacing_mm": 1.0}, {"inputs": {"raw": "feed"}}
    )
    hdf5.write_file(tmp_path / "ct.h5", header, {"ct": field})
    return tmp_path / "ct.h5"


@pytest.fixture
def patches(tmp_path):
    cubes = np.zeros((7, 2, 8, 8, 8), np.float16)
    cubes[3, 1] = 1
    centroids = np.full((7, 3), np.nan)
    centroids[:4] = 5
    fields = {
        "patches": Field(cubes, "candidate,channel,z,y,x", "1", "cubes"),
        "valid": Field(np.arange(7) < 4, "candidate", "1", "filled"),
        "centroid_xyz_mm": Field(centroids, "candidate,xyz", "mm", "where"),
    }
    hdf5.write_file(tmp_path / "patches.h5", Header("patches", "crop_patches"), fields)
    return tmp_path / "patches.h5"


def test_header_and_fields_are_printed(volume, capsys):
    show.run(volume)
    printed = capsys.readouterr().out
    for words in (
        "quantity    ct_hu",
        "stage       ingest",
        "status      warned",
        "W_GAP_FILLED [2 slices]: a few missing slices were interpolated",
        "spacing_mm = 1.0",
        'inputs = {"raw": "feed"}',
        NOTICE,
        "ct: a test chest",
        "shape (12, 16, 20) (zyx), int16, unit HU",
        "spacing (z, y, x) (2.5, 0.8, 0.7) mm, origin (x, y, z) (-12.5, 7, 31) mm",
        "min -1000, mean -300, max 400",
    ):
        assert words in printed


def test_a_quarantined_file_says_why(tmp_path, capsys):
    hdf5.write_file(tmp_path / "q.h5", Header("ct_hu", "ingest", (Flag("Q_NO_GEOMETRY"), Flag("Q_NEW"))), {})
    show.run(tmp_path / "q.h5", png=tmp_path / "q.png")
    printed = capsys.readouterr().out
    assert "status      quarantined" in printed
    assert "Q_NEW: unknown" in printed
    assert (tmp_path / "q.png").stat().st_size > 1000


def test_patches_are_a_mosaic(patches, tmp_path, capsys):
    show.run(patches, png=tmp_path / "p.png")
    printed = capsys.readouterr().out
    assert "4 of 7 true" in printed
    assert "9 not finite" in printed
    assert (tmp_path / "p.png").stat().st_size > 1000
    image = mosaic(hdf5.read_array(patches, "patches"))
    assert image.shape == (16, 80)
    assert image[:8, 3 * 16 + 8 : 4 * 16].all()  # cube 3, channel 1
    assert image.sum() == 64


def test_a_picture_file_is_written(volume, tmp_path):
    show.run(volume, png=tmp_path / "ct.png")
    assert (tmp_path / "ct.png").read_bytes().startswith(b"\x89PNG")


def test_tables_cards_and_weights_are_shown_too(tmp_path, capsys):
    import torch

    from lungline.storage.weights import write_tensors

    (tmp_path / "c.csv").write_text("scan,rank\na,1\n")
    (tmp_path / "card.json").write_text(json.dumps({"purpose": "test"}))
    write_tensors(tmp_path / "w.safetensors", {"w": torch.zeros(2, 3)}, {"purpose": "weights of a test"})
    for name in ("c.csv", "card.json", "w.safetensors"):
        show.run(tmp_path / name)
    printed = capsys.readouterr().out
    assert "scan,rank\na,1" in printed
    assert '"purpose": "test"' in printed
    assert "tensor      w: F32 (2, 3)" in printed
    assert "purpose     weights of a test" in printed


def test_a_file_that_is_not_there_or_not_ours_is_refused(tmp_path):
    with pytest.raises(LunglineError, match="no such file"):
        show.run(tmp_path / "none.h5")
    (tmp_path / "x.h5").write_bytes(b"not HDF5")
    with pytest.raises(LunglineError, match="damaged or unreadable"):
        show.run(tmp_path / "x.h5")


def test_statistics_of_empty_and_missing_values():
    assert statistics(np.array([])) == "no finite value"
    assert statistics(np.array([np.nan])) == "no finite value, 1 not finite"
    assert statistics(np.array([True, False])) == "1 of 2 true"


def test_a_text_is_shown_piece_by_piece(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(show, "_PIECE", 3)
    (tmp_path / "a.csv").write_text("a,ü✓\x1b\nb,1\n", encoding="utf-8")
    show.run(tmp_path / "a.csv")
    assert capsys.readouterr().out == "a,ü✓\\x1b\nb,1\n"


def test_a_terminal_does_not_obey_what_a_file_holds(tmp_path, capsys):
    import torch

    from lungline.storage.weights import write_tensors

    evil = "a\x1b]0;owned\x07"
    hdf5.write_file(tmp_path / "q.h5", Header(evil, "ingest", (Flag("Q_NEW", evil),), {evil: evil}), {})
    (tmp_path / "c.csv").write_bytes(b"scan\n" + evil.encode() + b"\xe9\n")
    write_tensors(tmp_path / "w.safetensors", {evil: torch.zeros(1)}, {"purpose": evil})
    for name in ("q.h5", "c.csv", "w.safetensors"):
        show.run(tmp_path / name)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert printed.count("\\x1b]0;owned\\x07") == 7
    assert "scan\n" in printed


def test_a_scan_is_shown_as_it_would_be_read_from_any_container(tmp_path, capsys):
    hu = chest()
    write_dicom(tmp_path / "series", hu)
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in (tmp_path / "series").iterdir():
            archive.write(file, f"SE1/{file.name}")
    write_nifti(tmp_path / "a.nii.gz", hu)
    said = []
    for name in ("series", "study.zip", "study.zip/SE1", "a.nii.gz"):
        assert main(["show", str(tmp_path / name)]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2] == said[3].replace("source = nifti", "source = dicom")
    assert "shape (12, 30, 40) (zyx), int16, unit HU" in said[0]
    main(["show", str(tmp_path / "series"), "--png", str(tmp_path / "a.png")])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
