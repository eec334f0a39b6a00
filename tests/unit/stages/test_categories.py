"""The command that gives categories: from the table of `predict` and a file about the patient to JSON and a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import lungline
from lungline.cli import main
from lungline.nodules.patient import Patient, read_patient
from lungline.reports.nodule_page import with_categories
from lungline.stages import categories, predict
from lungline.storage.results import read_result
from lungline.storage.scan_rows import ScanRow
from scans import write_dicom

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


def of_a_woman(_, header) -> None:
    header.PatientAge, header.PatientSex = "067Y", "F"


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


def test_limits_of_each_nodule_may_come_from_its_row(folder) -> None:
    """The limits are asked for each diameter of a nodule: axes, solid part, and that of a ball of its volume."""
    patient = read_patient(folder / "patient.yaml")
    asked = []

    def limits_of(row):
        asked.append(row["rank"])
        share = 0.1 if row["rank"] == "1" else 0.0
        return lambda diameter: (diameter * (1 - share), diameter * (1 + share))

    first, second, third = categories.categorise(folder / "a.csv", patient, limits_of=limits_of)["nodules"]
    assert asked == ["1", "2", "3"]
    assert first["mean_mm"] == pytest.approx([7.2, 8.8])
    assert first["volume_mm3"] == pytest.approx([268 * 0.9**3, 268 * 1.1**3])
    assert first["categories"]["lung_rads_2022"]["categories"] == ["3", "4A"]
    assert first["categories"]["lung_rads_2022"]["text"].startswith("3 or 4A: mean 7.2 to 8.8 mm")
    assert [one["mean_mm"][0] - one["mean_mm"][1] for one in (second, third)] == [0, 0]


def test_the_interval_of_the_table_counts_unless_an_error_is_given(folder) -> None:
    header, first, *others = TABLE.splitlines()
    lines = [
        f"{header},mean_diameter_low_mm,mean_diameter_high_mm",
        f"{first},7.1,8.4",
        *(f"{row},," for row in others),
    ]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    found = run("a.csv", "--patient", "patient.yaml")
    first, second, _ = found["nodules"]
    assert found["error_mm"] is None
    assert first["mean_mm"] == pytest.approx([7.1, 8.4])
    assert first["long_axis_mm"] == pytest.approx([7.5, 8.8])  # as far off as the mean
    assert first["categories"]["lung_rads_2022"]["categories"] == ["3", "4A"]
    assert second["mean_mm"] == [11.5, 11.5]
    assert run("a.csv", "--patient", "patient.yaml", "--error-mm", "0.2")["nodules"][0]["mean_mm"] == [7.8, 8.2]
    (folder / "patient.yaml").write_text(PATIENT + "  1: {long_mm: 8.1, short_mm: 7.1}\n")
    assert run("a.csv", "--patient", "patient.yaml")["nodules"][0]["mean_mm"] == [7.6, 7.6]  # a reader's own


def test_what_no_second_source_confirms_is_told_as_unchecked(folder, capsys) -> None:
    stable = "{change: stable, prior_category: 3, prior: [{months_ago: 2}]}"
    (folder / "patient.yaml").write_text(f"purpose: screening\nnodules: {{1: {stable}}}\n")
    result = run("a.csv", "--patient", "patient.yaml")["nodules"][0]
    assert result["categories"]["lung_rads_2022"]["unchecked"] == ["category 3 before its 6 months are over"]
    assert {name: risk["unchecked"] for name, risk in result["risks"].items() if risk["unchecked"]} == {
        "brock_parsimonious": True
    }
    said = capsys.readouterr().out
    assert "unchecked, no second source: category 3 before its 6 months are over" in said
    assert said.count("unchecked, no second source for its coefficients") == 3


def test_the_page_holds_the_categories_once_and_escaped(folder) -> None:
    page = "<p>a</p><!-- categories --><!-- end of categories --><p>b</p>"
    result = run("a.csv", "--patient", "patient.yaml")
    result["nodules"][0]["attenuation"] = result["nodules"][0]["categories"]["lung_rads_2022"]["text"] = "<script>"
    once = with_categories(page, result)
    assert with_categories(once, result) == once
    assert once.startswith("<p>a</p>")
    assert once.endswith("<p>b</p>")
    assert "<script>" not in once
    assert "&lt;script&gt;" in once
    assert once.count("<h3>Finding") == 3
    assert "Finding 1, mean diameter 8.0 mm" in once
    assert with_categories("<p>quarantined</p>", result) == "<p>quarantined</p>"


def test_categories_beside_an_answer_take_age_and_sex_from_the_scan_and_write_neither(folder, capsys) -> None:
    out, scan = folder / "out", "scan-1"
    for name in ("pages", "nodules"):
        (out / name).mkdir(parents=True)
    (out / "pages/scan-1.html").write_text("<!-- categories --><!-- end of categories -->")
    rows = [{"rank": 1, "long_axis_mm": 12.0, "short_axis_mm": 9.0, "volume_mm3": 500.0, "attenuation": "solid"}]
    (out / "nodules/scan-1.json").write_text(json.dumps({"schema": "nodules/2", "nodules": rows}))
    raw = write_dicom(folder / "raw", np.zeros((3, 4, 5)), change=of_a_woman)
    row = ScanRow(scan, "dicom", "folder", "test")
    patient = Patient(purpose="incidental", sex="male")
    predict._categorise(row, raw, out=out, patient=patient, who="patient.yaml", pages=True)
    result = read_result(out / "categories/scan-1.json")["nodules"][0]["risks"]["brock_full"]
    assert "age" not in result["not_known"]
    assert "sex" not in result["not_known"]
    assert capsys.readouterr().err == "patient.yaml: sex differs from the scan's header. Is it about this patient?\n"
    assert "<h3>Finding 1" in (out / "pages/scan-1.html").read_text()
    assert all("67" not in path.read_text() for path in (out / "categories").iterdir() if path.suffix == ".csv")


def test_a_patient_is_of_one_scan(folder, capsys) -> None:
    for name in ("one", "two"):
        (folder / f"scans/{name}.mhd").parent.mkdir(exist_ok=True)
        (folder / f"scans/{name}.mhd").write_text("ObjectType = Image\n")
    assert main(["predict", "scans", "--out", "out", "--patient", "patient.yaml"]) == 2
    assert "patient.yaml: expected one scan in out. Found 2." in capsys.readouterr().err


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
