"""Who trains, who is tested and who is answered: by configuration and manifest alone."""

from dataclasses import replace

import pytest

from lungline.config.loading import read_config
from lungline.errors import LunglineError
from lungline.storage.scan_rows import ScanRow
from lungline.workflow.study import Study, fold_of

LUNA = [ScanRow(f"luna{k}", "mhd", "luna16", s, k) for k, s in enumerate(["train"] * 8 + ["valid", "test"])]
TRAINED = [ScanRow(f"patient{k}", "dicom", "dsb17", "valid" if k == 3 else "train", None, k % 2) for k in range(4)]
TESTED = [ScanRow("known", "dicom", "dsb17", "test", None, 1), ScanRow("unknown", "dicom", "folder", "test")]
FPR = {"network": {"channels": [2] * 6}, "training": {"steps": 2, "batch": 4}, "scans": 3}


def study(config=None, rows=(*LUNA, *TRAINED, *TESTED), **options) -> Study:
    options = {"annotated": True, **options}
    return Study(read_config(config or {}), {row.scan: row for row in rows}, **options)


def test_detectors_are_those_of_the_classifiers_that_are_run_each_once() -> None:
    assert study({"run": ["m2-demo", "m1-demo", "m2"]}).detectors == ("demo", "paper")
    assert study({"run": ["m1-demo"]}).detectors == ()


def test_a_detector_learns_from_annotated_scans_of_train_and_valid() -> None:
    assert study().detector_cases() == [f"luna{k}" for k in range(9)]
    assert study().detection_tests() == ["luna9"]
    assert study(annotated=False).detector_cases() == study(annotated=False).detection_tests() == []


def test_a_classifier_learns_from_labelled_patients_and_every_patient_is_answered() -> None:
    one = study()
    assert one.cases_of("m2-demo") == ["patient0", "patient1", "patient2", "patient3"]
    assert one.labelled_tests == ["known"]
    assert one.patients == ["patient0", "patient1", "patient2", "patient3", "known", "unknown"]


def test_a_classifier_that_learns_from_nodules_learns_from_the_scans_of_the_fpr() -> None:
    one = study({"run": ["pretrained"], "detectors": {"pretrained": {"fpr": {"scans": 2}}}})
    assert one.cases_of("pretrained") == one.nodule_training_scans == ["luna0", "luna1", "luna8"]
    assert one.cropped("pretrained") == [*one.patients, "luna0", "luna1", "luna8"]


def test_without_a_fold_every_subset_but_one_is_trained_on_and_that_one_is_tested() -> None:
    one = study()
    assert fold_of("demo@3") == 3
    assert fold_of("demo@folds") is fold_of("demo") is None
    assert one.detection_tests("demo@3") == ["luna3"]
    assert "luna3" not in one.detector_cases("demo@3")
    assert "luna9" in one.detector_cases("demo@3")
    assert one.answered("demo@3") == ["luna3"]
    assert one.members("demo@folds") == [f"demo@{fold}" for fold in range(10)]


def test_folds_are_those_that_have_scans() -> None:
    assert study({"folds": [0, 5, 9]}, rows=LUNA[:6]).folds == [0, 5]


def test_a_fpr_makes_its_detector_search_the_first_training_scans_too() -> None:
    plain, ranked = study(), study({"detectors": {"demo": {"fpr": FPR}}})
    assert plain.searched("demo") == plain.answered("demo") == ["luna9", *plain.patients]
    assert set(ranked.searched("demo")) - set(plain.searched("demo")) == {"luna0", "luna1", "luna2", "luna8"}


def test_scans_that_only_given_models_saw_are_not_compared_for_leakage() -> None:
    given = {"models": {"detectors": {"demo": "d"}, "classifiers": {"m2-demo": "s"}}}
    assert study(given).compared_for_leakage == ["luna9", "known"]
    assert set(study().compared_for_leakage) == {row.scan for row in (*LUNA, *TRAINED, TESTED[0])}


@pytest.mark.parametrize(
    ("kind", "name", "lacks"),
    [("detector", "demo", "annotated LUNA-16 scan"), ("classifier", "m2-demo", "labelled patient")],
)
def test_what_nothing_can_teach_is_refused_in_words(kind, name, lacks) -> None:
    with pytest.raises(LunglineError, match=rf"{kind} '{name}' cannot be trained: no {lacks}.*models\.{kind}s"):
        study(rows=TESTED).refuse_untrainable(kind, name)
    study().refuse_untrainable(kind, name)


def test_a_digest_changes_with_the_rows_it_covers_and_with_no_others() -> None:
    one, scans = study(), ["luna0", "luna1"]
    other = study(rows=[*(replace(row, split="valid") if row.scan == "luna1" else row for row in LUNA), *TESTED])
    assert one.rows_digest(scans, "scan", "split") != other.rows_digest(scans, "scan", "split")
    assert one.rows_digest(["luna0"], "scan", "split") == other.rows_digest(["luna0"], "scan", "split")
    assert one.rows_digest(scans, "scan") == other.rows_digest(scans[::-1], "scan")


def test_a_digest_of_nodules_changes_with_the_nodules_of_these_scans() -> None:
    one, other = study(nodules={"luna0": [(1, 2, 3, 4)]}), study(nodules={"luna0": [(1, 2, 3, 5)]})
    assert one.nodules_digest(["luna0"]) != other.nodules_digest(["luna0"])
    assert one.nodules_digest(["luna1"]) == other.nodules_digest(["luna1"])


def test_trainings_that_differ_by_their_seeds_alone_have_one_recipe() -> None:
    again = {"extends": "demo", "training": {"seed": 2}}
    classifiers = {"again": {"extends": "m2-demo", "detector": "again", "training": {"seed": 2}}}
    one = study({"detectors": {"again": again}, "classifiers": classifiers, "run": ["m2-demo", "again", "m2"]})
    assert one.recipe_of("m2-demo") == one.recipe_of("again") != one.recipe_of("m2")
    assert (one.seed_of("m2-demo"), one.seed_of("again"), one.seed_of("all-negative")) == (1, 2, 1)


def test_figures_and_pages_are_of_the_first_tests_or_of_the_named_scans() -> None:
    assert study().figure_scans == ["luna9", "known"]
    assert study().page_scans == ["known"]
    assert study({"pages": {"scans": "all"}}).page_scans == study().patients
    assert study({"figures": {"scans": ["unknown"]}}).figure_scans == ["unknown"]
    with pytest.raises(LunglineError, match=r"figures\.scans: .* 'luna0'"):
        _ = study({"figures": {"scans": ["luna0"]}}).figure_scans
    with pytest.raises(LunglineError, match=r"pages\.scans: no patient is called 'knwon'\. Did you mean 'known'"):
        _ = study({"pages": {"scans": ["knwon"]}}).page_scans
