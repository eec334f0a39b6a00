"""A few mutants of each cheap entry point, and what the command calls the end of a reading."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from pathlib import Path

import pytest

from lungline import limits
from lungline.errors import LunglineError
from tests.conformance.entry_points.__main__ import KEPT, mutants, read_apart
from tests.conformance.entry_points.subjects import SUBJECTS, NoRowError, Subject
from tests.conformance.entry_points.text_mutations import TEXT

CHEAP = ("server", "http", "journal", "predictions", "froc diag-json", "froc diag-xml", "patient", "configuration")


@pytest.mark.parametrize("name", CHEAP)
def test_a_changed_file_ends_with_an_answer_or_in_words(name: str) -> None:
    ends = list(mutants(name, SUBJECTS[name], 6, Namespace(seed=7, seconds=60.0)))
    assert len(ends) == 6
    assert [(how, end.verdict, end.words) for how, end in ends if end.verdict not in KEPT] == []


def of(ask: object) -> Subject:
    return Subject(lambda folder: None, "*", TEXT, ask, "XML of marks, LIDC")  # type: ignore[arg-type]


def refuse(folder: Path) -> None:
    raise LunglineError("expected another file")


def no_row(folder: Path) -> None:
    raise NoRowError


def stumble(folder: Path) -> None:
    raise KeyError("a")


@pytest.mark.parametrize(
    ("ask", "verdict"),
    [
        (lambda folder: None, "answer"),
        (refuse, "refused in words"),
        (no_row, "no row"),
        (stumble, "traceback"),
        (lambda folder: os.abort(), "crashed"),
        (lambda folder: time.sleep(60), "hung"),
    ],
)
def test_each_end_has_its_word(ask: object, verdict: str, tmp_path: Path) -> None:
    assert read_apart(of(ask), tmp_path, 0.5 if verdict == "hung" else 60.0).verdict == verdict


def test_memory_above_what_is_stated_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = limits.Limit("", 1 << 20, in_child=False)
    monkeypatch.setitem(limits.READERS, "XML of marks, LIDC", few)
    assert read_apart(of(lambda folder: any(bytearray(b"1") * (64 << 20))), tmp_path, 60.0).verdict == "memory"
