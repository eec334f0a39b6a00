"""Labels: read as text, every fault with its line, nothing guessed."""

from __future__ import annotations

import pytest

from lungline.errors import LunglineError
from lungline.readers.listing import read_labels


def labels(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    return read_labels(path)


def test_ids_are_text_and_labels_may_be_written_as_decimals(tmp_path):
    table = labels(tmp_path, b"\xef\xbb\xbfid;cancer\r\n007;1\r\n7;0\r\nNA;1.0\r\nnan;0.0\r\n\r\nNone;1\r\n")
    assert table.of == {"007": 1, "7": 0, "NA": 1, "nan": 0, "None": 1}
    assert table.lines == {"007": 2, "7": 3, "NA": 4, "nan": 5, "None": 7}
    assert list(table.notes) == []


def test_a_copy_of_a_row_is_left_out_and_noted(tmp_path):
    table = labels(tmp_path, b"id,cancer\na,1\nb,0\na,1\n")
    assert table.of == {"a": 1, "b": 0}
    assert [(note.file, note.line, note.flag) for note in table.notes] == [("labels.csv", 4, "T_ROW_TWICE")]


@pytest.mark.parametrize("word", ["", "yes", "2", "-1", "nan", "inf", "0x1", "1e0", "0,0", "0.5", "01", "NA"])
def test_a_label_that_is_not_0_or_1_is_refused(tmp_path, word):
    with pytest.raises(LunglineError, match="line 3: expected an id and cancer = 0 or 1"):
        labels(tmp_path, f'id,cancer\na,1\nb,"{word}"\n'.encode())


def test_all_faults_stand_in_one_report_without_an_id(tmp_path):
    with pytest.raises(LunglineError) as caught:
        labels(tmp_path, b"id,cancer\nDoe,1\nDoe,0\n,1\nRoe,?\nPoe\n")
    told = str(caught.value)
    assert [f"line {line}:" in told for line in range(2, 7)] == [False, True, True, True, True]
    assert not any(name in told for name in ("Doe", "Roe", "Poe"))
