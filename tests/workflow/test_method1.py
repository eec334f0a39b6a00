"""Method 1 and the baselines run through the same steps as method 2, after the micro run and beside it."""

import csv
import json

import pytest
import yaml

pytestmark = pytest.mark.workflow

ONE_CLASSIFIER = {
    "train_classifier": 1,
    "bundle_manifest": 1,
    "predict_cancer": 1,
    "collect_predictions": 1,
    "evaluate_cancer": 1,
    "plot_curves": 1,
}
A_CONSTANT = {rule: jobs for rule, jobs in ONE_CLASSIFIER.items() if rule != "bundle_manifest"}
RUN = ["m2-micro", "m1-micro", "constant-prior", "all-negative"]


def test_a_classifier_of_method_1_adds_its_volumes_and_itself_and_nothing_of_a_detector(finished) -> None:
    assert finished.plan("micro", change={"run": ["m2-micro", "m1-micro"]}) == {"resize_volume": 10, **ONE_CLASSIFIER}
    assert finished.plan("micro", change={"run": ["m2-micro", "constant-prior"]}) == A_CONSTANT
    assert finished.plan("micro", change={"run": ["m2-micro", "m1-full"]}) == ONE_CLASSIFIER  # it reads the caches


def test_without_a_detector_there_is_no_candidate_and_no_figure(workflow) -> None:
    jobs = workflow.plan("micro", change={"run": ["m1-micro", "all-negative"]})
    assert jobs["train_classifier"] == 2
    assert jobs["cache_volume"] == jobs["resize_volume"] == 10
    assert (
        jobs["describe_nodules"] == jobs["render_page"] == jobs["render_index"] == 1
    )  # its page has slices, no candidate
    assert not {"train_unet", "detect", "crop_patches", "render_figures", "evaluate_detection"} & set(jobs)


def test_method_1_and_the_baselines_answer_or_name_every_patient(finished) -> None:
    (finished.folder / "more.yaml").write_text(yaml.safe_dump({"run": RUN}), encoding="utf-8")
    answer = finished.snakemake("--configfile", "config/micro.yaml", "more.yaml", "--quiet", "host", "rules")
    assert answer.returncode == 0, answer.stdout[-5000:]
    results = finished.folder / "results" / "micro"
    tables = {}
    for classifier in RUN:
        with open(results / "collect_predictions" / f"{classifier}.csv", encoding="utf-8") as handle:
            tables[classifier] = list(csv.DictReader(handle))
    named = [(row["scan"], row["status"] == "quarantined") for row in tables["m2-micro"]]
    for classifier in RUN:
        assert [(row["scan"], row["status"] == "quarantined") for row in tables[classifier]] == named
        assert all(bool(row["cancer_probability"]) == (row["status"] in ("ok", "warned")) for row in tables[classifier])
        result = json.loads((results / "evaluate" / f"cancer-{classifier}.json").read_text(encoding="utf-8"))
        assert result["splits"]["test"]["scored"] > 0
    assert {row["cancer_probability"] for row in tables["all-negative"]} == {"", "0"}
    assert len({row["cancer_probability"] for row in tables["m1-micro"]}) > 2
    assert finished.plan("micro", change={"run": RUN}) == {}
    assert finished.plan("micro") == {}  # the first classifier alone: still whole


def test_a_change_in_resizing_touches_the_classifiers_that_see_resized_volumes(finished) -> None:
    with finished.edited("src/lungline/imaging/resizing.py", "\n\n\ndef ", "\n\n\nCHANGED = 1\n\n\ndef "):
        assert finished.plan("micro") == {}
        assert finished.plan("micro", change={"run": RUN}) == {"resize_volume": 10, **ONE_CLASSIFIER}


def test_a_setting_of_one_entry_touches_those_that_extend_it_and_no_other(finished) -> None:
    change = {"run": RUN, "classifiers": {"m1-64-small": {"network": {"dense": 16}}}}
    assert finished.plan("micro", change=change) == ONE_CLASSIFIER
