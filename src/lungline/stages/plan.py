"""Estimate the cost of a configuration: hours of training on this machine, and disk."""

from collections import Counter
from pathlib import Path

from lungline.config.entries import BaselineClassifier, CandidateClassifier, WholeVolumeClassifier
from lungline.config.loading import read_config_files
from lungline.config.models import Config
from lungline.config.networks import CancerNetSpec
from lungline.device import make_repeatable, pick_device
from lungline.readers.listing import list_dsb17, list_folder, list_luna16
from lungline.reports.cost_table import Training, plan_text
from lungline.training.timing import seconds_per_detector_step, seconds_per_fpr_step, seconds_per_patient_step
from lungline.workflow.opening import open_layout
from lungline.workflow.study import AXES, Study

#: Scans of the published sets.
PUBLISHED = {"luna16": 888, "dsb17": 1595}


def run(
    *,
    configfile: tuple[Path, ...] = (),
    default: Path = Path("config/config.yaml"),
    steps: int = 2,
    device: str = "auto",
) -> None:
    """Time STEPS steps of each training on empty input, and print what the whole configuration would take.

    CONFIGFILE are the files that Snakemake would get, laid over DEFAULT in their order. With OMP_NUM_THREADS set,
    that many threads are timed, else one. Folders that are not there count as the published sets do.
    """
    config = read_config_files((default, *configfile))
    make_repeatable(config.seed)
    where = pick_device(config.device if device == "auto" else device)
    unlisted = config.data is not None and config.manifest is None
    study = Study(config, {}) if unlisted else open_layout(config).study
    trainings = []
    for name in study.detectors:
        if not study.given("detector", name):
            spec = study.detector(name)
            seconds = seconds_per_detector_step(spec, where, steps, config.precision)
            trainings.append(Training(f"detector {name}", len(AXES), spec.training.steps, seconds))
            if second := spec.fpr:
                seconds = seconds_per_fpr_step(second, where, steps, config.precision)
                trainings.append(Training(f"false-positive reduction {name}", 1, second.training.steps, seconds))
    for name in config.run:
        classifier = study.classifier(name)
        if study.given("classifier", name) or isinstance(classifier, BaselineClassifier):
            continue
        took: float | None = None
        if shown := _shown(classifier, config.extract_candidates.count):
            took = seconds_per_patient_step(shown[0], classifier.training, shown[1], where, steps, config.precision)
        trainings.append(Training(f"classifier {name}", 1, classifier.training.steps, took))
    print(plan_text(trainings, _published(config) if unlisted else _counted(study), config, where.type))


def _shown(classifier: CandidateClassifier | WholeVolumeClassifier, most: int) -> tuple[CancerNetSpec, int] | None:
    """The network of a classifier and how many cubes or volumes per patient it sees; None if the patients decide."""
    if isinstance(classifier, CandidateClassifier):
        return classifier.network, min(most, classifier.candidates or most)
    shape_zyx = classifier.input.shape_zyx
    return None if shape_zyx is None else (classifier.network_on(shape_zyx), 1)


def _counted(study: Study) -> dict[str, int]:
    """How many scans of which data set, or of which split where the workflow implants the nodules."""
    rows = study.rows.values()
    if study.scans_from == "implanted":
        return dict(Counter(f"implanted, {row.split}" for row in rows))
    return dict(Counter(row.dataset for row in rows))


def _published(config: Config) -> dict[str, int]:
    """How many scans lie in which folder of `data:`; of folders that are not there, as many as were published."""
    found = {}
    for name, place in config.data or ():
        if not place or name == "labels":
            continue
        folder, count = Path(place), PUBLISHED.get(name, 0)
        if folder.is_dir():
            listing = list_folder(folder, b"", None) if name == "folder" else None
            listing = listing or (list_luna16 if name == "luna16" else list_dsb17)(folder)
            found[name] = len(listing.scans)
        else:
            found[f"{name}, as published"] = count
    return found
