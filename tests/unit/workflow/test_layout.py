"""Which files there are, and which follows from which."""

import re

import pytest

from lungline.config.loading import read_config
from lungline.storage.scan_rows import ScanRow
from lungline.workflow.layout import Layout
from lungline.workflow.study import Study
from unit.workflow.test_study import FPR, LUNA, TESTED, TRAINED, study


def layout(config=None, **options) -> Layout:
    return Layout(study(config, **options))


def test_paths_start_at_the_folder_of_results() -> None:
    assert layout({"outdir": "o"}).out("a") == "o/a"
    assert layout({"outdir": "o"}).of("a/{scan}.h5", ["x", "y"]) == ["o/a/x.h5", "o/a/y.h5"]


def test_a_step_reads_the_files_of_the_steps_before_it() -> None:
    files = layout({"outdir": "o"})
    assert files.step_inputs("cache_volume") == {"volume": "o/resample/{scan}.h5", "lungs": "o/segment_lungs/{scan}.h5"}
    assert files.step_inputs("resample", scan="x") == {"ingested": "o/ingest/x.h5"}
    assert files.step_inputs("ingest") == {}


def test_the_candidates_that_count_are_those_of_the_last_step() -> None:
    plain, ranked = layout({"outdir": "o"}), layout({"outdir": "o", "detectors": {"demo": {"fpr": FPR}}})
    assert plain.candidates_of("demo", ["x"]) == ["o/extract_candidates/demo/x.csv"]
    assert ranked.candidates_of("demo", ["x"]) == ["o/rank_candidates/demo/x.csv"]


@pytest.mark.parametrize(
    ("classifier", "folder"),
    [("m2-demo", "o/crop_patches/demo"), ("m1-64", "o/resize_volume/64"), ("m1-full", "o/cache_volume")],
)
def test_a_classifier_reads_what_its_kind_reads(classifier, folder) -> None:
    assert layout({"outdir": "o"}).read_by(classifier) == folder
    assert layout({"outdir": "o"}).training_inputs_of(classifier)[0] == f"{folder}/patient0.h5"


def test_a_baseline_is_trained_on_no_files() -> None:
    assert layout().training_inputs_of("all-negative") == []


def test_a_given_model_is_read_where_it_lies() -> None:
    files = layout({"outdir": "o", "models": {"detectors": {"demo": "given"}}})
    assert files.networks("demo") == [f"given/{axis}/weights.safetensors" for axis in "zyx"]
    assert files.networks("demo@3")[0] == "o/train_unet/demo@3/z/weights.safetensors"
    assert files.learning_curves_of("m2-demo") == ["o/train_classifier/m2-demo/learning_curve.csv"]


def test_what_is_said_of_nodules_reads_the_detector_where_there_is_one() -> None:
    files = layout({"outdir": "o"})
    read = files.of_nodules("describe_nodules", "m2-demo", "x")
    assert read["labels"] == "o/extract_candidates/demo/x.h5"
    assert read["candidates"] == "o/extract_candidates/demo/x.csv"
    assert read["predictions"] == "o/predict_cancer/m2-demo.csv"
    assert set(files.of_nodules("describe_nodules", "m1-64", "x")) == {"ingested", "volume", "lungs", "predictions"}


@pytest.mark.parametrize("step", ["detect", "extract_candidates", "crop_patches"])
def test_batches_hold_every_scan_once_and_a_new_scan_joins_one_of_them(step) -> None:
    few, more = (layout({"detect": {"jobs": 4}}, rows=[*LUNA, *TRAINED, *rows]) for rows in ([], TESTED))
    wanted = few.study.cropped("demo") if step == "crop_patches" else few.study.searched("demo")
    before, after = (
        {b.rule: set(b.scans) for b in files.batches(step) if b.detector == "demo"} for files in (few, more)
    )
    assert sorted(scan for scans in before.values() for scan in scans) == sorted(wanted)
    changed = [rule for rule, scans in after.items() if scans != before.get(rule)]
    assert 1 <= len(changed) <= len(TESTED)
    assert all(before.get(rule, set()) < after[rule] for rule in changed)


def test_the_names_of_rules_do_not_depend_on_the_scans() -> None:
    few, more = (layout({"detect": {"jobs": 40}}, rows=[*LUNA[:3], *TRAINED, *rows]) for rows in ([], TESTED))
    for step in ("detect", "extract_candidates", "rank_candidates", "crop_patches"):
        names = [batch.rule for batch in few.batches(step)]
        assert names == [batch.rule for batch in more.batches(step)]
    assert {"detect_demo_0", "detect_demo_39", "detect_demo_fold_9", "detect"} <= {
        batch.rule for batch in few.batches("detect")
    }


def test_the_scans_of_a_fold_are_a_batch_of_their_own() -> None:
    batches = {batch.rule: batch for batch in layout({"detect": {"jobs": 4}}).batches("detect")}
    assert batches["detect_demo_fold_3"].scans == ("luna3",)
    assert batches["detect_demo_fold_3"].detector == "demo@3"


def test_detectors_without_batches_have_a_process_a_scan() -> None:
    (only,) = layout({"detect": {"jobs": None}}).batches("detect")
    assert (only.rule, only.scans) == ("detect", ("{scan}",))
    *_, any_other = layout({"detect": {"jobs": 4}}).batches("detect")
    path = re.compile(rf"o/detect/(?:{any_other.constraint})/x\.h5")
    assert any_other.of_any
    assert path.fullmatch("o/detect/paper/x.h5")
    assert path.fullmatch("o/detect/demo2/x.h5")
    assert not path.fullmatch("o/detect/demo/x.h5")
    assert not path.fullmatch("o/detect/demo@3/x.h5")


def test_only_detectors_with_a_fpr_have_batches_that_rank() -> None:
    ranked = layout({"detect": {"jobs": 2}, "detectors": {"demo": {"fpr": FPR}}})
    assert [batch.of_any for batch in layout({"detect": {"jobs": 2}}).batches("rank_candidates")] == [True]
    assert len(ranked.batches("rank_candidates")) > 1


def test_recall_and_answers_are_measured_where_there_are_tests() -> None:
    assert layout({"outdir": "o"}).evaluations == ["o/evaluate/detection-demo.json", "o/evaluate/cancer-m2-demo.json"]
    assert layout(rows=[*LUNA[:9], *TRAINED]).evaluations == []


def test_a_setting_changes_the_digest_of_what_reads_it_alone() -> None:
    plain = layout({"detectors": {"demo": {"fpr": FPR}}})
    turned = layout({"detectors": {"demo": {"fpr": {**FPR, "test_time_augmentation": 8}}}})
    assert plain.unet_digest("demo") == turned.unet_digest("demo")
    assert plain.fpr_digest("demo") != turned.fpr_digest("demo")
    scored = layout({"detectors": {"pretrained": {"candidates": {"min_finding_score": 0.5}}}})
    assert plain.fpr_digest("pretrained") == scored.fpr_digest("pretrained")
    assert plain.unet_digest("pretrained") == scored.unet_digest("pretrained")
    assert plain.unet_digest("demo") != layout({"seed": 2}).unet_digest("demo")
    assert plain.classifier_digest("m2-demo") == turned.classifier_digest("m2-demo")


def test_plausible_lungs_shrink_with_synthetic_chests_only() -> None:
    small = {"cohort": {"anatomy_scale": 0.5}}
    assert study(small, scans_from="synthetic").plausible_ml() == {"plausible_ml_low": 125, "plausible_ml_high": 1125}
    assert study(small).plausible_ml() == {"plausible_ml_low": 1000, "plausible_ml_high": 9000}


def test_trainings_that_differ_by_their_seeds_alone_repeat_one_another() -> None:
    again = {"extends": "demo", "training": {"seed": 2}}
    classifiers = {
        "again": {"extends": "m2-demo", "detector": "again", "training": {"seed": 2}},
        "other": {"extends": "again", "training": {"steps": 9}},
    }
    run = ["m2-demo", "again", "other"]
    compared = layout({"detectors": {"again": again}, "classifiers": classifiers, "run": run}).compared()
    assert {name: (files["seed"], files["repeats"]) for name, files in compared.items()} == {
        "m2-demo": (1, "m2-demo"),
        "again": (2, "m2-demo"),
        "other": (2, "other"),
    }


def test_masks_by_others_lie_beside_the_manifest_and_are_read_by_the_scans_that_have_them() -> None:
    rows = {
        "x": ScanRow("x", "mhd", "folder", "test", lungs="private/masks/x.nii.gz"),
        "y": ScanRow("y", "mhd", "folder", "test"),
    }
    study = Study(read_config({"outdir": "o", "manifest": "given/manifest.csv"}), rows)
    files = Layout(study)
    assert files.masks_of("x") == {"lungs": "given/private/masks/x.nii.gz"}
    assert files.step_inputs("segment_lungs", scan="x")["given"] == "o/read_masks/x.h5"
    assert "given" in files.of_nodules("describe_nodules", study.config.run[0], "x")
    assert study.has_masks
    assert "given" not in files.step_inputs("segment_lungs", scan="y") | files.step_inputs("segment_lungs")
    assert files.masks_of("y") == {}
