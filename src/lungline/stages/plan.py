"""Say what a configuration will cost before it starts: hours of training on this machine, and disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lungline.config.entries import ConstantSystem, PatchSystem, VolumeSystem
from lungline.config.loading import read_config_files
from lungline.config.models import Config
from lungline.config.networks import CancerNetSpec
from lungline.device import make_repeatable, pick_device
from lungline.readers.listing import list_dsb17, list_folder, list_luna16
from lungline.reports.cost_table import Training, plan_text
from lungline.storage.manifest import read_sheet
from lungline.training.timing import seconds_a_detector_step, seconds_a_patient_step, seconds_a_reduction_step

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
    that many threads are timed, else one.
    """
    config = read_config_files((default, *configfile))
    make_repeatable(config.seed)
    where = pick_device(config.device if device == "auto" else device)
    systems = {name: config.systems[name] for name in config.run}
    trainings = []
    for name in dict.fromkeys(entry.detector for entry in systems.values() if isinstance(entry, PatchSystem)):
        if name not in config.models.detectors:
            spec = config.detectors[name]
            seconds = seconds_a_detector_step(spec, where, steps, config.precision)
            trainings.append(Training(f"detector {name}", len("zyx"), spec.training.steps, seconds))
            if second := spec.reduction:
                seconds = seconds_a_reduction_step(second, where, steps, config.precision)
                trainings.append(Training(f"reduction {name}", 1, second.training.steps, seconds))
    for name, system in systems.items():
        if name in config.models.systems:
            continue
        if isinstance(system, ConstantSystem):
            continue
        took: float | None = None
        if shown := _shown(system, config.extract_candidates.count):
            took = seconds_a_patient_step(shown[0], system.training, shown[1], where, steps, config.precision)
        trainings.append(Training(f"system {name}", 1, system.training.steps, took))
    print(plan_text(trainings, _scans(config), config, where.type))


def _shown(system: PatchSystem | VolumeSystem, most: int) -> tuple[CancerNetSpec, int] | None:
    """The network of a system and how many cubes or volumes of a patient it is shown; None if the patients decide."""
    if isinstance(system, PatchSystem):
        return system.network, min(most, system.candidates or most)
    shape_zyx = system.input.shape_zyx
    return None if shape_zyx is None else (system.network_on(shape_zyx), 1)


def _scans(config: Config) -> dict[str, int]:
    """How many scans of which data set; of folders that are not there, as many as the published set has."""
    if config.sheet:
        return dict(Counter(row.dataset for row in read_sheet(Path(config.sheet))))
    if not config.data:
        cohort = config.cohort
        return {"luna16": cohort.luna16_scans, "dsb17": cohort.dsb17_train + cohort.dsb17_test}
    listers = {
        "luna16": (list_luna16, PUBLISHED["luna16"]),
        "dsb17": (list_dsb17, PUBLISHED["dsb17"]),
        "folder": (lambda folder: list_folder(folder, b"", None), 0),
    }
    found = {}
    for name, (lister, published) in listers.items():
        if folder := getattr(config.data, name):
            there = Path(folder).is_dir()
            found[name if there else f"{name}, as published"] = len(lister(Path(folder)).scans) if there else published
    return found
