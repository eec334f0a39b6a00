"""A study from files: the configuration, the manifest and the annotations. Reads only; nothing is written."""

from pathlib import Path
from typing import Any

from lungline.config.models import Config
from lungline.errors import LunglineError
from lungline.nodules.annotations import read_annotations
from lungline.storage.scan_rows import ScanRow, read_manifest
from lungline.workflow.layout import Layout
from lungline.workflow.study import Source, Study


def open_layout(config: Config) -> Layout:
    """The study of a configuration, and its files.

    Raises
    ------
    LunglineError
        If the scans of `data:` are not listed yet, or a table cannot be read.
    """
    source = source_of(config)
    plans = plan_scans(config)
    if plans:
        rows = [ScanRow(p.scan, p.source, p.dataset, p.split, p.fold, p.label) for p in plans.values()]
    else:
        rows = read_manifest(manifest_of(config))
    study = Study(config, {row.scan: row for row in rows}, source, plans=plans)
    annotations = Layout(study).annotations
    return Layout(
        Study(config, study.rows, source, bool(annotations), _nodules(source, plans, annotations), plans),
    )


def source_of(config: Config) -> Source:
    """Where the scans come from: the first of manifest, data, implanted and cohort that is given."""
    if config.manifest is not None or config.data is not None:
        return "listed"
    return "synthetic" if config.implanted is None else "implanted"


def plan_scans(config: Config) -> dict[str, Any]:
    """Scan -> what the workflow makes of it; empty where scans are listed."""
    source = source_of(config)
    if source == "synthetic":
        from lungline.synthetic.cohort import plan_cohort

        return {plan.scan: plan for plan in plan_cohort(config.seed, config.cohort)}
    if source == "implanted":
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


def _nodules(source: Source, plans: dict[str, Any], annotations: str | None) -> dict[str, Any]:
    """Scan -> what changes when its annotated nodules do."""
    if source == "synthetic":
        return {p.scan: [(*p.world_xyz_mm(nodule), nodule.diameter_mm) for nodule in p.nodules] for p in plans.values()}
    if source == "implanted":
        return {plan.scan: plan.digest for plan in plans.values()}
    found: dict[str, Any] = {}
    for nodule in read_annotations(Path(annotations)) if annotations else ():
        found.setdefault(nodule.scan, []).append((*nodule.centre_xyz_mm, nodule.diameter_mm))
    return found
