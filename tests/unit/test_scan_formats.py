"""The one list of formats: whatever stands there can be listed, read and kept in a manifest."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from lungline.errors import LunglineError
from lungline.readers.by_format import reader_of
from lungline.readers.census import Census
from lungline.readers.raw import lies_around
from lungline.scan_formats import FORMATS, Source, is_sniffed, scan_suffix, source_of_name
from lungline.storage.scan_rows import ScanRow


@pytest.mark.parametrize("source", FORMATS)
def test_every_format_has_a_reader_and_may_stand_in_a_manifest(source) -> None:
    assert callable(reader_of(source).read)
    assert ScanRow("a", source, "folder", "test").source == source
    assert source in get_args(Source)


def test_a_word_that_is_no_format_has_neither() -> None:
    with pytest.raises(LunglineError, match="one of dicom, mhd, nifti"):
        reader_of("png")
    with pytest.raises(LunglineError, match="source must be one of dicom, mhd, nifti"):
        ScanRow("a", "png", "folder", "test")


@pytest.mark.parametrize(
    ("name", "suffix", "source"),
    [
        ("a.nii.gz", ".nii.gz", "nifti"),
        ("A.NII.Gz", ".NII.Gz", "nifti"),
        ("b.1.MHD", ".MHD", "mhd"),
        ("a.hdr", ".hdr", "nifti"),
    ],
)
def test_a_suffix_counts_in_any_case_and_is_given_as_written(name, suffix, source) -> None:
    assert (scan_suffix(name), source_of_name(name)) == (suffix, source)
    assert is_sniffed(name) == name.endswith(".hdr")


@pytest.mark.parametrize("name", ["a.gz", "nii", "a.nii.bz2", "mha", "a.raw"])
def test_other_names_are_no_scans_by_themselves(name) -> None:
    assert scan_suffix(name) == "" or name.startswith(".")


def test_a_census_adds_up_and_comes_back_from_another_process() -> None:
    one = Census()
    one.pass_over(["a.jpg", "b.JPG", "c.raw", "d", ".x"], ["c.mhd"])
    two = Census()
    two.add(one.told())
    two.pass_over(["e.png", "f", "g.7z"], dicom=True)
    assert two.in_words() == (
        "1 archives not opened (unpack them) (.7z), 3 pictures (.jpg .png), 1 other files, 1 hidden files"
    )
    assert Census().in_words() == "nothing"


def test_what_lies_around_a_field_leaves_no_hole_in_it() -> None:
    j, i = np.meshgrid(np.arange(30), np.arange(40), indexing="ij")
    for field in (
        (j - 15) ** 2 + (i - 20) ** 2 < 200,
        (i > 5) & (j < 28),
        np.abs(j - 15) + np.abs(i - 20) < 14,
        np.zeros_like(j, dtype=bool),
    ):
        assert lies_around(~field)
    two_lungs = ((j - 15) ** 2 + (i - 10) ** 2 < 60) | ((j - 15) ** 2 + (i - 30) ** 2 < 60)
    hole = (j == 15) & (i == 20)
    assert not lies_around(~two_lungs)
    assert not lies_around(hole)
