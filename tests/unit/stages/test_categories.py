"""The command that gives categories: from the table of `predict` and a file about the patient to JSON and a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import pytest

import lungline
from lungline.cli import main
from lungline.storage.results import read_result

_SIZES = "long_axis_mm,short_axis_mm,volume_mm3,solid_long_axis_mm,solid_short_axis_mm,calcified_share"
TABLE = f"""scan,rank,attenuation,{_SIZES}
a,1,solid,8.4,7.6,268,,,0
a,2,ground-glass,14,9,800,,,0
a,3,part-solid,9.1,8,300,7,5.4,0
"""
PATIENT = "purpose: screening\nfirst_scan: true\nage: 62\nsex: male\nnodules:\n  2: {attenuation: solid}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(TABLE)
    (tmp_path / "patient.yaml").write_text(PATIENT)
    return tmp_path


def run(*words: str) -> dict:
    assert main(["categories", *words]) == 0
    return read_result(Path("categories.json"))


def of(result: dict, system: str = "lung_rads_2022") -> list[list[str]]:
    return [row["categories"][system]["categories"] for row in result["nodules"]]


def test_a_table_gives_categories_with_their_sources(folder, capsys) -> None:
    result = run("a.csv", "--patient", "patient.yaml")
    assert of(result) == [["4A"], ["4A"], ["4A"]]
    assert of(result, "fleischner_2017") == [[], [], []]
    assert result["most_severe_lung_rads"] == ["4A"]
    assert set(result["sources"]) == {*result["nodules"][0]["categories"], *result["nodules"][0]["risks"]}
    schema = json.loads((Path(lungline.__path__[0]) / "schemas/categories-1.json").read_text())
    jsonschema.validate(result, schema)
    said = capsys.readouterr().out
    assert "nodule 1, Lung-RADS v2022: 4A" in said
    assert "by the published size rules; research use" in said


def test_an_error_of_the_sizes_widens_them(folder) -> None:
    result = run("a.csv", "--patient", "patient.yaml", "--error-mm", "0.5")
    assert of(result)[0] == ["3", "4A"]
    assert result["nodules"][0]["mean_mm"] == [7.5, 8.5]
    low, high = result["nodules"][0]["volume_mm3"]
    assert low < 268 < high


def test_json_and_csv_say_the_same(folder) -> None:
    rows = [dict(row) for row in csv.DictReader(TABLE.splitlines())]
    numbers = [
        {name: word if name in ("scan", "attenuation") else float(word) if word else None for name, word in row.items()}
        for row in rows
    ]
    (folder / "a.json").write_text(json.dumps({"schema": "nodules/2", "nodules": numbers}))
    assert of(run("a.csv", "--patient", "patient.yaml")) == of(run("a.json", "--patient", "patient.yaml"))
    result = run("a.csv", "--patient", "patient.yaml")
    with open("categories.csv", newline="", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    for words, row in zip(table, result["nodules"], strict=True):
        found = row["categories"]["lung_rads_2022"]
        assert (words["lung_rads_2022"], words["lung_rads_2022_text"]) == (
            " | ".join(found["categories"]),
            found["text"],
        )
        low, _ = row["risks"]["brock_full"]["percent"]
        assert float(words["brock_full_percent_low"]) == low


def test_a_candidate_that_is_no_finding_counts_if_the_reader_speaks_of_it(folder) -> None:
    header, *rows = TABLE.splitlines()
    findings = ("true", "false", "false")
    lines = [f"{header},finding", *(f"{row},{word}" for row, word in zip(rows, findings, strict=True))]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    assert [row["rank"] for row in run("a.csv", "--patient", "patient.yaml")["nodules"]] == [1, 2]


def test_without_a_patient_and_a_short_axis_the_sets_are_wide_and_say_why(folder) -> None:
    (folder / "a.csv").write_text("rank,long_axis_mm,volume_mm3,attenuation\n1,7,180,solid\n")
    result = run("a.csv")
    found = result["nodules"][0]["categories"]["lung_rads_2022"]
    assert found["categories"] == ["2", "3", "4A", "4B"]
    assert any("earlier scan" in reason for reason in found["reasons"])
    assert found["does_not_apply"] == ["Lung-RADS is for screening CT"]
    assert result["nodules"][0]["mean_mm"] is None


def test_nothing_about_the_patient_is_written(folder) -> None:
    (folder / "patient.yaml").write_text("age: 87.25\nsex: female\npurpose: screening\n")
    run("a.csv", "--patient", "patient.yaml")
    assert all("87.25" not in Path(name).read_text() for name in ("categories.json", "categories.csv"))


def test_a_table_without_nodules_has_no_categories(folder) -> None:
    (folder / "a.csv").write_text("rank,long_axis_mm,volume_mm3,attenuation\n")
    result = run("a.csv")
    assert (result["nodules"], result["most_severe_lung_rads"]) == ([], [])


@pytest.mark.parametrize(
    ("table", "words", "complaint"),
    [
        (TABLE, ["--out", "a.txt"], "expected a name that ends in .json"),
        (TABLE, ["--error-mm", "-1"], "--error-mm: expected 0 to 20 mm. Found -1"),
        (TABLE, ["--error-mm", "nan"], "--error-mm: expected 0 to 20 mm. Found nan"),
        (TABLE.replace("8.4", "8,4").replace(",7.6", ";7.6"), [], "expected"),
        (TABLE.replace("8.4", "wide"), [], "nodule 1: long_axis_mm: expected a finite number"),
        (TABLE.replace("8.4", "-8.4"), [], "long_axis_mm: expected more than 0. Found -8.4"),
        (TABLE.replace("a,2", "a,1"), [], "nodule 2: rank 1 stands there twice"),
        (TABLE.replace("a,2", "a,2.5"), [], "nodule 2: rank: expected a whole number"),
        (TABLE.replace("a,2", "a,"), [], "nodule 2: rank: expected a whole number"),
        (TABLE.replace("attenuation", "type"), [], "attenuation missing"),
    ],
)
def test_a_mistake_is_one_line(table, words, complaint, folder, capsys) -> None:
    (folder / "a.csv").write_text(table)
    assert main(["categories", "a.csv", *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"schema": "follow-up/2"}', '{"schema": "nodules/2", "nodules": 5}']
)
def test_json_that_is_no_nodule_table_is_refused(text, folder, capsys) -> None:
    (folder / "b.json").write_text(text)
    assert main(["categories", "b.json"]) == 2
    assert "`lungline predict` wrote" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [[{"rank": 1, "kind": "solid"}], [1], [[]]])
def test_json_of_a_former_layout_is_refused(rows, folder, capsys) -> None:
    (folder / "b.json").write_text(json.dumps({"schema": "nodules/1", "nodules": rows}))
    assert main(["categories", "b.json"]) == 2
    assert "long_axis_mm, volume_mm3, attenuation missing. Make it anew." in capsys.readouterr().err


def test_a_rank_that_the_table_does_not_have_is_refused(folder, capsys) -> None:
    (folder / "patient.yaml").write_text("nodules: {7: {pet: faint}}\n")
    assert main(["categories", "a.csv", "--patient", "patient.yaml"]) == 2
    assert "patient.yaml: nodules.7: no such rank in a.csv. Found 1, 2, 3." in capsys.readouterr().err
