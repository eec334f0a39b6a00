"""Tables are read as text, and what is wrong is named with its line."""

from __future__ import annotations

import pytest

from lungline.errors import LunglineError
from lungline.io.tables import read_rows, table_text


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
        (b"id,cancer\na,1\n\xff,0\n", "line 3: not UTF-8"),
        (b'id,cancer\na,1\n"b" c,0\n', "line 3: not a CSV table"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, content, says):
    with pytest.raises(LunglineError, match=says):
        rows(tmp_path, content)


def test_what_is_written_reads_back(tmp_path):
    text = table_text(("id", "cancer"), [("a,b", 1), ('c"d', None), ("e\nf", 0)])
    found = [row for _, row in rows(tmp_path, text.encode())]
    assert [(row["id"], row["cancer"]) for row in found] == [("a,b", "1"), ('c"d', ""), ("e\nf", "0")]
