"""Method 1 and the baselines run through the same steps as method 2, after the micro run and beside it."""

import csv
import json

import pytest
import yaml

pytestmark = pytest.mark.workflow

ONE_SYSTEM = {
    "train_system": 1,
    "describe_pipeline": 1,
    "predict_cancer": 1,
    "collect_predictions": 1,
    "evaluate_cancer": 1,
    "draw_curves": 1,
}
A_CONSTANT = {rule: jobs for rule, jobs in ONE_SYSTEM.items() if rule != "describe_pipeline"}
RUN = ["m2-micro", "m1-micro", "constant-prior", "all-negative"]


def test_a_system_of_method_1_adds_its_volumes_and_itself_and_nothing_of_a_detector(finished) -> None:
    assert finished.plan("micro", change={"run": ["m2-micro", "m1-micro"]}) == {"resize_volume": 10, **ONE_SYSTEM}
    assert finished.plan("micro", change={"run": ["m2-micro", "constant-prior"]}) == A_CONSTANT
    assert finished.plan("micro", change={"run": ["m2-micro", "m1-full"]}) == ONE_SYSTEM  # it reads the caches


def test_without_a_detector_there_is_no_candidate_and_no_figure(workflow) -> None:
    jobs = workflow.plan("micro", change={"run": ["m1-micro", "all-negative"]})
    assert jobs["train_system"] == 2
    assert jobs["cache_volume"] == jobs["resize_volume"] == 10
    assert jobs["describe_nodules"] == jobs["draw_page"] == jobs["draw_index"] == 1  # its page has slices, no candidate
    assert not {"train_unet", "detect", "crop_patches", "draw_figures", "evaluate_detection"} & set(jobs)


def test_method_1_and_the_baselines_answer_or_name_every_patient(finished) -> None:
    (finished.folder / "more.yaml").write_text(yaml.safe_dump({"run": RUN}), encoding="utf-8")
    answer = finished.snakemake("--configfile", "config/micro.yaml", "more.yaml", "--quiet", "host", "rules")
    assert answer.returncode == 0, answer.stdout[-5000:]
    results = finished.folder / "results" / "micro"
    tables = {}
    for system in RUN:
        with open(results / "collect_predictions" / f"{system}.csv", encoding="utf-8") as handle:
            tables[system] = list(csv.DictReader(handle))
    named = [(row["scan"], row["status"] == "quarantined") for row in tables["m2-micro"]]
    for system in RUN:
        assert [(row["scan"], row["status"] == "quarantined") for row in tables[system]] == named
        assert all(bool(row["probability"]) == (row["status"] in ("ok", "warned")) for row in tables[system])
        result = json.loads((results / "evaluate" / f"cancer-{system}.json").read_text(encoding="utf-8"))
        assert result["splits"]["test"]["scored"] > 0
    assert {row["probability"] for row in tables["all-negative"]} == {"", "0"}
    assert len({row["probability"] for row in tables["m1-micro"]}) > 2
    assert finished.plan("micro", change={"run": RUN}) == {}
    assert finished.plan("micro") == {}  # the first system alone: still whole


def test_a_change_in_resizing_touches_the_systems_that_see_resized_volumes(finished) -> None:
    with finished.edited("src/lungline/imaging/resizing.py", "\n\n\ndef ", "\n\n\nCHANGED = 1\n\n\ndef "):
        assert finished.plan("micro") == {}
        assert finished.plan("micro", change={"run": RUN}) == {"resize_volume": 10, **ONE_SYSTEM}


def test_a_setting_of_one_entry_touches_those_that_extend_it_and_no_other(finished) -> None:
    change = {"run": RUN, "systems": {"m1-64-small": {"network": {"dense": 16}}}}
    assert finished.plan("micro", change=change) == ONE_SYSTEM
