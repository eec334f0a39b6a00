"""A file that has changed since it was written is never used: its checksum differs, and it is quarantined."""

import subprocess

import pytest

from lungline import cli
from lungline.detection.candidates import write_candidates
from lungline.errors import DamagedFileError
from lungline.stages import (
    cache_volume,
    crop_patches,
    describe_nodules,
    detect,
    extract_candidates,
    rasterise_nodules,
    render_figures,
    resample,
    segment_lungs,
)
from lungline.storage import checksums, hdf5
from lungline.storage.checksums import check, checksum_path, lineage_of, read_checksum, write_checksummed_text
from lungline.storage.hdf5 import Flag, Header
from stage_settings import CACHE, CANDIDATES, DETECT, LUNGS, PATCHES, RESAMPLE
from untrained import untrained_models


def damage(path):
    """Flip the last bit of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    checksums.sha256_of_this_moment.cache_clear()


def unusable_scan(path):
    """A sound file without fields: every stage passes it on without work."""
    hdf5.write_file(path, Header("ct_hu", "ingest", (Flag("Q_NO_GEOMETRY"),)), {})
    return path


def test_a_checksum_is_what_sha256sum_writes_and_checks(tmp_path):
    write_checksummed_text(tmp_path / "in" / "a.csv", "a\n")
    with lineage_of("resample") as lineage:
        check(tmp_path / "in" / "a.csv")
        lineage.raw = ("ab" * 32,)
        write_checksummed_text(tmp_path / "out" / "b.csv", "b\n")
    command = ["sha256sum", "--check", "--strict", ".b.csv.sha256"]
    answer = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert answer.stdout == "b.csv: OK\n../in/a.csv: OK\n"
    checksum = read_checksum(tmp_path / "out" / "b.csv")
    assert checksum.inputs == {"../in/a.csv": check(tmp_path / "in" / "a.csv")}
    assert (checksum.stage, checksum.raw) == ("resample", ("ab" * 32,))


def test_a_file_without_a_checksum_is_read(tmp_path):
    (tmp_path / "a.csv").write_text("a\n")
    assert check(tmp_path / "a.csv") == checksums.sha256(tmp_path / "a.csv")


@pytest.mark.parametrize("content", ["", "no checksum\n", "0" * 64 + "  other.csv\n", "\0\xff"])
def test_a_checksum_that_is_none_fits_no_file(tmp_path, content):
    write_checksummed_text(tmp_path / "a.csv", "a\n")
    checksum_path(tmp_path / "a.csv").write_text(content)
    with pytest.raises(DamagedFileError, match=r"a\.csv: changed since it was written"):
        check(tmp_path / "a.csv")


def test_a_write_that_fails_leaves_file_and_checksum(tmp_path):
    write_checksummed_text(tmp_path / "a.csv", "a\n")
    with pytest.raises(UnicodeEncodeError):
        write_checksummed_text(tmp_path / "a.csv", "\ud800")
    assert check(tmp_path / "a.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.csv.sha256", "a.csv"]


def test_a_file_is_hashed_once_as_long_as_it_stays(tmp_path):
    write_checksummed_text(tmp_path / "a.csv", "a\n")
    checksums.sha256_of_this_moment.cache_clear()
    assert check(tmp_path / "a.csv") == check(tmp_path / "a.csv")
    assert checksums.sha256_of_this_moment.cache_info().misses == 1


STAGES = {
    "resample": lambda h5, out: resample.run(h5, out, **RESAMPLE),
    "segment_lungs": lambda h5, out: segment_lungs.run(h5, out, **LUNGS),
    "cache_volume": lambda h5, out: cache_volume.run(h5, h5, out, **CACHE),
    "rasterise_nodules": lambda h5, out: rasterise_nodules.run(h5, h5.with_name("a.csv"), out, scan="s"),
    "detect": lambda h5, out: detect.run(h5.parent, out, scans=["s"], detector=h5.parent / "detector", **DETECT),
    "extract_candidates": lambda h5, out: extract_candidates.run(h5.parent, out, scans=["s"], **CANDIDATES),
    "crop_patches": lambda h5, out: crop_patches.run(
        out,
        scans=["s"],
        **dict.fromkeys(("caches", "detected", "candidates", "labels"), h5.parent),
        **PATCHES,
    ),
    "render_figures": lambda h5, out: render_figures.run(
        out,
        scan="s",
        **dict.fromkeys(("volume", "lungs", "cache", "detected"), h5),
        candidates=h5.with_name("c.csv"),
        config=h5.with_name("config.json"),
        detector="best",
    ),
    "describe_nodules": lambda h5, out: describe_nodules.run(
        out.with_name(f"{out.name}.json"),
        scan="s",
        ingested=h5,
        volume=h5,
        lungs=h5,
        labels=h5,
        candidates=h5.with_name("c.csv"),
    ),
}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_uses_a_damaged_input(tmp_path, stage):
    h5 = unusable_scan(tmp_path / "s.h5")
    (tmp_path / "a.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    untrained_models(tmp_path)
    for name in ("c.csv", "s.csv"):
        write_candidates(tmp_path / name, "s", [])
    STAGES[stage](h5, tmp_path / "sound")
    damage(h5)
    with pytest.raises(DamagedFileError):
        STAGES[stage](h5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", ["s.csv", "detector/z/weights.safetensors"])
def test_candidates_and_weights_are_checked_too(tmp_path, damaged):
    h5 = unusable_scan(tmp_path / "s.h5")
    write_candidates(tmp_path / "s.csv", "s", [])
    untrained_models(tmp_path)
    damage(tmp_path / damaged)
    with pytest.raises(DamagedFileError):
        STAGES["crop_patches" if damaged == "s.csv" else "detect"](h5, tmp_path / "out.h5")


def test_the_command_line_sets_a_damaged_file_aside_and_says_what_to_do(tmp_path, capsys):
    damage(unusable_scan(tmp_path / "s.h5"))
    assert cli.main(["resample", str(tmp_path / "s.h5"), str(tmp_path / "out.h5"), "--spacing-mm", "1"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "s.h5: changed since it was written" in said
    assert "quarantined as s.h5.damaged: run the same command again and it is made anew" in said
    assert not (tmp_path / "s.h5").exists()
    assert (tmp_path / "s.h5.damaged").is_file()


def test_a_damaged_file_that_cannot_be_set_aside_is_said_so(tmp_path, monkeypatch):
    path = unusable_scan(tmp_path / "s.h5")

    def denied(*_):
        raise PermissionError

    monkeypatch.setattr(checksums.os, "replace", denied)
    assert "could not be quarantined (PermissionError): remove it" in checksums.quarantine(path)


def test_looking_at_a_damaged_file_leaves_it_where_it_is(tmp_path, capsys):
    path = unusable_scan(tmp_path / "s.h5")
    damage(path)
    assert cli.main(["show", str(path)]) == 2
    assert "changed since it was written" in capsys.readouterr().err
    assert path.is_file()
