"""Results by group, by hand: of nodules by their place, of scans by their name."""

from __future__ import annotations

import json

import pytest

from lungline.errors import LunglineError
from lungline.evaluation.by_group import read_groups
from lungline.stages import froc

MARKS = (
    "seriesuid,coordX,coordY,coordZ,probability\na,0,0,0,0.9\na,50,0,0,0.3\n"
    "b,0,1,0,0.2\nb,70,0,0,0.8\nb,71,0,0,0.7\nb,72,0,0,0.6\n"
)
TRUTH = (
    "seriesuid,coordX,coordY,coordZ,diameter_mm,attenuation,lobe\n"
    "a,0,0,0,10,solid,RUL\nb,0,0,0,10,ground-glass,RUL\nb,0,100,0,6,solid,\n"
)


@pytest.fixture
def grouped(tmp_path):
    def run(table=TRUTH):
        for name, text in (("marks", MARKS), ("truth", TRUTH), ("by", table), ("ids", "a\nb\n")):
            (tmp_path / f"{name}.csv").write_text(text)
        files = {"submission": "marks", "annotations": "truth", "seriesuids": "ids", "by": "by"}
        froc.run(**{key: tmp_path / f"{name}.csv" for key, name in files.items()}, out=tmp_path / "o.json")
        return json.loads((tmp_path / "o.json").read_text()), (tmp_path / "o.md").read_text()

    return run


def shares(table, of):
    return {value: row[of]["value"] for value, row in table.items()}


def test_of_nodules(grouped):
    """At 1 false positive per scan two of four may count: the score is 0.8 to 0.7, above which a alone is found."""
    result, page = grouped()
    assert result["by"]["score"] == 0.7
    columns = result["by"]["columns"]
    assert shares(columns["attenuation"], "recall") == {"ground-glass": 1, "solid": 0.5}
    assert shares(columns["attenuation"], "sensitivity") == {"ground-glass": 0, "solid": 0.5}
    assert shares(columns["lobe"], "recall") == {"RUL": 1, "not given": 0}
    assert columns["lobe"]["RUL"]["nodules"] == 2
    assert "| ground-glass | 1 | 1.000 (" in page


def test_of_scans(grouped):
    result, page = grouped("scan,scanner,number\na,S,1\nb,G,2\n")
    table = result["by"]["columns"]["scanner"]
    assert {value: row["false_positives_per_scan"] for value, row in table.items()} == {"G": 2, "S": 0}
    assert shares(table, "sensitivity") == {"G": 0, "S": 1}
    assert shares(table, "cpm")["S"] == 1
    # G: three false marks above its hit, so half of its nodules from 3 false positives per scan on, at 4 and 8 of 7
    assert table["G"]["cpm"]["value"] == pytest.approx((0.5 + 0.5) / 7)
    assert "| S | 1 | 1 | 1.000" in page


def test_a_scan_that_the_table_leaves_out_is_not_given(grouped):
    result, _ = grouped("scan,scanner\na,S\n")
    assert result["by"]["columns"]["scanner"]["not given"]["scans"] == 1


def test_a_column_of_many_values_is_left_out_and_said(grouped):
    rows = "".join(f"s{number},{number},x\n" for number in range(21))
    result, _ = grouped(f"scan,many,few\na,a,x\n{rows}")
    assert list(result["by"]["columns"]) == ["few"]
    assert "by.csv: many: too many values to group by." in result["warnings"]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("scan\na\n", "expected a column scan"),
        ("patient,scanner\na,S\n", "expected the columns seriesuid"),
        ("scan,scanner\na,S\na,G\n", "line 3: another value for a scan of before"),
        ("scan,x_mm,y_mm,z_mm,kind\na,1,1,1,S\na,1,1,1,G\n", "line 3: another value for a place of before"),
    ],
)
def test_a_table_that_says_nothing_or_two_things_is_refused(table, complaint, tmp_path):
    (tmp_path / "by.csv").write_text(table)
    with pytest.raises(LunglineError, match=complaint):
        read_groups(tmp_path / "by.csv")


def test_a_table_of_other_scans_or_places_is_refused(grouped):
    with pytest.raises(LunglineError, match="--by: no row is of a listed scan"):
        grouped("scan,scanner\nother,S\n")
    with pytest.raises(LunglineError, match="--by: no row is of a listed nodule"):
        grouped(TRUTH.replace("a,0,0,0,", "a,0.4,0,0,").replace("b,0,", "b,0.4,"))
