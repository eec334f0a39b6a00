"""The rules of LUNA-16's script, one by one, and its own answers for five submissions."""

import csv
import json

import numpy as np
import pytest

from lungline.errors import LunglineError
from lungline.evaluation.free_response import (
    CPM_POINTS,
    Finding,
    ScanMarks,
    froc,
    froc_intervals,
    match,
    script_intervals,
    strongest_in_nodules,
)
from lungline.nodules.annotations import read_annotations
from tests.literal_froc import literal_froc

NODULE = Finding((0.0, 0.0, 0.0), 10.0)


def at(*x):
    """Points on the x axis."""
    return [(float(value), 0.0, 0.0) for value in x]


def test_a_mark_on_the_radius_is_no_hit():
    assert len(match(ScanMarks(at(5.0), [0.5], [NODULE])).hits) == 0
    assert len(match(ScanMarks(at(4.999), [0.5], [NODULE])).hits) == 1


def test_an_unmeasured_finding_counts_as_10_mm():
    score = match(ScanMarks(at(4.9, 5.1), [0.5, 0.6], [], [Finding((0, 0, 0), -1)]))
    assert score.ignored_on_excluded == 1
    assert score.false_positives.tolist() == [0.6]


def test_the_strongest_of_several_marks_counts_and_the_others_are_ignored():
    score = match(ScanMarks(at(0, 1, 2, 50), [0.2, 0.9, 0.4, 0.7], [NODULE]))
    assert score.hits.tolist() == [0.9]
    assert score.false_positives.tolist() == [0.7]
    assert score.ignored_double == 2


def test_one_mark_in_two_nodules_finds_both():
    score = match(ScanMarks(at(3), [0.8], [NODULE, Finding((6.0, 0.0, 0.0), 10.0)]))
    assert score.hits.tolist() == [0.8, 0.8]
    assert len(score.false_positives) == 0


def test_a_mark_that_hit_a_nodule_is_not_ignored_by_an_excluded_finding():
    score = match(ScanMarks(at(1), [0.8], [NODULE], [Finding((0.0, 0.0, 0.0), 30.0)]))
    assert score.hits.tolist() == [0.8]
    assert score.ignored_on_excluded == 0


def test_of_more_than_100_marks_only_those_strictly_above_the_101st_stay():
    points = at(*range(1000, 1101))
    assert match(ScanMarks(points, [0.5] * 100 + [0.4], [NODULE])).marks_after_cut == 100
    assert match(ScanMarks(points, [0.9] * 99 + [0.5] * 2, [NODULE])).marks_after_cut == 99
    assert match(ScanMarks(points, [0.5] * 101, [NODULE])).marks_after_cut == 0


def two_scans():
    far = Finding((0.0, 100.0, 0.0), 6.0)
    return {
        "a": ScanMarks(at(0, 50, 60), [0.9, 0.8, 0.3], [NODULE]),
        "b": ScanMarks(at(0, 70), [0.5, 0.2], [NODULE, far]),
    }


def test_the_curve_by_hand():
    """Sorted: hit .9, false .8, hit .5, false .3, false .2; 3 nodules, one never found; 2 scans."""
    result = froc(two_scans())
    assert result.false_positives_per_scan.tolist() == [0, 0, 0.5, 0.5, 1, 1.5]
    assert result.sensitivity == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert (result.true_positives, result.false_positives, result.nodules, result.scans) == (2, 3, 3, 2)
    assert result.cpm == pytest.approx((1 / 3 + 1 / 3 + 5 * 2 / 3) / 7)


def test_marks_of_equal_score_are_one_corner():
    result = froc({"a": ScanMarks(at(0, 50, 60), [0.5, 0.5, 0.5], [NODULE])})
    assert result.false_positives_per_scan.tolist() == [0, 2]
    assert result.sensitivity_at(1.0) == pytest.approx(0.5)


def test_scans_without_marks_or_nodules_count_as_scans():
    result = froc({**two_scans(), "empty": ScanMarks([], [], []), "false": ScanMarks(at(1), [0.7], [])})
    assert result.scans == 4
    assert result.false_positives_per_scan[-1] == 1.0


def test_no_mark_at_all_is_no_sensitivity():
    result = froc({"a": ScanMarks([], [], [NODULE])})
    assert result.cpm == 0


def test_no_false_positive_is_a_flat_curve():
    assert froc({"a": ScanMarks(at(0), [0.3], [NODULE])}).cpm == 1


def test_no_nodule_anywhere_is_refused():
    with pytest.raises(LunglineError, match="no annotated nodule"):
        froc({"a": ScanMarks(at(0), [0.3], [])})


@pytest.mark.parametrize(("points", "scores"), [(at(1, 2), [0.1]), ([(np.nan, 0, 0)], [0.5]), (at(1), [np.inf])])
def test_marks_that_are_none_are_refused(points, scores):
    with pytest.raises(LunglineError, match="finite"):
        match(ScanMarks(points, scores, [NODULE]))


def many_scans(n=40):
    rng = np.random.default_rng(0)
    scans = {}
    for i in range(n):
        x = np.where(rng.random(5) < 0.3, 0.0, 100.0)
        scans[str(i)] = ScanMarks(at(*x), np.round(rng.random(5), 2), [NODULE])
    return scans


def test_a_draw_of_the_bootstrap_is_the_curve_of_the_drawn_scans():
    from lungline.evaluation.intervals import resamples

    scans = many_scans(12)
    keys = list(scans)
    replicates = [
        froc({str(k): scans[keys[i]] for k, i in enumerate(draw)}).cpm for draw in resamples(12, rounds=40, seed=3)
    ]
    interval = froc_intervals(froc(scans), rounds=40, seed=3).cpm
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])))


def test_intervals_are_seeded_and_hold_the_value():
    result = froc(many_scans())
    intervals = froc_intervals(result, seed=1, rounds=200)
    assert intervals == froc_intervals(result, seed=1, rounds=200)
    assert intervals.cpm.low < result.cpm < intervals.cpm.high
    assert len(intervals.at) == len(CPM_POINTS)


def test_one_scan_has_no_interval_but_a_reason():
    interval = froc_intervals(froc({"a": ScanMarks(at(0), [0.3], [NODULE])})).cpm
    assert interval.low is None
    assert interval.reason


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["typical", "over_100_marks_with_ties", "excluded_and_double_marks", "no_false_positives", "few_detections"],
)
def test_answers_are_those_of_lunas_official_script(sample_data, name):
    folder = sample_data / "froc"
    wanted = json.loads((folder / "expected.json").read_text())[name]
    found, excluded = (
        read_annotations(folder / f, measured=False) for f in ("annotations.csv", "annotations_excluded.csv")
    )
    with open(folder / f"submission_{name}.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    scans = {}
    for scan in (folder / "seriesuids.csv").read_text().split():
        mine = [row for row in rows if row["seriesuid"] == scan]
        scans[scan] = ScanMarks(
            [[float(row[c]) for c in ("coordX", "coordY", "coordZ")] for row in mine],
            [float(row["probability"]) for row in mine],
            [Finding(n.centre_xyz_mm, n.diameter_mm) for n in found if n.scan == scan],
            [Finding(n.centre_xyz_mm, n.diameter_mm) for n in excluded if n.scan == scan],
        )
    result = froc(scans)
    assert result.scans == wanted["scans"]
    assert result.nodules == wanted["nodules"]
    assert result.true_positives == wanted["true_positives"]
    assert result.false_positives == wanted["false_positives"]
    assert result.nodules - result.true_positives == wanted["false_negatives"]
    assert result.marks_after_cut == wanted["candidates_after_cut"]
    assert result.ignored_on_excluded == wanted["ignored_on_excluded"]
    assert result.ignored_double == wanted["ignored_double"]
    assert result.cpm == pytest.approx(wanted["cpm"], abs=1e-9)
    for point, sensitivity in wanted["sensitivity_at"].items():
        assert result.sensitivity_at(float(point)) == pytest.approx(sensitivity, abs=1e-9)
    grid = np.linspace(0.125, 8, 10001)
    assert result.sensitivity_at(grid).mean() == pytest.approx(wanted["mean_sensitivity_10001_grid"], abs=1e-9)


@pytest.mark.parametrize("seed", range(200))
def test_random_submissions_have_the_curve_of_the_rules_told_step_by_step(seed):
    """Few scores, so ties; marks twice at one place, several in one nodule, one in two; scans without either."""
    rng = np.random.default_rng(seed)
    ids = [f"s{number}" for number in range(int(rng.integers(1, 9)))]

    def rows(most, wide, last):
        made = [
            (scan, *rng.integers(0, wide, 3).tolist(), last()) for scan in ids for _ in range(rng.integers(0, most))
        ]
        return [tuple(map(str, row)) for row in made]

    nodules = [*rows(4, 20, lambda: rng.integers(4, 30)), (ids[0], "5", "5", "5", "9")]
    excluded = rows(3, 20, lambda: rng.choice([-1, 12]))
    marks = rows(9, 24, lambda: rng.integers(0, 6) / 4)
    marks += [(ids[0], "5", "5", "6", "0.75"), *(marks[:2])]  # a hit at least, and marks that stand there twice
    most = int(rng.choice([3, 100]))
    wanted = literal_froc(ids, nodules, excluded, marks, most=most)
    again = literal_froc(ids, nodules, excluded, marks, most=most, gathered=True)
    assert np.array_equal(wanted.sensitivity, again.sensitivity)

    def findings(rows, scan):
        return [Finding(tuple(map(float, row[1:4])), float(row[4])) for row in rows if row[0] == scan]

    scans = {}
    for scan in ids:
        own = np.array([row[1:] for row in marks if row[0] == scan], dtype=np.float64).reshape(-1, 4)
        scans[scan] = ScanMarks(own[:, :3], own[:, 3], findings(nodules, scan), findings(excluded, scan))
    found = froc(scans, most_marks=most)
    counts = (found.true_positives, found.false_positives, found.nodules, found.marks_after_cut)
    counts += (found.ignored_on_excluded, found.ignored_double)
    names = ("true_positives", "false_positives", "nodules", "marks", "on_excluded", "double")
    assert counts == tuple(getattr(wanted, name) for name in names)
    points = np.linspace(0.05, 9, 400)
    curve = np.interp(points, wanted.false_positives_per_scan, wanted.sensitivity)
    assert found.sensitivity_at(points) == pytest.approx(curve, abs=1e-9)
    strongest = strongest_in_nodules(scans[ids[0]], most)
    hits = match(scans[ids[0]], most).hits.tolist()
    assert [score for score in strongest if score is not None] == hits


@pytest.mark.parametrize("seed", [0, 7])
def test_intervals_as_lunas_script_draws_them(seed):
    """Each draw scored by the rules told step by step, with numpy's global generator, as the script uses it."""
    rounds, points = 60, np.array([0.125, 0.5, 1, 2])
    rng = np.random.default_rng(seed)
    ids = [f"s{number}" for number in range(9)]
    nodules = [(scan, "10", "10", "10", "12") for scan in ids[:5]] + [("s1", "40", "10", "10", "6")]
    marks = [(scan, *map(str, rng.integers(4, 17, 3)), str(rng.integers(0, 6) / 4)) for scan in ids[1:] for _ in "1234"]
    np.random.seed(seed)  # noqa: NPY002
    curves = []
    for _ in range(rounds):
        drawn = [ids[number] for number in np.random.randint(len(ids), size=len(ids))]  # noqa: NPY002
        again = [(f"{place}", scan) for place, scan in enumerate(drawn)]
        rows = [
            [(name, *row[1:]) for name, scan in again for row in table if row[0] == scan] for table in (nodules, marks)
        ]
        curve = literal_froc([name for name, _ in again], rows[0], [], rows[1])
        count = np.rint(curve.false_positives_per_scan * len(ids))
        rate = count / max(curve.false_positives, 1) * curve.false_positives / len(ids)  # its order of rounding
        curves.append(np.interp(points, rate, curve.sensitivity))
    ordered = np.sort(curves, axis=0)
    scans = {}
    for scan in ids:
        own = np.array([row[1:] for row in marks if row[0] == scan], dtype=np.float64).reshape(-1, 4)
        found = [Finding(tuple(map(float, row[1:4])), float(row[4])) for row in nodules if row[0] == scan]
        scans[scan] = ScanMarks(own[:, :3], own[:, 3], found, [])
    result = script_intervals(froc(scans), points, rounds=rounds, seed=seed)
    assert result["mean"] == pytest.approx(ordered.mean(axis=0), abs=1e-9)
    assert result["low"] == pytest.approx(ordered[1], abs=1e-9)
    assert result["high"] == pytest.approx(ordered[58], abs=1e-9)
    assert result["low"] < result["high"]


def test_the_score_at_a_rate_of_false_positives_lets_no_more_of_them_through():
    def scan(hits, false):
        return ScanMarks(at(*([0.0] * len(hits)), *([50.0] * len(false))), [*hits, *false], [NODULE] if hits else [])

    curve = froc({"a": scan([0.9], [0.8, 0.3]), "b": scan([0.5], [0.6, 0.2]), "c": scan([0.1], [0.1])})
    assert curve.score_at(0.125) == 0.9  # none of 3 scans may have one
    assert curve.score_at(1 / 3) == 0.8
    assert curve.score_at(2 / 3) == 0.5  # the hit below both counts as well
    assert curve.score_at(8) == 0.1
    assert froc({"a": ScanMarks(at(50.0), [0.9], [NODULE])}).score_at(0.5) is None
