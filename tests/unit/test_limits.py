"""The limits of readers: one table, which SECURITY.md shows and every reader obeys."""

from __future__ import annotations

import io
import mmap
import os
import struct
from pathlib import Path

import pydicom
import pytest

from lungline import limits
from lungline.errors import CorruptFileError, LunglineError, Quarantine
from lungline.evaluation.array_pickles import read_arrays
from lungline.evaluation.mark_readers import read_xml
from lungline.readers.dicom_sniff import Counted
from lungline.readers.listing import read_labels
from lungline.readers.scan import raw_files
from lungline.readers.studies import studies_among
from lungline.storage.foreign_files import read_any_json
from scans import chest, write_dicom, write_mhd
from tests.conformance import limits as measurement
from tests.conformance.robustness.decompression_bombs import deflated_zeros
from tests.repository import REPOSITORY


def test_the_page_on_security_shows_the_table() -> None:
    assert limits.table() in (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("number", "words"), [(1 << 28, "256 MiB"), (7 << 28, "1.75 GiB"), (20_000, "20,000")])
def test_a_number_is_told_in_the_largest_unit_that_keeps_it(number: int, words: str) -> None:
    assert limits.in_words(number) == words


def test_a_file_beside_slices_that_is_too_large_for_one_is_no_part_of_the_scan(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "a", chest())
    before = raw_files(folder, "dicom")
    (folder / "film.bin").touch()
    os.truncate(folder / "film.bin", limits.MAX_FILE_BYTES)
    assert len(raw_files(folder, "dicom")) == len(before) + 1
    os.truncate(folder / "film.bin", limits.MAX_FILE_BYTES + 1)
    assert raw_files(folder, "dicom") == before


def test_pixels_beyond_the_limit_are_refused_before_they_are_read(tmp_path: Path) -> None:
    header = write_mhd(tmp_path / "a.mhd", chest())
    (pixels,) = set(raw_files(header, "mhd")) - {header}
    os.truncate(pixels, limits.MAX_FILE_BYTES + 1)
    with pytest.raises(Quarantine, match="the files of the scan take 2147") as caught:
        raw_files(header, "mhd")
    assert caught.value.flag == "Q_LIMIT"


def test_all_files_of_a_scan_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_dicom(tmp_path / "a", chest())
    size = sum(file.stat().st_size for file in folder.iterdir())
    monkeypatch.setattr(limits, "MAX_SCAN_BYTES", size)
    assert len(raw_files(folder, "dicom")) == len(chest())
    monkeypatch.setattr(limits, "MAX_SCAN_BYTES", size - 1)
    with pytest.raises(Quarantine, match=f"take {size} bytes; at most .* {size - 1} in all"):
        raw_files(folder, "dicom")


def test_of_a_counted_file_no_more_is_read_than_it_may_give() -> None:
    assert Counted(io.BytesIO(b"12345"), 5).read() == b"12345"
    assert Counted(io.BytesIO(b"12345"), 5).read(1 << 60) == b"12345"
    for size in (-1, 6):
        with pytest.raises(ValueError, match="more than 4 bytes"):
            Counted(io.BytesIO(b"12345"), 4).read(size)
    twice = Counted(io.BytesIO(b"12345"), 5)
    assert twice.read(3) == b"123"
    twice.seek(0)
    with pytest.raises(ValueError, match="more than 5 bytes"):
        twice.read(3)


def _with_a_long_element(file: Path, n_bytes: int) -> None:
    """A patient's name of so many zeros, which take no room on the disk."""
    content = file.read_bytes()
    at = content.find(b"\x20\x00\x0d\x00")
    start = content[:at] + b"\x10\x00\x10\x00UN\0\0" + struct.pack("<I", n_bytes)
    with open(file, "wb") as handle:
        handle.write(start)
        handle.seek(len(start) + n_bytes)
        handle.write(content[at:])


def test_a_study_is_not_looked_for_in_elements_or_streams_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted.__init__, "__defaults__", (1 << 20,))
    monkeypatch.setattr("lungline.readers.deflated._MAX_INFLATED_BYTES", 1 << 20)

    def of_jane(k: int, dataset: pydicom.Dataset) -> None:
        dataset.PatientID, dataset.StudyInstanceUID = "Jane", "1.2.3"

    files = sorted(write_dicom(tmp_path / "a", chest(), change=of_jane).iterdir())
    assert [len(some) for some in studies_among(files).values()] == [len(files)]
    _with_a_long_element(files[1], (1 << 20) + 2)
    dataset = pydicom.dcmread(files[2])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(files[2])
    assert [len(some) for some in studies_among(files).values()] == [len(files) - 1]
    content = files[2].read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    files[2].write_bytes(content[:end] + deflated_zeros(b"", 2))
    assert [len(some) for some in studies_among(files).values()] == [len(files) - 2]


def test_lines_and_cells_of_a_table_are_counted_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,cancer\na,1\nb,0\n")
    for name, most in (("MAX_TABLE_LINES", 3), ("MAX_TABLE_CELLS", 3), ("MAX_TABLE_BYTES", 18)):
        monkeypatch.setattr(limits, name, most)
        assert len(read_labels(path).of) == 2
        monkeypatch.setattr(limits, name, most - 1)
        with pytest.raises(LunglineError, match="at most"):
            read_labels(path)
        monkeypatch.undo()


def test_values_of_json_are_counted_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, []]')
    monkeypatch.setattr(limits, "MAX_JSON_VALUES", 4)
    assert read_any_json(path, 100) == [{"a": 1}, []]
    monkeypatch.setattr(limits, "MAX_JSON_VALUES", 3)
    with pytest.raises(CorruptFileError, match="at most 3 values"):
        read_any_json(path, 100)


def test_parts_of_xml_are_counted_and_a_doctype_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<a><b c="1"/></a>')
    monkeypatch.setattr(limits, "MAX_XML_PARTS", 3)
    assert [part.tag for part in read_xml(path).iter()] == ["a", "b"]
    monkeypatch.setattr(limits, "MAX_XML_PARTS", 2)
    with pytest.raises(LunglineError, match=r"expected XML. It cannot be read \(ValueError\)"):
        read_xml(path)
    monkeypatch.undo()
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    with pytest.raises(LunglineError, match="expected XML"):
        read_xml(path)


def test_a_pickle_that_names_a_value_by_a_large_number_or_takes_many_steps_is_refused(tmp_path: Path) -> None:
    """The table of values would be made as long as the number: 64 GiB for the largest of four bytes."""
    path = tmp_path / "a_boxes.pkl"
    path.write_bytes(b"\x80\x04}r\x00\x00\x04\x00.")  # a dict that is named by 2 ** 18
    assert read_arrays(path) == {}
    for content in (
        b"\x80\x04}r\xff\xff\xff\x7f.",
        b"\x80\x04}p1000000000000\n.",
        b"\x80\x04" + b"]0" * (limits.MAX_PICKLE_STEPS // 2) + b"}.",
    ):
        path.write_bytes(content)
        with pytest.raises(LunglineError, match=r"expected a pickle of arrays.*ValueError"):
            read_arrays(path)


def test_what_is_measured_is_judged_by_what_is_stated(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(measurement, "CASES", [("tables", "40 MiB", lambda folder: _filled())])
    monkeypatch.setattr("sys.argv", ["limits"])
    assert measurement.main() == 0
    few = limits.Limit("", 1 << 20, in_child=False)
    monkeypatch.setattr(limits, "READERS", {"tables": few})
    assert measurement.main() == 1
    assert capsys.readouterr().out.count("| tables | 40 MiB | read |") == 2


def _filled() -> str:
    with mmap.mmap(-1, 40 << 20) as pages:  # no memory that an earlier test has left behind
        pages.write(b"1" * (40 << 20))
    return "read"
