"""Words of others are shown and stored without being obeyed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungline.escape import cell, uncell, visible
from lungline.storage.tables import read_rows, table_text

ODD = [
    "Doe, Jane",
    "Müller/Serie 3",
    "../../etc/passwd",
    "<script>alert('x')</script>",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "two\nlines",
    'a "quoted" word',
    "\x1b[31mred\x07",
    "\u202eevil",  # turns the direction of what follows
    "back\\x41slash",
    "  ",
    "",
    os.fsdecode(b"caf\xe9"),
]


@pytest.mark.parametrize("text", ODD)
def test_a_cell_comes_back_through_a_table_and_starts_no_formula(tmp_path, text):
    word = cell(text)
    assert uncell(word) == text
    assert not word.startswith(tuple("=+-@\t\r"))
    assert word.isprintable()
    (tmp_path / "t.csv").write_text(table_text(("name", "n"), [(word, 1)]), encoding="utf-8")
    [(_, row)] = read_rows(tmp_path / "t.csv", ("name", "n"))
    assert uncell(row["name"]) == text


@given(st.text())
def test_every_text_comes_back_from_a_cell(text):
    word = cell(text)
    assert uncell(word) == text
    assert word == word.strip()
    assert word.isprintable()


def test_plain_names_stay_as_they_are():
    for name in ("Doe, Jane/series 1", "Jané^X", "1.2.840.113", "a=b", "日本 太郎"):
        assert cell(name) == visible(name) == name


def test_what_a_terminal_would_obey_becomes_visible():
    assert visible("a\x1b]0;title\x07b\x9b2J\u202e\n") == "a\\x1b]0;title\\x07b\\x9b2J\\u202e\\x0a"
    assert visible("two\n\tlines\x1b", keep="\n\t") == "two\n\tlines\\x1b"
