"""The one table of steps: every entry has a stage whose parameters it names."""

import inspect
from importlib import import_module

import pytest

from lungline.config.entries import Search
from lungline.config.loading import read_config
from lungline.errors import LunglineError
from lungline.workflow.bundle import PACKAGED, read_bundle
from lungline.workflow.steps import (
    BY_NAME,
    CANDIDATES,
    CLASSIFIER_INPUTS,
    LABELS,
    RAW,
    STEPS,
    graph,
    maker_of,
    settings_of,
    settings_on_the_way,
    steps_of_scan,
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_reads_what_steps_before_it_make(step) -> None:
    before = {other.name for other in STEPS[: STEPS.index(step)]}
    for source in step.reads.values():
        assert source in before | {RAW, CANDIDATES, LABELS, CLASSIFIER_INPUTS}


@pytest.mark.parametrize("step", [step for step in STEPS if step.in_predict], ids=lambda step: step.name)
def test_the_stage_of_a_step_takes_what_the_table_says(step) -> None:
    config = read_config({})
    told = settings_of(config, step.name, detector="pretrained", size=64)
    parameters = inspect.signature(import_module(f"lungline.stages.{step.name}").run).parameters
    assert {*step.reads, *step.params, *told, "output"} <= set(parameters)
    required = {name for name, one in parameters.items() if one.default is inspect.Parameter.empty}
    assert required <= {*step.reads, *step.params, *told, "output", "scans"}


def test_a_pipeline_has_the_steps_that_its_settings_name() -> None:
    config = read_config({})
    names = {
        classifier: [s.name for s in steps_of_scan(settings_on_the_way(config, classifier))]
        for classifier in ("m2", "m1-64")
    }
    assert names["m2"][:7] == ["ingest", "resample", "segment_lungs", "cache_volume", "detect", "extract_candidates",
                               "crop_patches"]  # fmt: skip
    assert names["m1-64"][4:] == ["resize_volume", "predict_cancer", "describe_nodules", "render_page"]
    with pytest.raises(LunglineError, match="no step of a scan is called resampel"):
        steps_of_scan({"resampel": {}})


def test_what_a_classifier_reads_is_made_by_the_last_step_that_a_pipeline_has() -> None:
    config = read_config({})
    ranked, plain, whole = (settings_on_the_way(config, name) for name in ("pretrained", "m2", "m1-64"))
    assert [maker_of(CANDIDATES, s) for s in (ranked, plain, whole)] == ["rank_candidates", "extract_candidates", None]
    assert [maker_of(CLASSIFIER_INPUTS, s) for s in (ranked, plain, whole)] == [
        "crop_patches",
        "crop_patches",
        "resize_volume",
    ]


def test_a_detector_may_pick_candidates_in_its_own_way() -> None:
    config = read_config({})
    assert settings_of(config, "extract_candidates", detector="demo")["threshold"] == 0.8
    assert settings_of(config, "extract_candidates", detector="best")["threshold"] == 0.3


def test_all_that_is_built_in_searches_every_slice_and_another_search_is_told_to_the_steps() -> None:
    config = read_config({"detectors": {"demo": {"search": {"slice_step": 3, "slice_box": True}}}})
    for name in set(config.detectors) - {"demo"}:
        assert config.detectors[name].search == Search(slice_step=1, slice_box=False, first_cut=None)
    told = settings_of(config, "detect", detector="demo")
    assert told == {"precision": "float32", "slice_step": 3, "slice_box": True}
    quick = {"detectors": {"pretrained": {"search": {"first_cut": 60}}}}
    assert settings_of(read_config(quick), "rank_candidates", detector="pretrained")["first_cut"] == 60


def test_the_score_of_a_finding_is_told_to_the_description_alone() -> None:
    config = read_config({})
    told = settings_of(config, "describe_nodules", detector="pretrained")
    assert told == {"ranked_by": "fpr", "min_finding_score": 0.914}
    assert settings_of(config, "describe_nodules", detector="paper") == {"ranked_by": "sum", "min_finding_score": None}
    assert settings_of(config, "describe_nodules") == {}
    assert "min_finding_score" not in settings_of(config, "extract_candidates", detector="pretrained")
    assert read_bundle(PACKAGED).settings["describe_nodules"] == told
    assert settings_on_the_way(config, "pretrained")["describe_nodules"] == told
    raised = read_config(
        {"extract_candidates": {"min_finding_score": 3.0}}
    )  # for all detectors that have none of their own
    found = [
        settings_of(raised, "describe_nodules", detector=name)["min_finding_score"] for name in ("paper", "pretrained")
    ]
    assert found == [3.0, 0.914]


def test_the_graph_names_every_step_and_the_small_one_those_that_the_first_page_shows() -> None:
    assert all(step.name in graph() for step in STEPS)
    assert "detect --> extract_candidates" in graph(small=True)
    assert "rank_candidates" not in graph(small=True)
    assert BY_NAME["rank_candidates"].optional
