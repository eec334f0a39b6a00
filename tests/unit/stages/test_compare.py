"""Classifiers side by side: every classifier of the paper has a row, and every row says what it was scored on."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.evaluation import cancer_metrics
from lungline.evaluation.paired_comparison import PAPER
from lungline.runner.usage import write_usage
from lungline.stages import compare
from lungline.storage.predictions import Prediction, read_predictions, write_predictions

BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
LABELS = [i % 2 for i in range(40)]


@pytest.fixture
def classifiers(tmp_path):
    """Two classifiers that answered the same patients; the second lost one of them."""
    rng = np.random.default_rng(1)
    files = {}
    for name, skill in (("m2", 0.25), ("ours", 0.05)):
        rows = [Prediction("l", "luna16", "test", None, None, "not-scored", ("N_DETECTION_ONLY",), name)]
        for i, label in enumerate(LABELS):
            p = float(np.clip(0.5 + skill * (2 * label - 1) + rng.normal(0, 0.15), 0, 1))
            rows.append(Prediction(f"t{i}", "dsb17", "test", label, p, "ok", (), name))
        rows += [Prediction(f"v{i}", "dsb17", "train", int(i == 0), 0.5, "ok", (), name) for i in range(4)]
        if name == "ours":
            rows[3] = Prediction("t2", "dsb17", "test", LABELS[2], None, "quarantined", ("Q_LIMIT",), name)
        write_predictions(tmp_path / f"{name}.csv", rows)
        files[name] = {"predictions": str(tmp_path / f"{name}.csv"), "kind": "candidate", "seed": 1}
    return files


def compared(tmp_path, classifiers, **options):
    compare.compare_classifiers(tmp_path / "comparison.csv", classifiers=classifiers, **options)
    with open(tmp_path / "comparison.csv", newline="") as handle:
        return {row["classifier"]: row for row in csv.DictReader(handle)}


def test_every_classifier_of_the_paper_has_a_row_and_ours_follow(tmp_path, classifiers):
    table = compared(tmp_path, classifiers, synthetic=True)
    assert list(table) == [*PAPER, "ours"]
    assert table["m1-full"]["data"] == "not run"
    assert table["m1-full"]["log_loss"] == ""
    assert float(table["m1-full"]["paper_accuracy"]) == pytest.approx(141 / 198)
    assert table["m1-54-crops"]["paper_reports"] == "still overfits"
    assert table["m2"]["data"] == table["all-negative"]["data"] == "synthetic cohort; DSB-17: not run"
    assert table["ours"]["paper_reports"] == ""


def test_metrics_and_intervals_are_those_of_the_evaluation(tmp_path, classifiers):
    row = compared(tmp_path, classifiers)["m2"]
    rows = [r for r in read_predictions(tmp_path / "m2.csv") if r.split == "test" and r.label is not None]
    wanted = cancer_metrics.measure([r.label for r in rows], [r.score for r in rows])
    for name, estimate in wanted.items():
        found = [float(row[f"{name}{part}"]) for part in ("", "_low", "_high")]
        assert found == pytest.approx([estimate.value, estimate.low, estimate.high])
    assert (row["patients"], row["not_answered"], row["seed"]) == ("40", "0", "1")
    assert (row["paper_log_loss"], row["paper_accuracy"][:5]) == ("0.55", "0.767")


def test_the_papers_accuracy_does_not_stand_clear_of_all_negative(tmp_path, classifiers):
    row = compared(tmp_path, classifiers)["m2"]
    assert float(row["paper_accuracy_low"]) < 141 / 198 < float(row["paper_accuracy_high"])


def test_differences_are_taken_over_the_patients_that_both_answered(tmp_path, classifiers):
    table = compared(tmp_path, classifiers)
    assert table["m2"]["reference"] == ""
    assert table["ours"]["reference"] == "m2"
    assert table["ours"]["not_answered"] == "1"
    scores = {}
    for name in ("m2", "ours"):
        with open(tmp_path / f"{name}.csv", newline="") as handle:
            scores[name] = {r["scan"]: (int(r["label"]), float(r["cancer_probability"])) for r in csv.DictReader(handle)
                            if r["split"] == "test" and r["cancer_probability"]}  # fmt: skip
    both = [scan for scan in scores["m2"] if scan in scores["ours"]]
    assert len(both) == 39
    losses = [
        cancer_metrics.log_loss(*map(np.array, zip(*(scores[name][s] for s in both), strict=True))) for name in scores
    ]
    assert float(table["ours"]["log_loss_minus_reference"]) == pytest.approx(losses[1] - losses[0], abs=1e-7)
    assert float(table["ours"]["log_loss_minus_reference_low"]) > 0


def test_another_reference_can_be_named(tmp_path, classifiers):
    table = compared(tmp_path, classifiers, reference="ours")
    assert (table["m2"]["reference"], table["ours"]["reference"]) == ("ours", "")
    with pytest.raises(LunglineError, match="no compared classifier is called 'm3'"):
        compared(tmp_path, classifiers, reference="m3")


def test_the_constant_prior_is_that_of_the_training_patients(tmp_path, classifiers):
    table = compared(tmp_path, classifiers)
    prior = np.full(40, 0.25)
    assert float(table["constant-prior"]["log_loss"]) == pytest.approx(cancer_metrics.log_loss(np.array(LABELS), prior))
    assert float(table["all-negative"]["accuracy"]) == 0.5


def test_only_dsb17_itself_is_called_dsb17(tmp_path, classifiers):
    assert compared(tmp_path, classifiers, synthetic=False)["m2"]["data"] == "DSB-17"
    write_predictions(tmp_path / "o.csv", [Prediction("a", "folder", "test", 1, 0.5, "ok")])
    table = compared(tmp_path, {"ours": {"predictions": str(tmp_path / "o.csv")}}, synthetic=False)
    assert table["ours"]["data"] == "scans given by the user; DSB-17: not run"


def test_training_cost_is_summed_over_the_classifiers_trainings(tmp_path, classifiers):
    for name, row in (
        ("z", "10.5\t0:00:10\t900.0\t1\t1\t1\t0\t0\t99\t20.0"),
        ("s", "2.5\t0:00:02\t300\t1\t1\t1\t0\t0\t9\tNA"),
    ):
        (tmp_path / f"{name}.tsv").write_text(BENCHMARK + row + "\n")
    write_usage(tmp_path / "z.json", 24.5, 950.0)
    classifiers["m2"]["benchmarks"] = [str(tmp_path / "z.tsv"), str(tmp_path / "s.tsv")]
    classifiers["ours"]["benchmarks"] = [str(tmp_path / "absent.tsv")]
    table = compared(tmp_path, classifiers)
    assert [table["m2"][f"training_{what}"] for what in ("s", "cpu_s", "peak_mb")] == ["13.0", "", ""]
    write_usage(tmp_path / "s.json", 3.0, 320.0)
    table = compared(tmp_path, classifiers)
    assert [table["m2"][f"training_{what}"] for what in ("s", "cpu_s", "peak_mb")] == ["13.0", "27.5", "950.0"]
    assert table["ours"]["training_s"] == ""
    (tmp_path / "z.tsv").write_text("seconds\n1\n")
    with pytest.raises(LunglineError, match="expected a benchmark"):
        compared(tmp_path, classifiers)


def test_a_classifier_with_a_detector_shows_its_cpm_and_recall(tmp_path, classifiers):
    share = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "", "reason": ""}
    result = {"notice": NOTICE, "froc": {"cpm": share}, "candidates": {"recall": {**share, "value": 0.7}}}
    (tmp_path / "detection.json").write_text(json.dumps(result))
    classifiers["m2"]["detection"] = str(tmp_path / "detection.json")
    table = compared(tmp_path, classifiers)
    assert (table["m2"]["cpm"], table["m2"]["cpm_low"], table["m2"]["recall"]) == ("0.5", "0.4", "0.7")
    assert table["ours"]["cpm"] == ""


def detection(tmp_path, name, hits):
    """A detector's result: a scan for each score, with one nodule that is found with it, and one false positive."""
    described = {
        f"l{i}": {"nodules": 1, "hits": [score] if score else [], "false_positives": [0.5]}
        for i, score in enumerate(hits)
    }
    share = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "", "reason": ""}
    result = {"notice": NOTICE, "froc": {"cpm": share, "per_scan": described}, "candidates": {"recall": share}}
    (tmp_path / f"{name}.json").write_text(json.dumps(result))
    return str(tmp_path / f"{name}.json")


def test_trainings_with_several_seeds_are_compared_by_their_mean(tmp_path, classifiers):
    good, poor = (detection(tmp_path, *args) for args in (("good", [0.9] * 8), ("poor", [0.9] * 4 + [0] * 4)))
    read = {name: read_predictions(tmp_path / f"{name}.csv") for name in classifiers}
    for name in ("m2", "ours"):
        shifted = [
            dataclasses.replace(row, cancer_probability=None if row.score is None else 0.9 * row.score)
            for row in read[name]
        ]
        write_predictions(tmp_path / f"{name}-2.csv", shifted)
        again = {"predictions": str(tmp_path / f"{name}-2.csv"), "seed": 2, "repeats": name}
        classifiers[f"{name}-2"] = {**classifiers[name], **again}
    for name, files in classifiers.items():
        files["detection"] = good if name.startswith("m2") else poor
    table = compared(tmp_path, classifiers, reference="m2")
    row = table["ours, mean of 2"]
    for metric in ("log_loss", "auc", "brier", "calibration_error", "accuracy"):
        each = [float(table[name][metric]) for name in ("ours", "ours-2")]
        assert float(row[metric]) == pytest.approx(np.mean(each)), metric
    assert (row["seed"], row["patients"], row["not_answered"]) == ("1, 2", "39", "1")
    reference = table["m2, mean of 2"]
    assert reference["reference"] == ""
    assert float(row["log_loss_minus_reference_low"]) > 0
    assert float(row["cpm"]) == pytest.approx(0.5)
    assert float(row["cpm_minus_reference"]) == pytest.approx(-0.5)
    assert -0.9 < float(row["cpm_minus_reference_low"]) < -0.5 < float(row["cpm_minus_reference_high"]) < 0
    assert float(table["ours"]["cpm_minus_reference"]) == pytest.approx(-0.5)


def test_the_page_and_the_forest_plot_are_made(tmp_path, classifiers):
    compared(tmp_path, classifiers, synthetic=True)
    page = (tmp_path / "comparison.md").read_text()
    assert NOTICE in page
    assert "| m1-full | not run | - | - | - | - | - | - | - | 0.712 (0.645 to 0.771) |" in page
    assert "## Minus m2, on the patients that both answered" in page
    picture = (tmp_path / "comparison.png").read_bytes()
    compared(tmp_path, classifiers, synthetic=True)
    assert (tmp_path / "comparison.png").read_bytes() == picture


def test_classifiers_without_a_labelled_test_patient_still_make_a_table(tmp_path):
    write_predictions(tmp_path / "o.csv", [Prediction("a", "folder", "test", None, 0.5, "ok")])
    table = compared(tmp_path, {"ours": {"predictions": str(tmp_path / "o.csv")}})
    assert (table["ours"]["patients"], table["ours"]["log_loss"]) == ("0", "")
    with pytest.raises(LunglineError, match="nothing to compare"):
        compared(tmp_path, {})
