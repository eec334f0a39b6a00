import numpy as np
import pytest

from experiments.pretrained import choosing, fast_search
from experiments.pretrained.false_positives import places
from experiments.pretrained.fast_search import Search
from experiments.pretrained.found import in_boxes, tumour_boxes
from experiments.pretrained.implanted import Finding, Judged, false_positives_at, folder_of, without_lesions
from lungline.detection.candidates import Candidate
from lungline.detection.slices import AXES
from lungline.evaluation.free_response import ScanMarks
from lungline.training.cases import RatedNodule


def marks(points: list[list[float]], scores: list[float], nodules: list[Finding], excluded: tuple = ()) -> ScanMarks:
    return ScanMarks(np.array(points, dtype=float).reshape(-1, 3), np.array(scores), nodules, excluded)


def test_marks_on_known_lesions_take_no_place_unless_they_hit_a_nodule() -> None:
    nodule, lesion = Finding((0, 0, 0), 10), Finding((0, 0, 8), 20)
    own = marks([[0, 0, 8], [0, 0, 3], [50, 0, 0], [60, 0, 0]], [0.9, 0.8, 0.7, 0.6], [nodule], (lesion,))
    kept = without_lesions({"a": own}, {"a": own}, most=2)["a"]
    assert np.asarray(kept.scores).tolist() == [0.8, 0.7]


def test_false_positives_are_counted_where_the_sensitivity_first_reaches_four_fifths() -> None:
    nodules = [Finding((x, 0, 0), 4) for x in range(0, 100, 20)]
    found = [[x, 0, 0] for x in range(0, 80, 20)]  # four of five
    scans = {
        "a": marks([*found, [0, 50, 0], [0, 60, 0]], [0.9, 0.8, 0.7, 0.6, 0.65, 0.5], nodules),
        "b": marks([], [], []),
    }
    assert false_positives_at(scans, seed=0).value == 0.5
    scans["a"] = marks(found[:3], [0.9, 0.8, 0.7], nodules)
    assert false_positives_at(scans, seed=0).value is None


def test_marks_of_one_structure_in_several_scans_are_one_place() -> None:
    scans = {name: marks([[1, 1, z], [0, 30, 0]], [0.9, 0.1], [Finding((0, 30, 0), 9)]) for z, name in enumerate("abc")}
    (place,) = places(scans, min_score=0.05)
    assert place.scans == ["a", "b", "c"]


def test_a_candidate_lies_on_the_tumour_only_inside_a_box_at_its_height(tmp_path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("xmin,ymin,xmax,ymax,centerX,centerY,sliceZ\n10,10,30,50,-40,-50,80\n110,10,130,50,10,-50,88\n")
    boxes = tumour_boxes(table)
    assert boxes[0] == pytest.approx((-40, -50, 5, 10, 80))
    at = {
        "rank": 1,
        "score": 1,
        "sum_probability": 1,
        "mean_probability": 1,
        "max_probability": 1,
        "n_voxels": 1,
        "label": 1,
    }
    at |= {"label": 1, "z": 0, "y": 0, "x": 0, "diameter_mm": 5}
    assert in_boxes(Candidate(**at, x_mm=-36, y_mm=-41, z_mm=83), boxes)
    assert not in_boxes(Candidate(**at, x_mm=-34, y_mm=-41, z_mm=83), boxes)
    assert not in_boxes(Candidate(**at, x_mm=-36, y_mm=-41, z_mm=93), boxes)


def answered(scores: list[list[float]], logits: list[float]) -> choosing.Answered:
    """Two scans, in each a nodule and a vessel that are marked with `scores`; the nodules judged with `logits`."""
    nodules = [RatedNodule(scan, (0, 0, 0), 8.0, malignant) for malignant, scan in enumerate("ab")]
    found = {
        n.scan: marks([[0, 0, 0], [50, 0, 0]], own, [Finding((0, 0, 0), 8)])
        for n, own in zip(nodules, scores, strict=True)
    }
    return choosing.Answered(found, Judged(nodules, ["p", "q"], np.array(logits), np.array([8.0, 8.0])))


def test_two_sets_of_weights_stand_beside_one_another_with_their_paired_difference() -> None:
    good, bad = answered([[0.9, 0.1], [0.9, 0.1]], [-2.0, 2.0]), answered([[0.1, 0.9], [0.1, 0.9]], [2.0, -2.0])
    rows = [line.strip("| ").split(" | ") for line in choosing.table(good, bad, seed=0).splitlines()]
    value = {row[0]: [cell.split(" ")[0] for cell in row[1:]] for row in rows}
    assert value["recall among 20"] == ["1.000", "1.000", "-"]
    assert value["CPM"] == ["1.000", "0.571", "0.429"]  # the vessel comes first: no nodule below 1 FP per scan
    assert value["FP per scan at 80 %"] == ["0.000", "1.000", "-"]
    assert value["log loss"] == ["0.127", "2.127", "-2.000"]
    assert value["AUC"] == ["1.000", "0.000", "1.000"]


def test_what_other_weights_made_is_not_taken_for_what_these_would_make(tmp_path) -> None:
    card = tmp_path / "card.json"
    card.write_text("one training")
    before = folder_of(tmp_path, card)
    assert folder_of(tmp_path, card) == before
    card.write_text("another")
    assert folder_of(tmp_path, card) != before


def test_a_cheaper_search_is_made_of_the_slices_that_it_computes() -> None:
    rng = np.random.default_rng(0)
    full = {axis: rng.random((5, 6, 7), dtype=np.float32) for axis in AXES}
    mean = fast_search.probability(full, fast_search.FULL)
    np.testing.assert_allclose(mean, sum(full.values()) / 3, rtol=1e-6)
    coarse = fast_search.probability(full, Search(axes=("z",), slice_step=2))
    np.testing.assert_allclose(coarse[::2], full["z"][::2])
    np.testing.assert_allclose(coarse[1], (full["z"][0] + full["z"][2]) / 2, rtol=1e-6)


def test_a_search_ranks_its_first_candidates_alone_by_the_mean_of_its_symmetries() -> None:
    points, logits = np.arange(9.0).reshape(3, 3), np.array([[1, 3], [2, 0], [9, 9]], np.float32)
    ranked = fast_search.Ranked(points, logits, 1.0, np.ones(1))
    assert fast_search.marks_of(ranked, Search(first_cut=2)) == [(0, 1, 2, 2.0), (3, 4, 5, 1.0)]
    assert fast_search.marks_of(ranked, Search(first_cut=1, symmetries=1)) == [(0, 1, 2, 1.0)]
