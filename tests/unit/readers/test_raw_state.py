"""The state of a scan's raw files changes exactly when one of them does."""

from __future__ import annotations

import os

import pytest

from lungline.readers.raw import MAX_VOXELS
from lungline.readers.raw_state import raw_state, share_of_memory
from scans import chest, write_dicom, write_mhd

HU = chest((4, 8, 9))


@pytest.fixture
def series(tmp_path):
    write_dicom(tmp_path / "Doe", HU)
    (tmp_path / "link").symlink_to(tmp_path / "Doe")
    return tmp_path / "Doe"


def test_the_state_stays_when_nothing_changes_and_is_that_of_the_link(series):
    before = raw_state(series, "dicom")
    assert len(before.digest) == 16
    assert raw_state(series, "dicom") == raw_state(series.parent / "link", "dicom") == before
    (series / ".hidden").touch()
    assert raw_state(series, "dicom") == before


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("other.dcm")),
        lambda path: path.with_name("more.dcm").touch(),
        lambda path: path.with_name("more.dcm").symlink_to("nowhere"),
        lambda path: path.chmod(0),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns + 1)),  # overwritten in place, size and all
    ],
)
def test_the_state_changes_with_each_file(series, act):
    before = raw_state(series, "dicom")
    act(series / "f000.dcm")
    assert raw_state(series, "dicom") != before


def test_the_pixel_file_of_a_metaimage_counts_and_its_neighbours_do_not(tmp_path):
    path = write_mhd(tmp_path / "a.mhd", HU)
    before = raw_state(path, "mhd")
    write_mhd(tmp_path / "b.mhd", HU)
    assert raw_state(path, "mhd") == before
    (tmp_path / "a.raw").rename(tmp_path / "away")
    gone = raw_state(path, "mhd")
    assert gone != before
    (tmp_path / "away").rename(tmp_path / "a.raw")
    assert raw_state(path, "mhd") == before


def test_a_scan_that_is_gone_has_a_state_too(series):
    link = series.parent / "link"
    before = raw_state(link, "dicom")
    series.rename(series.parent / "away")
    gone = raw_state(link, "dicom")
    assert gone != before
    (series.parent / "away").rename(series)
    assert raw_state(link, "dicom") == before


def test_the_voxels_are_guessed_from_the_sizes_of_the_files(tmp_path):
    write_mhd(tmp_path / "a.mhd", HU)
    write_mhd(tmp_path / "b.mhd", HU, CompressedData="True", ElementDataFile="b.zraw")
    (tmp_path / "b.zraw").write_bytes(bytes(1000))
    (tmp_path / "small").mkdir()
    for number in range(3):
        (tmp_path / "small" / f"{number}.dcm").write_bytes(bytes(1000))
    (tmp_path / "c.nii.gz").write_bytes(bytes(5000))
    header = (tmp_path / "a.mhd").stat().st_size, (tmp_path / "b.mhd").stat().st_size
    assert raw_state(tmp_path / "a.mhd", "mhd").voxels == HU.size + header[0] // 2
    assert raw_state(tmp_path / "b.mhd", "mhd").voxels == 2000 + header[1] // 2
    assert raw_state(tmp_path / "small", "dicom").voxels == 3 * 512 * 512
    assert raw_state(tmp_path / "c.nii.gz", "nifti").voxels == 10_000
    assert raw_state(tmp_path / "gone", "nifti").voxels == 0


def test_a_larger_scan_may_take_more_memory_and_none_more_than_the_largest_accepted():
    adult = 300 * 512 * 512
    shares = [share_of_memory([voxels]) for voxels in (0, adult, 2 * adult, MAX_VOXELS, 2**30)]
    assert shares[0] == shares[1] == 0.4
    assert shares[1] < shares[2] < shares[3] == shares[4] == 1.0
    assert share_of_memory([1, MAX_VOXELS, 7]) == 1.0
    assert share_of_memory([]) == 0.4
