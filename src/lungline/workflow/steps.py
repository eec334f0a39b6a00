"""The steps of the pipeline in their order: what each reads, its settings, what it makes.

One entry a step: the rule of the workflow, the command of `lungline` and the module in `lungline.stages` carry its
name. `lungline predict`, the rules and the graphs of the documentation are made from it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lungline.errors import LunglineError

if TYPE_CHECKING:
    from lungline.config.models import Config

#: What a step may read beside files of other steps.
RAW, ANNOTATIONS = "scans", "annotations"
#: Files whose step depends on the configuration: the candidates as the last step ranked them, their label map, and what
#: the classifier reads (patches, a resized lung region or a whole preprocessed volume).
CANDIDATES, LABELS, CLASSIFIER_INPUTS = "candidates", "labels", "classifier_inputs"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    name : str
        Of the rule, the command and the module.
    reads : mapping
        Parameter of the stage -> the step whose file it is; `CANDIDATES`, `LABELS` and `CLASSIFIER_INPUTS` stand
        for the step that makes them in the pipeline at hand.
    makes : str
        Path in the results, with wildcards.
    message : str
        What it does, for a person.
    params : tuple of str
        Parameters of the stage that are neither files nor settings: `runner.one_scan` gives them in `lungline predict`.
    many : bool
        Whether it takes many scans per process: a folder and their ids in place of one file.
    optional : bool
        Whether only some pipelines have this step: those with settings for it.
    in_predict : bool
        Whether `lungline predict` runs it, so that it belongs to inference and not to training or evaluation.
    shown : bool
        Whether the small graph shows it.
    graph_only : tuple of str
        Further steps that it depends on, drawn in the graphs; the rules name those files themselves.
    """

    name: str
    reads: Mapping[str, str]
    makes: str
    message: str
    params: tuple[str, ...] = ()
    many: bool = False
    optional: bool = False
    in_predict: bool = True
    shown: bool = True
    graph_only: tuple[str, ...] = field(default=())

    @property
    def suffix(self) -> str:
        """Of the file that it makes."""
        return self.makes[self.makes.rindex(".") :]


STEPS = (
    Step("ingest", {"raw": RAW}, "ingest/{scan}.h5", "Reading", params=("source",)),
    Step(
        "read_masks",
        {"ingested": "ingest"},
        "read_masks/{scan}.h5",
        "Reading the given masks",
        params=("lungs", "lobes"),
        optional=True,
        shown=False,
    ),
    Step("resample", {"ingested": "ingest"}, "resample/{scan}.h5", "Resampling"),
    Step(
        "segment_lungs",
        {"volume": "resample", "given": "read_masks"},
        "segment_lungs/{scan}.h5",
        "Finding the lungs",
    ),
    Step(
        "cache_volume",
        {"volume": "resample", "lungs": "segment_lungs"},
        "cache_volume/{scan}.h5",
        "Masking the scan for the networks",
    ),
    Step(
        "rasterise_nodules",
        {"cache": "cache_volume"},
        "rasterise_nodules/{scan}.h5",
        "Rasterising the annotated nodules",
        in_predict=False,
        graph_only=(ANNOTATIONS,),
    ),
    Step(
        "check_leakage",
        {},
        "check_leakage.csv",
        "Looking for patients in two splits",
        in_predict=False,
        graph_only=("ingest",),
    ),
    Step(
        "train_unet",
        {"caches": "cache_volume", "masks": "rasterise_nodules"},
        "train_unet/{detector}/{axis}/weights.safetensors",
        "Training a U-Net per axis",
        in_predict=False,
        graph_only=("check_leakage",),
    ),
    Step(
        "detect",
        {"caches": "cache_volume"},
        "detect/{detector}/{scan}.h5",
        "Finding nodules with the U-Nets",
        params=("detector", "device"),
        many=True,
        optional=True,
        graph_only=("train_unet",),
    ),
    Step(
        "extract_candidates",
        {"detected": "detect"},
        "extract_candidates/{detector}/{scan}.csv",
        "Picking the strongest candidates",
        many=True,
        optional=True,
    ),
    Step(
        "train_fpr",
        {"caches": "cache_volume", "detected": "detect", "candidates": "extract_candidates"},
        "train_unet/{detector}/fpr/weights.safetensors",
        "Training the false-positive reduction",
        in_predict=False,
        shown=False,
    ),
    Step(
        "rank_candidates",
        {"candidates": "extract_candidates", "caches": "cache_volume", "detected": "detect"},
        "rank_candidates/{detector}/{scan}.csv",
        "Ranking the candidates",
        params=("fpr", "device"),
        many=True,
        optional=True,
        shown=False,
        graph_only=("train_fpr",),
    ),
    Step(
        "crop_patches",
        {
            "caches": "cache_volume",
            "detected": "detect",
            "candidates": CANDIDATES,
            "labels": LABELS,
        },
        "crop_patches/{detector}/{scan}.h5",
        "Cropping and measuring the candidates",
        many=True,
        optional=True,
    ),
    Step(
        "resize_volume",
        {"cache": "cache_volume"},
        "resize_volume/{size}/{scan}.h5",
        "Resizing the lung region",
        optional=True,
    ),
    Step(
        "train_classifier",
        {"inputs": CLASSIFIER_INPUTS},
        "train_classifier/{classifier}/weights.safetensors",
        "Training the classifier",
        in_predict=False,
        graph_only=("check_leakage",),
    ),
    Step(
        "predict_cancer",
        {"inputs": CLASSIFIER_INPUTS},
        "predict_cancer/{classifier}.csv",
        "Scoring",
        params=("model", "manifest", "device"),
        graph_only=("train_classifier",),
    ),
    Step(
        "describe_nodules",
        {
            "ingested": "ingest",
            "volume": "resample",
            "lungs": "segment_lungs",
            "labels": LABELS,
            "candidates": CANDIDATES,
            "predictions": "predict_cancer",
            "given": "read_masks",
        },
        "describe_nodules/{classifier}/{scan}.json",
        "Writing the nodule table",
        params=("scan", "classifier", "supervision"),
        shown=False,
    ),
    Step(
        "render_page",
        {"nodules": "describe_nodules", "volume": "resample", "lungs": "segment_lungs", "detected": "detect"},
        "pages/{classifier}/{scan}.html",
        "Writing the page",
        shown=False,
    ),
    Step(
        "score_points",
        {
            "cache": "cache_volume",
            "detected": "detect",
            "lungs": "segment_lungs",
            "labels": LABELS,
            "candidates": CANDIDATES,
        },
        "score_points/{classifier}/{scan}.csv",
        "Scoring the given points",
        params=("scan", "points", "model", "supervision", "device"),
        optional=True,
        shown=False,
    ),
    Step(
        "collect_predictions",
        {"predictions": "predict_cancer"},
        "collect_predictions/{classifier}.csv",
        "Writing one row per scan",
        in_predict=False,
    ),
    Step(
        "evaluate_detection",
        {"candidates": CANDIDATES},
        "evaluate/detection-{detector}.json",
        "Counting the nodules among the candidates",
        in_predict=False,
        graph_only=(ANNOTATIONS,),
    ),
    Step(
        "evaluate_cancer",
        {"predictions": "collect_predictions"},
        "evaluate/cancer-{classifier}.json",
        "Evaluating the predictions",
        in_predict=False,
    ),
)
BY_NAME = {step.name: step for step in STEPS}


def steps_of_scan(settings: Mapping[str, Any]) -> list[Step]:
    """The steps that one scan goes through in a pipeline with these settings, by step; see `settings_of`."""
    strange = sorted(set(settings) - {step.name for step in STEPS if step.in_predict})
    if strange:
        raise LunglineError(f"no step of a scan is called {', '.join(strange)}.")
    return [step for step in STEPS if step.in_predict and (not step.optional or step.name in settings)]


def maker_of(wanted: str, settings: Mapping[str, Any]) -> str | None:
    """The step that makes what a step reads, in a pipeline with these settings; None where none does."""
    choices = {
        CANDIDATES: ("rank_candidates", "extract_candidates"),
        LABELS: ("extract_candidates",),
        CLASSIFIER_INPUTS: ("crop_patches", "resize_volume", "cache_volume"),
    }.get(wanted, (wanted,))
    return next((name for name in choices if name in settings or not BY_NAME[name].optional), None)


def settings_of(config: Config, step: str, *, detector: str | None = None, size: int | None = None) -> dict[str, Any]:
    """The options of a step of a scan, by their names.

    Parameters
    ----------
    config : Config
    step : str
    detector : str or None
        The entry of `detectors:` that the step works for, where it works for one.
    size : int or None
        Edge of the resized lung region, voxels.
    """
    if step in ("resample", "cache_volume"):
        return getattr(config, step).model_dump()
    if step == "segment_lungs":
        settings = config.segment_lungs.model_dump(exclude={"plausible_ml"})
        low, high = config.segment_lungs.plausible_ml
        return {**settings, "plausible_ml_low": low, "plausible_ml_high": high}
    if step == "detect":
        own = config.detectors[str(detector)].search.model_dump(exclude={"first_cut"})
        return {"precision": config.precision, **own}
    if step == "extract_candidates":
        return config.candidate_settings(str(detector)).model_dump(exclude={"min_finding_score"})
    if step == "rank_candidates":
        entry = config.detectors[str(detector)]
        assert entry.fpr is not None
        told = {"first_cut": entry.search.first_cut, "test_time_augmentation": entry.fpr.test_time_augmentation}
        return {"count": config.extract_candidates.count, **told}
    if step == "crop_patches":
        return {"count": config.extract_candidates.count, **config.crop_patches.model_dump()}
    if step == "describe_nodules" and detector is not None:
        picked, second = config.candidate_settings(detector), config.detectors[detector].fpr
        return {"ranked_by": "fpr" if second else picked.rank_by, "min_finding_score": picked.min_finding_score}
    return {"size": size} if step == "resize_volume" else {}


def options(**given: Any) -> str:
    """Words of a command line for those options that have a value."""
    words = []
    for name, value in given.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if values and value is not None:
            said = (str(one).lower() if isinstance(one, bool) else str(one) for one in values)
            words += [f"--{name.replace('_', '-')}", *said]
    return shlex.join(words)


def settings_on_the_way(config: Config, classifier: str) -> dict[str, dict[str, Any]]:
    """The settings of every step between a raw scan and the prediction of a classifier, by step."""
    entry = config.classifiers[classifier]
    detector = entry.detector if entry.kind == "candidate" else None
    size = entry.input.resize_to if entry.kind == "whole_volume" else None
    steps = ["resample", "segment_lungs", "cache_volume"]
    if size:
        steps.append("resize_volume")
    if detector:
        second = ["rank_candidates"] if config.detectors[detector].fpr else []
        steps += ["detect", "extract_candidates", *second, "crop_patches", "describe_nodules"]
    return {step: settings_of(config, step, detector=detector, size=size) for step in steps}


def graph(*, small: bool = False) -> str:
    """The steps as a Mermaid flow chart; `small` leaves out the second stage and the pages."""
    shown = [step for step in STEPS if step.shown or not small]
    names = {step.name for step in shown}
    stands_for = {LABELS: ["extract_candidates"], CLASSIFIER_INPUTS: ["crop_patches", "resize_volume"]}
    stands_for[CANDIDATES] = ["extract_candidates"] if small else ["extract_candidates", "rank_candidates"]
    lines = ["flowchart LR", f"  {RAW}[({RAW})]", f"  {ANNOTATIONS}[({ANNOTATIONS})]"]
    for step in shown:
        for upstream in (*step.reads.values(), *step.graph_only):
            for maker in stands_for.get(upstream, [upstream]):
                if maker in names or maker in (RAW, ANNOTATIONS):
                    lines.append(f"  {maker} --> {step.name}")
    return "\n".join(dict.fromkeys(lines))
