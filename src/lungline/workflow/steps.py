"""The steps of the pipeline in their order: what each reads, its settings, what it makes.

One entry a step: the rule of the workflow, the command of `lungline` and the module in `lungline.stages` carry its
name. `lungline predict` walks the steps of one scan, the rules take inputs and settings from here, and the graphs of
the documentation are made from here.
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
#: The candidates that count (those of the last step that ranks them), their label map (beside the table in which they
#: were first found), and the folder that a classifier reads.
CANDIDATES, LABELS, SCORED = "candidates", "labels", "scored"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    name : str
        Of the rule, the command and the module.
    reads : mapping
        Parameter of the stage -> the step whose file it is; `CANDIDATES`, `LABELS` and `SCORED` stand for the step that
        makes them in the pipeline at hand.
    makes : str
        Path in the results, with wildcards.
    message : str
        What it does, for a person.
    takes : tuple of str
        Further parameters of the stage, as `lungline.stages.predict` knows them.
    also_reads : tuple of str
        What it depends on beside that; for the graphs alone.
    many : bool
        Whether one process takes the scans of whole folders.
    optional : bool
        Whether only some pipelines have this step: those with settings for it.
    of_scan : bool
        Whether it answers one scan, so that `lungline predict` takes it as well.
    shown : bool
        Whether the small graph shows it.
    """

    name: str
    reads: Mapping[str, str]
    makes: str
    message: str
    takes: tuple[str, ...] = ()
    many: bool = False
    optional: bool = False
    of_scan: bool = True
    shown: bool = True
    also_reads: tuple[str, ...] = field(default=())

    @property
    def suffix(self) -> str:
        """Of the file that it makes."""
        return self.makes[self.makes.rindex(".") :]


STEPS = (
    Step("ingest", {"raw": RAW}, "ingest/{scan}.h5", "Reading", takes=("source",)),
    Step(
        "read_masks",
        {"ingested": "ingest"},
        "read_masks/{scan}.h5",
        "Reading the given masks",
        takes=("lungs", "lobes"),
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
        "Caching what the networks read",
    ),
    Step(
        "rasterise_nodules",
        {"cache": "cache_volume"},
        "rasterise_nodules/{scan}.h5",
        "Rasterising the annotated nodules",
        of_scan=False,
        also_reads=(ANNOTATIONS,),
    ),
    Step(
        "check_leakage",
        {},
        "check_leakage.csv",
        "Looking for patients in two splits",
        of_scan=False,
        also_reads=("ingest",),
    ),
    Step(
        "train_unet",
        {"caches": "cache_volume", "masks": "rasterise_nodules"},
        "train_unet/{detector}/{axis}/weights.safetensors",
        "Training a U-Net an axis",
        of_scan=False,
        also_reads=("check_leakage",),
    ),
    Step(
        "detect",
        {"caches": "cache_volume"},
        "detect/{detector}/{scan}.h5",
        "Searching nodules",
        takes=("detector", "device"),
        many=True,
        optional=True,
        also_reads=("train_unet",),
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
        of_scan=False,
        shown=False,
    ),
    Step(
        "rank_candidates",
        {"candidates": "extract_candidates", "caches": "cache_volume", "detected": "detect"},
        "rank_candidates/{detector}/{scan}.csv",
        "Ranking the candidates",
        takes=("fpr", "device"),
        many=True,
        optional=True,
        shown=False,
        also_reads=("train_fpr",),
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
        {"inputs": SCORED},
        "train_classifier/{classifier}/weights.safetensors",
        "Training the classifier",
        of_scan=False,
        also_reads=("check_leakage",),
    ),
    Step(
        "predict_cancer",
        {"inputs": SCORED},
        "predict_cancer/{classifier}.csv",
        "Scoring",
        takes=("model", "manifest", "device"),
        also_reads=("train_classifier",),
    ),
    Step(
        "describe_nodules",
        {
            "ingested": "ingest",
            "volume": "resample",
            "lungs": "segment_lungs",
            "labels": LABELS,
            "candidates": CANDIDATES,
            "answers": "predict_cancer",
            "given": "read_masks",
        },
        "describe_nodules/{classifier}/{scan}.json",
        "Describing the candidates",
        takes=("scan", "classifier", "supervision"),
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
        takes=("scan", "points", "model", "supervision", "device"),
        optional=True,
        shown=False,
    ),
    Step(
        "collect_predictions",
        {"predictions": "predict_cancer"},
        "collect_predictions/{classifier}.csv",
        "Answering or naming every scan",
        of_scan=False,
    ),
    Step(
        "evaluate_detection",
        {"candidates": CANDIDATES},
        "evaluate/detection-{detector}.json",
        "Counting the nodules among the candidates",
        of_scan=False,
        also_reads=(ANNOTATIONS,),
    ),
    Step(
        "evaluate_cancer",
        {"predictions": "collect_predictions"},
        "evaluate/cancer-{classifier}.json",
        "Measuring the answers",
        of_scan=False,
    ),
)
BY_NAME = {step.name: step for step in STEPS}


def steps_of_scan(settings: Mapping[str, Any]) -> list[Step]:
    """The steps that one scan goes through in a pipeline with these settings, by step; see `settings_of`."""
    strange = sorted(set(settings) - {step.name for step in STEPS if step.of_scan})
    if strange:
        raise LunglineError(f"no step of a scan is called {', '.join(strange)}.")
    return [step for step in STEPS if step.of_scan and (not step.optional or step.name in settings)]


def maker_of(source: str, settings: Mapping[str, Any]) -> str | None:
    """The step that makes what a step reads, in a pipeline with these settings; None where none does."""
    choices = {
        CANDIDATES: ("rank_candidates", "extract_candidates"),
        LABELS: ("extract_candidates",),
        SCORED: ("crop_patches", "resize_volume", "cache_volume"),
    }.get(source, (source,))
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
        return {"precision": config.precision}
    if step == "extract_candidates":
        return config.candidate_settings(str(detector)).model_dump(exclude={"min_finding_score"})
    if step == "rank_candidates":
        second = config.detectors[str(detector)].fpr
        assert second is not None
        return {"count": config.extract_candidates.count, "test_time_augmentation": second.test_time_augmentation}
    if step == "crop_patches":
        return {"count": config.extract_candidates.count, **config.crop_patches.model_dump()}
    if step == "describe_nodules" and detector is not None:
        picked, second = config.candidate_settings(detector), config.detectors[detector].fpr
        return {
            "ranked_by": "fpr" if second else picked.rank_by,
            "min_finding_score": picked.min_finding_score,
        }
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
    """The settings of every step between a raw scan and the answer of a classifier, by step."""
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
    stands_for = {LABELS: ["extract_candidates"], SCORED: ["crop_patches", "resize_volume"]}
    stands_for[CANDIDATES] = ["extract_candidates"] if small else ["extract_candidates", "rank_candidates"]
    lines = ["flowchart LR", f"  {RAW}[({RAW})]", f"  {ANNOTATIONS}[({ANNOTATIONS})]"]
    for step in shown:
        for source in (*step.reads.values(), *step.also_reads):
            for maker in stands_for.get(source, [source]):
                if maker in names or maker in (RAW, ANNOTATIONS):
                    lines.append(f"  {maker} --> {step.name}")
    return "\n".join(dict.fromkeys(lines))
