"""One scan taken through steps of the pipeline, in this process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lungline.storage.scan_rows import ScanRow, write_manifest
from lungline.workflow.bundle import Bundle
from lungline.workflow.steps import BY_NAME, CLASSIFIER_INPUTS, LABELS, RAW, Step, maker_of


def through_steps(
    row: ScanRow,
    steps: Sequence[Step],
    recipe: Bundle,
    work: Path,
    *,
    device: str,
    raw: Path | None = None,
    given: Mapping[str, Path] | None = None,
    kept: Mapping[str, Path] | None = None,
    show: Callable[[str], None],
) -> Iterator[tuple[str, Path]]:
    """Run each of these steps of a scan, in their order; yield its name and the file that it made.

    Parameters
    ----------
    row : ScanRow
    steps : sequence of Step
        Of `steps_of_scan`, all or a part; what they read of other steps lies in `work` already.
    recipe : Bundle
    work : Path
        A folder. A step writes STEP/{scan} in it, unless `kept` names another file.
    device : str
        "auto", "cpu" or "cuda".
    raw : Path or None
        The raw scan, where one of the steps reads it.
    given : mapping of str to Path, or None
        Files of the user: label maps `lungs` and `lobes`, a table `points`, where the pipeline has steps for them.
    kept : mapping of str to Path, or None
        The file of a step that shall lie elsewhere.
    show : callable
        Is told the message of each step before it begins.
    """
    scan, settings = row.scan, recipe.settings
    told = {
        "scan": scan,
        "source": row.source,
        "manifest": work / "manifest.csv",
        "device": device,
        "detector": recipe.detector,
        "fpr": recipe.detector and recipe.detector / "fpr",
        "model": recipe.model,
        "classifier": recipe.classifier,
        "supervision": recipe.supervision,
        **{name: (given or {}).get(name) for name in ("lungs", "lobes", "points")},
    }
    write_manifest(work / "manifest.csv", [row])

    def made_by(step: str) -> Path:
        return (kept or {}).get(step, work / step / f"{scan}{BY_NAME[step].suffix}")

    def read(step: Step) -> dict[str, Any]:
        """The files or folders that a step reads, by parameter."""
        makers = {name: maker_of(wanted, settings) for name, wanted in step.reads.items() if wanted != RAW}
        files = {name: made_by(maker) for name, maker in makers.items() if maker}
        files |= {name: path.with_suffix(".h5") for name, path in files.items() if step.reads[name] == LABELS}
        whole = {name for name in files if step.many or step.reads[name] == CLASSIFIER_INPUTS}
        return {name: path.parent if name in whole else path for name, path in files.items()}

    for step in steps:
        show(step.message)
        output = made_by(step.name)
        import_module(f"lungline.stages.{step.name}").run(
            **({"raw": raw} if RAW in step.reads.values() else {}),
            **read(step),
            output=output.parent if step.many else output,
            **({"scans": [scan]} if step.many else {}),
            **{name: told[name] for name in step.params},
            **settings.get(step.name, {}),
        )
        yield step.name, output
