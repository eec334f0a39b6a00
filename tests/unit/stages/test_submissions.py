"""Folds of the cross-validation, and submissions in the formats of both challenges."""

import json

import pytest

from lungline import NOTICE
from lungline.detection.candidates import Candidate, write_candidates
from lungline.errors import LunglineError
from lungline.stages import split_fold, submit_cancer, submit_detection
from lungline.storage.predictions import Prediction, write_predictions
from lungline.storage.scan_rows import ScanRow, read_manifest, write_manifest


@pytest.fixture
def manifest(tmp_path):
    rows = [ScanRow(f"l{fold}", "mhd", "luna16", "train", fold) for fold in range(10)]
    write_manifest(tmp_path / "manifest.csv", [*rows, ScanRow("d", "dicom", "dsb17", "test", None, 1)])
    return tmp_path / "manifest.csv"


@pytest.mark.parametrize(("fold", "valid"), [(0, 9), (3, 2), (9, 8)])
def test_a_fold_holds_its_subset_out_and_validates_on_the_one_before(manifest, tmp_path, fold, valid):
    split_fold.run(tmp_path / "fold.csv", manifest, test_fold=fold)
    splits = {row.scan: row.split for row in read_manifest(tmp_path / "fold.csv")}
    assert len(splits) == 10
    assert [scan for scan, split in splits.items() if split == "test"] == [f"l{fold}"]
    assert [scan for scan, split in splits.items() if split == "valid"] == [f"l{valid}"]


def test_every_scan_is_held_out_in_one_fold(manifest, tmp_path):
    tested = []
    for fold in range(10):
        split_fold.run(tmp_path / "fold.csv", manifest, test_fold=fold)
        tested += [row.scan for row in read_manifest(tmp_path / "fold.csv") if row.split == "test"]
    assert tested == [f"l{fold}" for fold in range(10)]


def test_a_scan_without_a_subset_cannot_be_held_out(tmp_path):
    write_manifest(tmp_path / "manifest.csv", [ScanRow("l", "mhd", "luna16", "train")])
    with pytest.raises(LunglineError, match=r"1 LUNA-16 scans have no fold \(l\)"):
        split_fold.run(tmp_path / "fold.csv", tmp_path / "manifest.csv", test_fold=0)


@pytest.fixture
def folds(manifest, tmp_path):
    """Manifests, candidates and cards of folds 3 and 4."""
    for fold in (3, 4):
        split_fold.run(tmp_path / f"{fold}.csv", manifest, test_fold=fold)
        found = [Candidate(1, 3.0, 3.0, 0.9, 0.9, 10, 0, 0, 0, 1.5, 2.5, -3.25, 6, 1)] if fold == 3 else []
        write_candidates(tmp_path / f"c{fold}" / f"l{fold}.csv", f"l{fold}", found)
        for axis in "zyx":
            (tmp_path / f"d{fold}" / axis).mkdir(parents=True)
            card = {"notice": NOTICE, "cases": {"train": ["l0"], "valid": [f"l{fold - 1}"]}}
            (tmp_path / f"d{fold}" / axis / "card.json").write_text(json.dumps(card))
    return tmp_path


def submit(folder, *folds):
    parts = {"manifests": "{}.csv", "candidates": "c{}", "detectors": "d{}"}
    paths = {key: tuple(folder / name.format(fold) for fold in folds) for key, name in parts.items()}
    submit_detection.run(folder / "marks.csv", **paths)


def test_held_out_marks_of_all_folds_become_one_submission_with_the_list_of_searched_scans(folds):
    submit(folds, 3, 4)
    text = (folds / "marks.csv").read_text()
    assert text == "seriesuid,coordX,coordY,coordZ,probability\nl3,1.5,2.5,-3.25,0.75\n"
    assert (folds / "marks.seriesuids.csv").read_text() == "l3\nl4\n"


def test_a_scan_in_two_folds_and_a_scan_trained_on_are_refused(folds):
    with pytest.raises(LunglineError, match=r"tested by another manifest, too \(l3\)"):
        submit(folds, 3, 3)
    card = {"notice": NOTICE, "cases": {"train": ["l4"], "valid": []}}
    (folds / "d4" / "y" / "card.json").write_text(json.dumps(card))
    with pytest.raises(LunglineError, match=r"used to train the model \(l4\)"):
        submit(folds, 3, 4)


def test_answers_to_the_test_patients_are_submitted(tmp_path, capsys):
    rows = [
        Prediction("a", "dsb17", "test", None, 0.25, "ok"),
        Prediction("b", "dsb17", "test", 1, None, "quarantined", ("Q_LIMIT",)),
        Prediction("c", "dsb17", "train", 1, 0.5, "ok"),
        Prediction("l", "luna16", "test", None, None, "not-scored", ("N_DETECTION_ONLY",)),
    ]
    write_predictions(tmp_path / "p.csv", rows)
    submit_cancer.run(tmp_path / "s.csv", tmp_path / "p.csv")
    assert (tmp_path / "s.csv").read_text() == "id,cancer\na,0.25\n"
    assert "1 patients answered, 1 without an answer" in capsys.readouterr().out
