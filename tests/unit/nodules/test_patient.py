"""The file about a patient: nothing in it need be known, and what is wrong in it is one line that names the place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lungline.errors import LunglineError
from lungline.nodules.patient import Patient, read_patient

GOOD = """
purpose: incidental
age: 61
sex: female
smoking: former
nodules:
  1: {margin: smooth, prior: [{months_ago: 24, mean_mm: 5.5}, {months_ago: 12, mean_mm: 6, solid_mm: 0}]}
  "2": {pet: faint}
"""

MISTAKES = {
    "age: old": "age: expected a number. Found 'old'",
    "age: 200": "age: expected at most 130. Found 200",
    "agee: 60": "Did you mean 'age'?",
    "sex: femal": "Did you mean 'female'?",
    "smoking: yes": "smoking: expected 'never', 'former' or 'current'",
    "nodules: {1: {margin: smoth}}": "nodules.1.margin: expected",
    "nodules: {1: {marginn: smooth}}": "nodules.1 has no key 'marginn'",
    "nodules: {1: {long_mm: -3}}": "nodules.1.long_mm: expected more than 0. Found -3",
    "nodules: {1: {prior: [{mean_mm: 6}]}}": "months_ago",
    "nodules: {1: {prior: [{months_ago: 6}, {months_ago: 12}]}}": "expected the earliest scan first",
    "nodules: {1: {prior: [{months_ago: 6}, {months_ago: 6}]}}": "expected the earliest scan first",
    "nodules: {1: {long_mm: 5, short_mm: 6}}": "nodules.1: expected long_mm of short_mm (6) or more. Found 5",
    "nodules: {1: {solid_short_mm: 6}}": "expected solid_long_mm of solid_short_mm (6) or more. Found none",
    "nodules: {1: {long_mm: 8, solid_long_mm: 9}}": "expected long_mm of solid_long_mm (9) or more. Found 8",
    "nodules: {1: {prior: [{months_ago: 3, mean_mm: 5, solid_mm: 6}]}}": "solid_mm of mean_mm (5) or less. Found 6",
    "age: 62\nage: 63": "expected each key once. Found 'age' twice, from line 1 on.",
    "nodules: {1: {margin: smooth}, '1': {margin: spiculated}}": "Found '1' twice",
    "first_scan: true\nnodules: {1: {change: growing}}": "first_scan: expected false, as nodules.1 has change: growing",
    "first_scan: true\nnodules: {1: {prior: [{months_ago: 6}]}}": "first_scan: expected false, as nodules.1 has prior",
    "nodules: [1, 2]": "nodules: expected a mapping",
    "[1, 2]": "expected a mapping",
    "a: [": "expected YAML",
    "age: .nan": "age: expected",
    "a: &a [1]\nb: *a": "expected values. Found an alias (*) in line 2; write it out.",
    "age: 2020-99-99": "expected YAML",
    f"age: {'9' * 5000}": "expected YAML",
    "[" * 5000: "expected YAML",
    " " * 300_000: "expected at most 262144 bytes",
}


def test_a_file_is_read(tmp_path) -> None:
    (tmp_path / "patient.yaml").write_text(GOOD)
    patient = read_patient(tmp_path / "patient.yaml")
    assert (patient.age, patient.risk, patient.reading(1).margin) == (61, None, "smooth")
    assert [prior.solid_mm for prior in patient.reading(1).prior] == [None, 0]
    assert patient.reading(2).pet == "faint"
    assert patient.reading(3).margin is None


def test_the_example_of_the_documentation_is_one(tmp_path) -> None:
    page = Path(__file__).parents[3] / "docs/how-to/categories.md"
    example = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (tmp_path / "patient.yaml").write_text(example[0])
    patient = read_patient(tmp_path / "patient.yaml")
    assert {name for name in Patient.model_fields if name != "exam"} == set(patient.model_fields_set)


def test_a_category_may_stand_without_quotes(tmp_path) -> None:
    (tmp_path / "patient.yaml").write_text("nodules: {1: {prior_category: 3}, 2: {prior_category: 4A}}")
    patient = read_patient(tmp_path / "patient.yaml")
    assert [patient.reading(rank).prior_category for rank in (1, 2)] == ["3", "4A"]


@pytest.mark.parametrize(
    ("told", "header", "age", "sex", "differs"),
    [
        ({}, (67, "female"), 67, "female", []),
        ({"age": 66.0, "sex": "female"}, (67, "female"), 66, "female", []),
        ({"age": 50.0, "sex": "male"}, (67, "female"), 50, "male", ["age", "sex"]),
        ({"age": 50.0}, (None, None), 50, None, []),
    ],
)
def test_a_header_fills_what_the_file_leaves_out_and_what_differs_is_named(told, header, age, sex, differs) -> None:
    patient, found = Patient(**told).completed(*header)
    assert (patient.age, patient.sex, found) == (age, sex, differs)


def test_nothing_need_be_known(tmp_path) -> None:
    (tmp_path / "patient.yaml").write_text("")
    assert read_patient(tmp_path / "patient.yaml") == read_patient(None) == Patient()


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_place(text: str, tmp_path) -> None:
    path = tmp_path / "patient.yaml"
    path.write_text(text)
    with pytest.raises(LunglineError) as caught:
        read_patient(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert MISTAKES[text] in str(caught.value)
    assert "\n" not in str(caught.value)
