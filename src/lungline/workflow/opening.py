"""A study from files: the configuration, the manifest and the annotations. Reads only; nothing is written."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lungline import __version__
from lungline.config.models import Config
from lungline.errors import LunglineError
from lungline.nodules.annotations import read_annotations
from lungline.storage.scan_rows import ScanRow, read_manifest
from lungline.workflow.layout import Layout
from lungline.workflow.study import PACKAGED, ScansFrom, Study

_CLONE = Path(__file__).parents[3]
#: The folder of the Snakefile, with rules/, config/ and profiles/: the top of a clone, this folder in a wheel.
ROOT = _CLONE if (_CLONE / "Snakefile").is_file() else Path(__file__).parent
#: What pip installs to have this package in another environment: the clone as it is, or this version.
SOURCE = f"--editable={_CLONE}" if ROOT == _CLONE else f"lungline=={__version__}"


def open_layout(config: Config) -> Layout:
    """The study of a configuration, and its files.

    Raises
    ------
    LunglineError
        If the scans of `data:` are not listed yet, or a table cannot be read.
    """
    origin = scans_from(config)
    plans = plan_scans(config)
    if plans:
        rows = [ScanRow(p.scan, p.source, p.dataset, p.split, p.fold, p.label) for p in plans.values()]
    else:
        rows = read_manifest(manifest_of(config))
    study = Study(config, {row.scan: row for row in rows}, origin, plans=plans)
    annotations = Layout(study).annotations
    return Layout(
        Study(config, study.rows, origin, bool(annotations), _nodules(origin, plans, annotations), plans),
    )


def open_layouts(config: Config, move: Callable[[str], str]) -> tuple[Layout, Layout]:
    """The files of a study as rules name them, and as they lie where another workflow moves results of rules.

    Snakemake moves relative paths of inputs and outputs (`prefix:` of a module), and nothing else. So `outdir` stays in
    the first of the two as it is, and what the configuration names, which is to stay in its place, becomes absolute.
    """
    outdir = move(f"{config.outdir}/x").removesuffix("/x")
    if outdir == config.outdir:
        return (files := open_layout(config)), files
    config = _absolute(config)
    places = open_layout(config.model_copy(update={"outdir": outdir}))
    return Layout(replace(places.study, config=config)), places


def _absolute(config: Config) -> Config:
    """The configuration with absolute paths of all files that are read."""

    def whole(path: str | None) -> str | None:
        return os.path.abspath(path) if path and path != PACKAGED else path

    data = config.data and config.data.model_copy(update={key: whole(path) for key, path in config.data})
    models = {kind: {name: whole(path) for name, path in given.items()} for kind, given in config.models}
    begins = {
        kind: dict(map(_beginning_absolute, getattr(config, kind).items())) for kind in ("detectors", "classifiers")
    }
    tables: dict[str, Any] = {key: whole(getattr(config, key)) for key in ("manifest", "annotations")}
    return config.model_copy(
        update={**tables, **begins, "data": data, "models": config.models.model_copy(update=models)}
    )


def _beginning_absolute(named: tuple[str, Any]) -> tuple[str, Any]:
    """An entry of a network by name, with an absolute path of the weights that its training begins with."""
    name, spec = named
    begins = getattr(spec, "init_from", None) or ""
    return name, spec.model_copy(update={"init_from": os.path.abspath(begins)}) if "/" in begins else spec


def scans_from(config: Config) -> ScansFrom:
    """Where the scans come from: the first of manifest, data, implanted and cohort that is given."""
    if config.manifest is not None or config.data is not None:
        return "listed"
    return "synthetic" if config.implanted is None else "implanted"


def plan_scans(config: Config) -> dict[str, Any]:
    """Scan -> what the workflow makes of it; empty where scans are listed."""
    origin = scans_from(config)
    if origin == "synthetic":
        from lungline.synthetic.cohort import plan_cohort

        return {plan.scan: plan for plan in plan_cohort(config.seed, config.cohort)}
    if origin == "implanted":
        from lungline.synthetic.implant_plan import plan_implantation

        assert config.implanted is not None
        return {plan.scan: plan for plan in plan_implantation(config.seed, config.implanted)}
    return {}


def manifest_of(config: Config) -> Path:
    """The list of scans that is given, or that `lungline list-scans` has made of `data:`.

    Raises
    ------
    LunglineError
        Where it has not been made, or a folder does not exist.
    """
    if config.manifest is not None:
        return Path(config.manifest)
    refuse_missing_folders(config)
    path = Path(config.outdir, "manifest.csv")
    if not path.is_file():
        raise LunglineError(
            f"{path}: the scans of the folders in `data:` are not listed yet. ./run lists them; without it call "
            "`lungline list-scans --configfile FILE ...` with the same files, again when scans come or go."
        )
    return path


def refuse_missing_folders(config: Config) -> None:
    """`LunglineError` for a folder or table of `data:` that does not exist."""
    for key, place in config.data or ():
        if place and not Path(place).exists():
            raise LunglineError(f"data.{key}: '{place}' does not exist (paths start at {Path.cwd()}).")


def _nodules(origin: ScansFrom, plans: dict[str, Any], annotations: str | None) -> dict[str, Any]:
    """Scan -> what changes when its annotated nodules do."""
    if origin == "synthetic":
        return {p.scan: [(*p.world_xyz_mm(nodule), nodule.diameter_mm) for nodule in p.nodules] for p in plans.values()}
    if origin == "implanted":
        return {plan.scan: plan.digest for plan in plans.values()}
    found: dict[str, Any] = {}
    for nodule in read_annotations(Path(annotations)) if annotations else ():
        found.setdefault(nodule.scan, []).append((*nodule.centre_xyz_mm, nodule.diameter_mm))
    return found
