"""Collect and evaluate: from the files of a run to its result tables."""

import json

import numpy as np
import pytest

from lungline import NOTICE
from lungline.detection.candidates import Candidate, write_candidates
from lungline.errors import CorruptFileError, LunglineError
from lungline.stages import collect_predictions, evaluate_cancer, evaluate_detection
from lungline.storage.predictions import ANSWER_COLUMNS, Prediction, read_predictions, write_predictions
from lungline.storage.scan_rows import ScanRow, write_manifest


def predictions(tmp_path, n_test=30, splits=("test", "valid", "train")):
    rng = np.random.default_rng(0)
    rows = [Prediction("luna", "luna16", "test", None, None, "not-scored", ("N_DETECTION_ONLY",), "m2")]
    for split in splits:
        for i in range(n_test):
            p = float(np.clip(rng.normal(0.3 + 0.3 * (i % 3 == 0), 0.15), 0, 1))
            rows.append(Prediction(f"{split}{i}", "dsb17", split, int(i % 3 == 0), p, "ok", (), "m2"))
    rows.append(Prediction("broken", "dsb17", "test", 1, None, "quarantined", ("Q_NO_GEOMETRY",), "m2"))
    write_predictions(tmp_path / "predictions.csv", rows)
    return tmp_path / "predictions.csv"


def evaluated(tmp_path, **options):
    evaluate_cancer.run(tmp_path / "cancer.json", tmp_path / "predictions.csv", **options)
    return json.loads((tmp_path / "cancer.json").read_text())


def test_collected_predictions_hold_every_scan_of_the_manifest(tmp_path, capsys):
    write_manifest(
        tmp_path / "manifest.csv", [ScanRow("a", "dicom", "dsb17", "test"), ScanRow("b", "mhd", "luna16", "test", 9)]
    )
    header = ",".join(ANSWER_COLUMNS) + "\n"
    (tmp_path / "answers.csv").write_text(header + "a,0,0.5,,1,1,ok,,ff,,,,,,,\n")
    options = {"manifest": tmp_path / "manifest.csv", "predictions": tmp_path / "answers.csv", "classifier": "m2"}
    collect_predictions.run(tmp_path / "predictions.csv", **options)
    assert [row.status for row in read_predictions(tmp_path / "predictions.csv")] == ["not-scored", "ok"]
    assert "2 scans: 1 not-scored, 1 ok" in capsys.readouterr().out
    (tmp_path / "answers.csv").write_text(header)
    with pytest.raises(LunglineError, match="without an answer: a"):
        collect_predictions.run(tmp_path / "predictions.csv", **options)


def test_the_result_has_metrics_by_split_with_intervals_and_baselines(tmp_path):
    predictions(tmp_path)
    result = evaluated(tmp_path, synthetic=True)
    assert result["notice"] == NOTICE
    assert result["data"]["datasets"] == ["dsb17"]
    assert "synthetic" in result["data"]["origin"]
    assert list(result["splits"]) == ["test", "valid", "train"]
    test = result["splits"]["test"]
    assert (test["labelled"], test["scored"], test["cancer"]) == (31, 30, 10)
    assert test["not_scored"] == {"broken": ["Q_NO_GEOMETRY"]}
    assert test["metrics"]["auc"]["low"] < test["metrics"]["auc"]["value"]
    assert test["baselines"]["constant_prior"]["probability"] == pytest.approx(20 / 60)
    assert "diameter_alone" not in test


def test_the_prior_is_that_of_the_training_patients_not_of_the_test(tmp_path):
    rows = [Prediction(f"t{i}", "dsb17", "test", 1, 0.5, "ok") for i in range(4)]
    rows += [Prediction(f"v{i}", "dsb17", split, 0, 0.5, "ok") for i, split in enumerate(("train", "valid"))]
    write_predictions(tmp_path / "predictions.csv", rows)
    assert evaluated(tmp_path)["prior"] == 0.0


def test_the_diameter_alone_is_scored_on_the_same_patients(tmp_path):
    predictions(tmp_path)
    lines = [f"dsb17,test{i},0,1,2,3,{20 - i / 10},solid,0" for i in range(1, 30) if i % 3 == 0]
    (tmp_path / "ground_truth.csv").write_text(
        "\n".join(["dataset,scan,nodule,x_mm,y_mm,z_mm,diameter_mm,kind,malignant", *lines])
    )
    test = evaluated(tmp_path, ground_truth=tmp_path / "ground_truth.csv")["splits"]["test"]
    # nine of ten positives have a nodule, the tenth and all negatives count as 0 mm: 0.9 + 0.1 / 2
    assert test["diameter_alone"]["auc"]["value"] == pytest.approx(0.95)
    difference = test["diameter_alone"]["auc_of_classifier_minus_diameter"]["value"]
    assert difference == pytest.approx(test["metrics"]["auc"]["value"] - 0.95)


def test_the_readable_tables_say_the_same(tmp_path):
    predictions(tmp_path)
    result = evaluated(tmp_path)
    page, table = (tmp_path / "cancer.md").read_text(), (tmp_path / "cancer.csv").read_text()
    value = result["splits"]["test"]["metrics"]["auc"]["value"]
    assert NOTICE in page
    assert f"| ROC AUC | {value:.3f} (" in page
    assert "not stated" in page
    assert f"test,classifier,auc,30,{value}" in table
    assert "test,constant_prior,log_loss,30," in table


@pytest.mark.parametrize("labels", [[], [1], [0, 0]])
def test_too_few_labelled_patients_are_no_crash(tmp_path, labels):
    rows = [Prediction(f"t{i}", "folder", "test", label, 0.4, "ok") for i, label in enumerate(labels)]
    write_predictions(tmp_path / "predictions.csv", [*rows, Prediction("x", "folder", "test", None, 0.5, "ok")])
    result = evaluated(tmp_path)
    assert result["splits"]["test"]["metrics"]["auc"]["value"] is None
    assert result["prior"] is None
    assert ("not run" in (tmp_path / "cancer.md").read_text().split("## valid")[0]) == (not labels)


def test_a_test_patient_that_was_trained_on_is_refused(tmp_path):
    predictions(tmp_path)
    card = {"notice": NOTICE, "cases": {"train": ["train0"], "valid": ["valid1"]}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    evaluated(tmp_path, model=tmp_path)
    card["cases"]["valid"].append("test7")
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(LunglineError, match="test7"):
        evaluated(tmp_path, model=tmp_path)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(CorruptFileError):
        evaluated(tmp_path, model=tmp_path)


def test_labelled_copies_of_training_cases_are_refused_and_unlabelled_ones_are_not(tmp_path):
    copy = {"cancer_probability": 0.5, "status": "warned", "flags": ("W_TRAINING_CASE",)}
    others = [Prediction(f"t{i}", "folder", "test", i % 2, 0.4, "ok") for i in range(4)]
    write_predictions(tmp_path / "predictions.csv", [*others, Prediction("x", "folder", "test", None, **copy)])
    evaluated(tmp_path)
    write_predictions(tmp_path / "predictions.csv", [*others, Prediction("x", "folder", "test", 1, **copy)])
    with pytest.raises(LunglineError, match=r"1 of the labelled test patients have the pixels of training cases .x."):
        evaluated(tmp_path)


def detection(tmp_path, **options):
    write_manifest(
        tmp_path / "manifest.csv",
        [ScanRow(f"l{i}", "mhd", "luna16", "test", 9) for i in range(3)]
        + [ScanRow("t", "mhd", "luna16", "train", 0), ScanRow("d", "dicom", "dsb17", "test")],
    )
    (tmp_path / "annotations.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\nl0,0,0,0,8\nl1,5,0,0,12\nl1,90,0,0,5\nt,1,1,1,9\n"
    )
    for scan, points in {"l0": [(1, 0, 0), (60, 0, 0)], "l1": [(70, 0, 0), (5, 1, 0)], "l2": []}.items():
        found = [
            Candidate(k, 10.0 - k, 10.0 - k, 0.9, 0.9, 10, 0, 0, 0, *map(float, p), 6, k)
            for k, p in enumerate(points, 1)
        ]
        write_candidates(tmp_path / "candidates" / f"{scan}.csv", scan, found)
    evaluate_detection.run(
        tmp_path / "detection.json",
        tmp_path / "annotations.csv",
        manifest=tmp_path / "manifest.csv",
        candidates=tmp_path / "candidates",
        **options,
    )
    return json.loads((tmp_path / "detection.json").read_text())


def test_detection_by_hand(tmp_path):
    """Hits: l0 first (9), l1 second (8); false: l0 second (8), l1 first (9); one nodule of three missed."""
    result = detection(tmp_path, synthetic=False)
    assert result["notice"] == NOTICE
    assert result["data"] == {"datasets": ["luna16"], "origin": "scans given by the user"}
    assert (result["candidates"]["found"], result["candidates"]["nodules"]) == (2, 3)
    assert result["candidates"]["candidates_per_scan"]["value"] == pytest.approx(4 / 3)
    froc = result["froc"]
    assert (froc["scans"], froc["true_positives"], froc["false_positives"]) == (3, 2, 2)
    assert froc["sensitivity_at"]["8"]["value"] == pytest.approx(2 / 3)
    assert froc["sensitivity_at"]["0.125"]["value"] == pytest.approx(0.125 / (1 / 3) / 3)
    assert len(froc["curve"]["false_positives_per_scan"]) == len(froc["curve"]["sensitivity"])
    page = (tmp_path / "detection.md").read_text()
    assert "| recall | 0.667 (" in page
    assert NOTICE in page


def test_an_excluded_finding_takes_a_false_positive_away(tmp_path):
    (tmp_path / "excluded.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nl0,61,0,0,-1\n")
    froc = detection(tmp_path, excluded=tmp_path / "excluded.csv")["froc"]
    assert (froc["false_positives"], froc["ignored_on_excluded"]) == (1, 1)


def test_a_scan_that_was_not_searched_is_refused(tmp_path):
    detection(tmp_path)
    with pytest.raises(LunglineError, match=r"not searched \(t\)"):
        detection(tmp_path, split="train")
    with pytest.raises(LunglineError, match="nothing to measure"):
        detection(tmp_path, split="valid")


def test_annotations_of_other_scans_are_refused(tmp_path):
    detection(tmp_path)
    (tmp_path / "other.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nz,0,0,0,8\n")
    with pytest.raises(LunglineError, match="none of the 1 annotations"):
        evaluate_detection.run(
            tmp_path / "o.json",
            tmp_path / "other.csv",
            manifest=tmp_path / "manifest.csv",
            candidates=tmp_path / "candidates",
        )


def test_a_split_without_nodules_has_no_sensitivity_but_a_reason(tmp_path):
    write_candidates(tmp_path / "candidates" / "t.csv", "t", [])
    detection(tmp_path)
    (tmp_path / "annotations2.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nl0,0,0,0,8\n")
    evaluate_detection.run(
        tmp_path / "o.json",
        tmp_path / "annotations2.csv",
        manifest=tmp_path / "manifest.csv",
        candidates=tmp_path / "candidates",
        split="train",
    )
    froc = json.loads((tmp_path / "o.json").read_text())["froc"]
    assert froc["cpm"]["value"] is None
    assert "no annotated nodule" in froc["cpm"]["reason"]


def test_a_detector_that_was_trained_on_a_scored_scan_is_refused(tmp_path):
    for axis in "zyx":
        (tmp_path / "unet" / axis).mkdir(parents=True)
        card = {"notice": NOTICE, "cases": {"train": ["l1"] if axis == "y" else ["t"], "valid": []}}
        (tmp_path / "unet" / axis / "card.json").write_text(json.dumps(card))
    with pytest.raises(LunglineError, match=r"l1"):
        detection(tmp_path, detector=tmp_path / "unet")


def test_excluded_findings_must_be_numbers(tmp_path):
    (tmp_path / "excluded.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nl0,left,0,0,-1\n")
    with pytest.raises(LunglineError, match="line 2"):
        detection(tmp_path, excluded=tmp_path / "excluded.csv")
