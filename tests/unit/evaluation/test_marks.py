"""Recall of nodules among the candidates."""

import pytest

from lungline.evaluation.free_response import Finding, ScanMarks
from lungline.evaluation.marks import is_found, recall


def scans():
    return {
        "a": ScanMarks([(0, 0, 1), (50, 0, 0)], [3, 2], [Finding((0, 0, 0), 4), Finding((0, 90, 0), 8)]),
        "b": ScanMarks([(0, 0, 14.9)], [1], [Finding((0, 0, 0), 30)]),
        "without nodule": ScanMarks([(0, 0, 0), (1, 1, 1), (2, 2, 2)], [3, 2, 1], []),
        "not usable": ScanMarks([], [], [Finding((0, 0, 0), 12)]),
    }


def test_a_centroid_on_the_radius_is_no_hit():
    assert not is_found(Finding((0, 0, 0), 6), ScanMarks([(3, 0, 0)], [1], []))
    assert is_found(Finding((0, 0, 0), 6), ScanMarks([(2.999, 0, 0)], [1], []))


def test_recall_by_hand():
    result = recall(scans())
    assert (result["found"], result["nodules"]) == (2, 4)
    assert result["recall"]["value"] == 0.5
    assert result["recall"]["low"] == pytest.approx(0.15, abs=1e-3)  # Wilson, 2 of 4
    counts = {name: (row["nodules"], row["value"]) for name, row in result["recall_by_diameter_mm"].items()}
    assert counts == {"3-6": (1, 1.0), "6-10": (1, 0.0), ">=10": (2, 0.5)}


def test_scans_are_counted_with_and_without_what_they_have():
    result = recall(scans())
    assert result["candidates_per_scan"]["value"] == 1.5
    assert result["scans"] == 4
    assert result["scans_with_nodules"] == 3
    assert result["scans_with_all_found"] == 1
    assert result["scans_without_candidates"] == 1


def test_a_diameter_class_without_nodules_has_no_recall_but_a_reason():
    row = recall({"a": ScanMarks([], [], [Finding((0, 0, 0), 4)])})["recall_by_diameter_mm"][">=10"]
    assert row["value"] is None
    assert row["reason"]


def test_a_nodule_below_3_mm_is_shown_in_a_class_of_its_own():
    result = recall({"a": ScanMarks([], [], [Finding((0, 0, 0), 2)])})
    rows = result["recall_by_diameter_mm"]
    assert rows["<3"]["nodules"] == 1
    assert sum(row["nodules"] for row in rows.values()) == result["nodules"]


def test_no_nodule_at_all_is_no_crash():
    assert recall({"a": ScanMarks([(0, 0, 0)], [1], [])})["recall"]["value"] is None


def test_the_result_is_plain_json():
    import json

    assert json.loads(json.dumps(recall(scans())))["recall"]["value"] == 0.5
