"""One whole run of the micro preset, and what each change would run again."""

import csv
import json
import os
import shutil
import time

import pydicom
import pytest
import yaml

from lungline.runner.audit import DIFFERENCES, verify_tree
from lungline.storage.hdf5 import read_header

pytestmark = pytest.mark.workflow

TO_THE_END = {
    "bundle_manifest": 1,
    "predict_cancer": 1,
    "collect_predictions": 1,
    "first_predictions": 1,
    "evaluate_cancer": 1,
    "plot_curves": 1,
    "describe_nodules": 1,
    "render_page": 1,
    "render_index": 1,
}
AFTER_CANDIDATES = {
    "crop_patches": 10,
    "train_classifier": 1,
    **TO_THE_END,
    "evaluate_detection": 1,
    "render_figures": 2,
}
AFTER_CACHES = {
    "check_annotations": 1,
    "rasterise_nodules": 10,
    "train_unet": 3,
    "detect": 11,
    "extract_candidates": 11,
    **AFTER_CANDIDATES,
}


def test_the_micro_run_answers_or_names_every_scan(finished) -> None:
    results = finished.folder / "results" / "micro"
    with open(results / "manifest.csv", encoding="utf-8") as handle:
        listed = {row["scan"] for row in csv.DictReader(handle)}
    with open(results / "predictions.csv", encoding="utf-8") as handle:
        answered = {row["scan"]: row for row in csv.DictReader(handle)}
    assert set(answered) == listed
    assert len(listed) == 20
    assert [row["status"] for row in answered.values()].count("quarantined") == 1
    assert all(row["cancer_probability"] or row["flags"] for row in answered.values())
    for name in ("detection-micro", "cancer-m2-micro"):
        assert json.loads((results / "evaluate" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_job_left_a_log_and_what_it_cost(finished) -> None:
    results = finished.folder / "results" / "micro"
    assert len(list((results / "logs" / "resample").glob("*.log"))) == 20
    assert len(list((results / "benchmarks" / "resample").glob("*.tsv"))) == 20


def test_nothing_runs_when_nothing_has_changed(finished) -> None:
    assert finished.plan("micro") == {}


def test_the_candidate_threshold_touches_nothing_before_the_candidates(finished) -> None:
    jobs = finished.plan("micro", change={"extract_candidates": {"threshold": 0.7}})
    assert jobs == {"extract_candidates": 11, **AFTER_CANDIDATES}


def test_the_lung_threshold_touches_nothing_before_the_lungs(finished) -> None:
    jobs = finished.plan("micro", change={"segment_lungs": {"threshold_hu": -400}})
    assert jobs == {"segment_lungs": 20, "cache_volume": 20, "collect_lungs": 1, **AFTER_CACHES}


def test_a_setting_of_a_classifier_touches_that_classifier_alone(finished) -> None:
    jobs = finished.plan("micro", change={"classifiers": {"m2-micro": {"training": {"steps": 5}}}})
    assert jobs == {"train_classifier": 1, **TO_THE_END}


def test_a_setting_of_another_classifier_touches_nothing(finished) -> None:
    assert finished.plan("micro", change={"classifiers": {"m2": {"training": {"steps": 5}}}}) == {}


def test_threads_device_and_memory_touch_nothing(finished) -> None:
    with finished.edited("rules/preprocess.smk", "mem_mb=memory_by_voxels(3000)", "mem_mb=memory_by_voxels(4000)"):
        assert (
            finished.plan(
                "micro", change={"training_threads": {"train_unet": 2, "train_classifier": 2}, "device": "cpu"}
            )
            == {}
        )


def test_the_precision_touches_the_trainings_and_what_follows(finished) -> None:
    jobs = finished.plan("micro", change={"precision": "bfloat16"})
    assert jobs == {"train_unet": 3, "detect": 11, "extract_candidates": 11, **AFTER_CANDIDATES}


def test_one_more_patient_touches_its_own_chain_and_the_tables(finished) -> None:
    jobs = finished.plan("micro", change={"cohort": {"dsb17_test": 5}})
    own = ["simulate_dsb17_patient", "ingest", "resample", "segment_lungs", "cache_volume"]
    own += ["detect", "extract_candidates", "crop_patches"]
    tables = {"write_cohort_tables": 1, "manifest": 1, "check_leakage": 1}
    tables["collect_lungs"] = 1
    tables["evaluate_detection"] = 1  # a test patient's nodules count, too
    answers = {step: count for step, count in TO_THE_END.items() if step != "bundle_manifest"}  # the models stay
    assert jobs == {**dict.fromkeys(own, 1), **tables, **answers}


def test_a_change_in_a_module_touches_the_steps_that_reach_it(finished) -> None:
    edit = ("src/lungline/detection/candidates.py", "\n\n\ndef ", "\n\n\nCHANGED = 1\n\n\ndef ")
    with finished.edited(*edit):
        jobs = finished.plan("micro")
    assert jobs == {"extract_candidates": 11, **AFTER_CANDIDATES}


def test_a_change_in_resampling_touches_all_that_follows_and_nothing_before(finished) -> None:
    with finished.edited("src/lungline/imaging/resampling.py", "\n\n\ndef ", "\n\n\nCHANGED = 1\n\n\ndef "):
        jobs = finished.plan("micro")
    assert jobs == {"resample": 20, "segment_lungs": 20, "cache_volume": 20, "collect_lungs": 1, **AFTER_CACHES}


def test_a_comment_and_a_docstring_touch_nothing(finished) -> None:
    with (
        finished.edited("src/lungline/imaging/resampling.py", '"""', '"""Better said: '),
        finished.edited("src/lungline/storage/hdf5.py", "\nimport ", "\n# a comment\nimport "),
    ):
        assert finished.plan("micro") == {}


def test_a_folder_without_labels_is_scored_with_the_trained_models_and_gets_the_same_answer(finished, tmp_path) -> None:
    results = finished.folder / "results" / "micro"
    with open(results / "predictions.csv", encoding="utf-8") as handle:
        known = next(row for row in csv.DictReader(handle) if (row["status"], row["split"]) == ("ok", "train"))
    shutil.copytree(results / "cohort" / "dsb17" / "stage1" / known["scan"], tmp_path / "somebody")
    change = {
        "outdir": "results/scored",
        "data": {"folder": str(tmp_path)},
        "models": {
            "detectors": {"micro": "results/micro/train_unet/micro"},
            "classifiers": {"m2-micro": "results/micro/train_classifier/m2-micro"},
        },
    }
    (finished.folder / "scored.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    assert finished.list_scans("config/micro.yaml", "scored.yaml").returncode == 0
    answer = finished.snakemake("--configfile", "config/micro.yaml", "scored.yaml", "--quiet", "host", "rules")
    assert answer.returncode == 0, answer.stdout[-5000:]
    with open(finished.folder / "results" / "scored" / "predictions.csv", encoding="utf-8") as handle:
        (scored,) = csv.DictReader(handle)
    assert scored["scan"] != known["scan"]
    assert scored["label"] == ""
    assert (scored["cancer_probability"], scored["input_sha256"]) == (
        known["cancer_probability"],
        known["input_sha256"],
    )
    assert scored["status"] == "warned"
    assert "W_TRAINING_CASE" in scored["flags"].split(";")
    assert "train_" not in answer.stdout


def test_a_training_patient_under_another_name_in_the_test_stops_before_any_training(finished, tmp_path) -> None:
    results = finished.folder / "results" / "micro"
    dsb17 = tmp_path / "dsb17"
    shutil.copytree(results / "cohort" / "dsb17", dsb17, ignore=shutil.ignore_patterns(".*.sha256"))
    with open(results / "predictions.csv", encoding="utf-8") as handle:
        known = next(row for row in csv.DictReader(handle) if (row["status"], row["split"]) == ("ok", "train"))
    planted = shutil.copytree(dsb17 / "stage1" / known["scan"], dsb17 / "stage1" / "planted")
    for file in planted.glob("*.dcm"):
        dataset = pydicom.dcmread(file)
        dataset.PatientID = "somebody else"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, f"{dataset[keyword].value[:50]}.1")
        dataset.save_as(file)
    with open(dsb17 / "stage1_solution.csv", "a", encoding="utf-8") as handle:
        handle.write(f"planted,{known['label']},Private\n")
    change = {
        "outdir": "results/planted",
        "data": {"dsb17": str(dsb17)},
        "models": {"detectors": {"micro": "results/micro/train_unet/micro"}},
    }
    (finished.folder / "planted.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    assert finished.list_scans("config/micro.yaml", "planted.yaml").returncode == 0
    answer = finished.snakemake("--configfile", "config/micro.yaml", "planted.yaml", "--quiet", "host")
    assert answer.returncode != 0
    said = {line.strip() for line in answer.stdout.splitlines() if "lungline check-leakage:" in line}
    assert len(said) == 1, answer.stdout[-5000:]
    (line,) = said
    label = f"label {known['label']}"
    for part in (
        f"{known['scan']} (train, {label})",
        f"planted (test, {label})",
        "same pixels.",
        "Nothing is trained.",
    ):
        assert part in line
    assert "rule train_classifier" not in answer.stdout
    assert not (finished.folder / "results" / "planted" / "train_classifier").exists()


def test_a_raw_file_that_changes_goes_or_comes_back_touches_its_own_scan(finished, tmp_path) -> None:
    cohort = finished.folder / "results" / "micro" / "cohort"
    with open(cohort.parent / "predictions.csv", encoding="utf-8") as handle:
        patient = next(row["scan"] for row in csv.DictReader(handle) if row["status"] == "ok")
    shutil.copytree(cohort / "dsb17" / "stage1" / patient, tmp_path / "Doe")
    pixels = next((cohort / "luna16").glob("*/*.zraw"))
    shutil.copy(pixels, tmp_path)
    shutil.copy(pixels.with_suffix(".mhd"), tmp_path)
    given = {
        "detectors": {"micro": "results/micro/train_unet/micro"},
        "classifiers": {"m2-micro": "results/micro/train_classifier/m2-micro"},
    }
    change = {"outdir": "results/changing", "data": {"folder": str(tmp_path)}, "models": given}

    def jobs() -> dict[str, int]:
        return finished.plan("micro", change=change, targets=("caches",))

    def run() -> None:
        words = ("--configfile", "config/micro.yaml", "change.yaml", "--quiet", "host", "rules", "--", "caches")
        answer = finished.snakemake(*words)
        assert answer.returncode == 0, answer.stdout[-5000:]
        assert jobs() == {}

    def flags() -> list[str]:
        headers = [read_header(path) for path in sorted((finished.folder / "results/changing/ingest").glob("*.h5"))]
        return [flag.flag for header in headers for flag in header.flags if flag.flag.startswith("Q_")]

    one_scan = dict.fromkeys(("ingest", "resample", "segment_lungs", "cache_volume", "caches"), 1)
    assert jobs()["ingest"] == 2
    run()
    stamp = time.time_ns()
    some = next((tmp_path / "Doe").iterdir())
    some.write_bytes(some.read_bytes())  # the same bytes again: what counts is that somebody wrote
    os.utime(some, ns=(stamp, stamp))
    assert jobs() == one_scan
    shutil.copy(some, tmp_path / "Doe" / "copy.dcm")
    assert jobs() == one_scan
    (tmp_path / "Doe" / "copy.dcm").unlink()
    run()
    zraw = tmp_path / pixels.name
    zraw.rename(tmp_path / "away")
    assert jobs() == one_scan
    run()
    assert flags() == ["Q_BAD_MHD"]
    (tmp_path / "away").rename(zraw)
    assert jobs() == one_scan
    run()
    assert flags() == []
    stored = b"".join(path.read_bytes() for path in (finished.folder / ".snakemake" / "metadata").iterdir())
    assert b"changing" in stored
    assert str(tmp_path).encode() not in stored


def test_a_report_can_be_made(finished) -> None:
    answer = finished.snakemake("--configfile", "config/micro.yaml", "--report", "report.html")
    assert answer.returncode == 0, answer.stdout
    assert (finished.folder / "report.html").stat().st_size > 100_000


def test_a_fold_is_trained_without_its_subset_and_scored_on_it(finished) -> None:
    (finished.folder / "fold.yaml").write_text(yaml.safe_dump({"folds": [0]}), encoding="utf-8")
    files = ["--configfile", "config/micro.yaml", "fold.yaml", "--quiet", "host", "rules"]
    answer = finished.snakemake(*files, "--", "folds", "compare", "submissions")
    assert answer.returncode == 0, answer.stdout[-5000:]
    results = finished.folder / "results" / "micro"
    with open(results / "manifest.csv", encoding="utf-8") as handle:
        held_out = [row["scan"] for row in csv.DictReader(handle) if row["fold"] == "0"]
    assert (results / "submit_detection" / "micro@folds.seriesuids.csv").read_text().split() == held_out
    card = json.loads((results / "train_unet" / "micro@0" / "z" / "card.json").read_text(encoding="utf-8"))
    assert not set(held_out) & {*card["cases"]["train"], *card["cases"]["valid"]}
    assert json.loads((results / "froc" / "micro@folds.json").read_text(encoding="utf-8"))["froc"]["scans"] == 1
    with open(results / "compare" / "comparison.csv", encoding="utf-8") as handle:
        (row,) = (row for row in csv.DictReader(handle) if row["classifier"] == "m2-micro")
    assert row["data"] == "synthetic cohort; DSB-17: not run"
    assert float(row["training_s"]) > 0
    assert (results / "submit_cancer" / "m2-micro.csv").read_text().startswith("id,cancer\n")
    assert [found for found in verify_tree(results).findings if found.kind in DIFFERENCES] == []
    assert finished.plan("micro") == {}
