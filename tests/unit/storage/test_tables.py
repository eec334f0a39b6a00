"""Tables are read as text, and what is wrong is named with its line."""

from __future__ import annotations

import pytest

from lungline.errors import LunglineError
from lungline.storage.tables import decimal, read_rows, table_text


def rows(tmp_path, content, columns=("id", "cancer")):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    return list(read_rows(path, columns))


def test_ids_stay_text(tmp_path):
    found = rows(tmp_path, b"id,cancer\n007,1\nNA,0\n1e5,1\n")
    assert [row["id"] for _, row in found] == ["007", "NA", "1e5"]
    assert [line for line, _ in found] == [2, 3, 4]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,cancer\r\na,1\r\n",
        b"id;cancer\na;1\n",
        b"cancer,id,Usage\n1,a,Private\n",
        b"id\tcancer\na\t1\n",
        b"id\tcancer\tnote, if any\na\t1\t\n",
        b'"id";"cancer";"x,y"\r\n"a";"1";\r\n;;\r\n',
        b"id,cancer\ra,1\r",
        b'id,cancer\n\n"a", 1 \n\n',
    ],
)
def test_marks_semicolons_further_columns_and_blank_lines_are_understood(tmp_path, content):
    [(_, row)] = rows(tmp_path, content)
    assert (row["id"], row["cancer"]) == ("a", "1")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1: expected the columns id, cancer"),
        (b"patient,cancer\na,1\n", "line 1: expected the columns id, cancer"),
        (b"id,cancer,id\na,1,b\n", "line 1"),
        (b"id,cancer\na,1\nb\n", "line 3: expected 2 columns. Got 1"),
        (b"id;cancer,x\na;1,2\n", "line 1: expected the columns id, cancer, with comma, semicolon or tab"),
        (b"007,1\nNA,0\n", "id, cancer missing"),
        (b"id,cancer\na,1\nb,\x000\n", "line 3: holds NUL bytes"),
        ("id,cancer\na,1\n".encode("utf-16-le"), "line 1: holds NUL bytes"),
        (b"id,cancer\n" + b"x" * (1 << 20) + b",1\n", "line 2: not a CSV table .field larger"),
        (b'id,cancer\na,1\n"b,0\nc,1\n', "line 3: not a CSV table"),
        (b"id,cancer\na,1\n\xff,0\n", "line 3: not UTF-8"),
        (b'id,cancer\na,1\n"b" c,0\n', "line 3: not a CSV table"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, content, says):
    with pytest.raises(LunglineError, match=says):
        rows(tmp_path, content)


def test_all_faults_are_in_one_report_and_no_cell_of_the_table(tmp_path):
    with pytest.raises(LunglineError) as caught:
        rows(tmp_path, b"id,cancer\nDoe\nJane,1\nRoe,0,2\n")
    told = str(caught.value).splitlines()
    assert told[0].endswith("t.csv: 2 faults.")
    assert told[1:] == ["  line 2: expected 2 columns. Got 1.", "  line 4: expected 2 columns. Got 3."]


def test_of_many_faults_twenty_are_shown_and_the_others_counted(tmp_path):
    with pytest.raises(LunglineError) as caught:
        rows(tmp_path, b"id,cancer\n" + b"a\n" * 50)
    told = str(caught.value).splitlines()
    assert told[0].endswith("50 faults.")
    assert told[20:] == ["  line 21: expected 2 columns. Got 1.", "  and 30 more"]


def test_a_row_over_several_lines_is_named_by_its_first(tmp_path):
    assert [line for line, _ in rows(tmp_path, b'id,cancer\n"a\nb",1\nc,0\n')] == [2, 4]


@pytest.mark.parametrize("word", ["1", "-1.5", "+.5", "2.", "1e3", "-1E-2"])
def test_decimal_numbers_are_read(word):
    assert decimal(word, "x") == float(word)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("", "nothing"),
        ("1,5", "a decimal comma"),
        ("nan", "another word"),
        ("inf", "another word"),
        ("0x1p3", "another word"),
        ("1_0", "another word"),
        ("\uff11", "another word"),
        ("1e999", "a number that is too large"),
    ],
)
def test_what_is_no_decimal_number_is_refused_by_its_kind(word, found):
    with pytest.raises(LunglineError, match=f"x: expected a finite number with a decimal point. Found {found}"):
        decimal(word, "x")


def test_what_is_written_reads_back(tmp_path):
    text = table_text(("id", "cancer"), [("a,b", 1), ('c"d', None), ("e\nf", 0)])
    found = [row for _, row in rows(tmp_path, text.encode())]
    assert [(row["id"], row["cancer"]) for row in found] == [("a,b", "1"), ('c"d', ""), ("e\nf", "0")]
