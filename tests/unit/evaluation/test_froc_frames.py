"""FROC of pandas tables is that of the files, and says at which score a rate of false positives is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungline.errors import LunglineError
from lungline.evaluation.free_response import CPM_POINTS, Finding, ScanMarks
from lungline.evaluation.froc_frames import froc
from lungline.evaluation.marks import describe_froc

PLACE = ["x_mm", "y_mm", "z_mm"]


def table(rows: list[tuple], last: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["scan", *PLACE, last])


CANDIDATES = table(
    [
        ("a", 10.0, 0.0, 0.0, 0.9),  # hits the first nodule
        ("a", 11.0, 0.0, 0.0, 0.8),  # the same nodule again: ignored
        ("a", 90.0, 0.0, 0.0, 0.7),  # false
        ("b", 0.0, 50.0, 0.0, 0.6),  # hits the second
        ("b", 0.0, 0.0, 70.0, 0.5),  # on an excluded finding
        ("b", 0.0, 0.0, 90.0, 0.4),  # false
    ],
    "score",
)
NODULES = table(
    [("a", 10.0, 1.0, 0.0, 6.0), ("b", 0.0, 50.0, 2.0, 8.0), ("b", 5.0, 5.0, 5.0, 4.0), ("elsewhere", 0, 0, 0, 5)],
    "diameter_mm",
)
EXCLUDED = table([("b", 0.0, 0.0, 72.0, -1.0)], "diameter_mm")
SCANS = ["a", "b", "nothing"]


def test_curve_and_thresholds_by_hand() -> None:
    result = froc(CANDIDATES, NODULES, scans=SCANS, excluded=EXCLUDED)
    assert (result.scans, result.nodules) == (3, 3)
    assert result.curve["score_threshold"].tolist() == [np.inf, 0.9, 0.7, 0.6, 0.4]
    np.testing.assert_allclose(result.curve["false_positives_per_scan"], [0, 0, 1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(result.curve["sensitivity"], [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    at = result.sensitivity_at
    assert at["false_positives_per_scan"].tolist() == list(CPM_POINTS)
    assert at["score_threshold"].tolist() == [0.9, 0.9, 0.6, 0.4, 0.4, 0.4, 0.4]
    assert result.cpm == pytest.approx(at["sensitivity"].mean())


def test_a_threshold_keeps_at_most_the_false_positives_that_it_stands_for() -> None:
    rng = np.random.default_rng(0)
    scans = [f"s{i}" for i in range(9)]
    candidates = table([(s, *rng.uniform(-9, 9, 3), rng.uniform()) for s in scans for _ in range(40)], "score")
    nodules = table([(s, *rng.uniform(-9, 9, 3), 9.0) for s in scans], "diameter_mm")
    result = froc(candidates, nodules, scans=scans)
    for row in result.sensitivity_at.itertuples():
        kept = candidates[candidates["score"] >= row.score_threshold]
        more = candidates[candidates["score"] >= candidates["score"][candidates["score"] < row.score_threshold].max()]
        assert false_positives(kept, nodules) <= row.false_positives_per_scan * len(scans)
        assert false_positives(more, nodules) > row.false_positives_per_scan * len(scans)


def false_positives(candidates: pd.DataFrame, nodules: pd.DataFrame) -> int:
    both = candidates.merge(nodules, on="scan", suffixes=("", "_of_nodule"))
    distance = np.sqrt(sum((both[c] - both[f"{c}_of_nodule"]) ** 2 for c in PLACE))
    return int((distance >= both["diameter_mm"] / 2).sum())  # one nodule a scan


def test_the_figures_are_those_of_the_workflow() -> None:
    marks = {
        scan: ScanMarks(
            rows[PLACE].to_numpy(),
            rows["score"].to_numpy(),
            [Finding(tuple(n[PLACE]), n["diameter_mm"]) for _, n in NODULES[NODULES["scan"] == scan].iterrows()],
        )
        for scan, rows in ((scan, CANDIDATES[CANDIDATES["scan"] == scan]) for scan in SCANS)
    }
    theirs = describe_froc(marks, seed=3)
    ours = froc(CANDIDATES, NODULES, scans=SCANS, seed=3)
    assert (ours.cpm, *ours.cpm_interval) == tuple(theirs["cpm"][key] for key in ("value", "low", "high"))
    for row, estimate in zip(ours.sensitivity_at.itertuples(), theirs["sensitivity_at"].values(), strict=True):
        assert (row.sensitivity, row.low, row.high) == (estimate["value"], estimate["low"], estimate["high"])


def test_luna16_names_numbers_as_ids_copies_and_any_index_are_understood() -> None:
    result = froc(CANDIDATES, NODULES, scans=SCANS)
    ids = {"a": 7, "b": 8, "nothing": 9, "elsewhere": 10}
    theirs = {"scan": "seriesuid", "x_mm": "coordX", "y_mm": "coordY", "z_mm": "coordZ", "score": "probability"}
    candidates = CANDIDATES.assign(scan=CANDIDATES["scan"].map(ids)).rename(columns=theirs)
    candidates.index = [0] * len(candidates)  # as after pandas.concat
    nodules = pd.concat([NODULES, NODULES]).assign(scan=lambda rows: rows["scan"].map(ids)).rename(columns=theirs)
    again = froc(candidates, nodules, scans=[7, 8, 9])
    assert again.cpm == result.cpm
    assert again.curve.equals(result.curve)


def test_one_scan_has_no_interval_and_a_detector_that_found_nothing_a_curve() -> None:
    with pytest.warns(UserWarning, match="1 of 1 listed scans have no mark"):
        result = froc(CANDIDATES[:0], NODULES, scans=["a"])
    assert result.cpm == 0
    assert result.cpm_interval is None
    assert result.sensitivity_at[["low", "high"]].isna().all(axis=None)
    assert result.sensitivity_at["score_threshold"].tolist() == [np.inf] * 7
    assert "curve" not in repr(result)


def test_marks_that_are_lost_because_they_tie_are_a_warning() -> None:
    many = table([("a", float(i), 0.0, 0.0, 1.0) for i in range(101)], "score")
    with pytest.warns(UserWarning, match="100 marks were lost"):
        froc(many, NODULES, scans=["a"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scans": "a"}, "expected a list of ids"),
        ({"scans": []}, "Found none"),
        ({"scans": ["a", "b", "a"]}, "1 of them twice"),
        ({"scans": ["a"]}, "1 of 2 scans with marks are not in the list"),
        ({"annotations": NODULES.assign(scan="x")}, "none of the 4 annotations belongs"),
        ({"annotations": NODULES.assign(diameter_mm=0.0)}, "4 rows have a diameter_mm"),
        ({"annotations": pd.concat([NODULES, NODULES.assign(diameter_mm=3.0)])}, "4 rows give another diameter_mm"),
        ({"annotations": NODULES.drop(columns="z_mm")}, r"z_mm missing \(LUNA-16: coordZ\)"),
        ({"candidates": CANDIDATES.assign(score="high")}, "candidates, row 0 .from 0.: expected a scan and finite"),
        ({"candidates": CANDIDATES.assign(x_mm=np.inf)}, "finite numbers"),
        ({"candidates": CANDIDATES.assign(scan=None)}, "expected a scan"),
        ({"candidates": pd.concat([CANDIDATES, CANDIDATES])}, "candidates: 6 rows have the scan and the place"),
        ({"candidates": "candidates.csv"}, "expected a pandas table. Got str"),
    ],
)
def test_tables_that_cannot_be_meant_are_one_line(change: dict, words: str) -> None:
    given = {"candidates": CANDIDATES, "annotations": NODULES, "scans": SCANS, **change}
    with pytest.raises(LunglineError, match=words) as error:
        froc(**given)
    assert len(str(error.value).splitlines()) == 1


def test_annotations_of_other_scans_alone_leave_nothing_to_measure() -> None:
    with pytest.raises(LunglineError, match="none of the 4 annotations"):
        froc(CANDIDATES[:0], NODULES, scans=["nothing"])
