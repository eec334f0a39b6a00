"""The bundle manifest: all that a scan goes through, from raw files to its score, in `bundle/{classifier}.json`.

With the model folders that it names, it is all that another program needs to give the workflow's answer.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungline import NOTICE, __version__
from lungline.errors import LunglineError
from lungline.former_names import refuse_former_card
from lungline.names import Supervision, supervision_of
from lungline.storage.checksums import check, write_checksummed_text
from lungline.workflow.steps import steps_of_scan
from lungline.workflow.study import PACKAGED_FOLDER

#: The bundle that comes with the package: see docs/reference/model-card.md.
PACKAGED = PACKAGED_FOLDER / "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """The settings of every stage, and the trained models.

    Attributes
    ----------
    classifier : str
        The entry of `classifiers:` that answers.
    settings : mapping of step to its options
        See `lungline.workflow.steps.settings_on_the_way`; an optional step that is not named is not run.
    model : Path
        Folder of the trained classifier.
    detector : Path or None
        Folder of the trained detector, with `z/`, `y/`, `x/` and perhaps `fpr/`.
    """

    classifier: str
    settings: Mapping[str, Mapping[str, Any]]
    model: Path
    detector: Path | None = None

    def __post_init__(self) -> None:
        try:
            steps_of_scan(self.settings)
        except LunglineError as error:
            raise LunglineError(f"bundle of '{self.classifier}': {error}") from None

    @property
    def supervision(self) -> Supervision:
        """What the classifier learned from, as its card says."""
        return supervision_of(self._card)

    @property
    def seed(self) -> int:
        """Of the run that trained the classifier; 0 where nothing was drawn."""
        return int(self._card.get("seed") or 0)

    @property
    def _card(self) -> dict[str, Any]:
        return dict(json.loads((self.model / "card.json").read_text(encoding="utf-8")))

    @property
    def weights(self) -> tuple[Path, ...]:
        """Every file of weights that an answer depends on."""
        folders = sorted(path.parent for path in self.detector.glob("*/weights.safetensors")) if self.detector else []
        return tuple(folder / "weights.safetensors" for folder in (*folders, self.model))


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write the bundle manifest; folders of models are named as seen from it, so that all can be moved together."""
    about = {
        "notice": NOTICE,
        "lungline_version": __version__,
        "classifier": bundle.classifier,
        "settings": {stage: dict(options) for stage, options in bundle.settings.items()},
        "model": _seen_from(path, bundle.model),
        "detector": None if bundle.detector is None else _seen_from(path, bundle.detector),
        "weights_sha256": {_seen_from(path, file): check(file) for file in bundle.weights},
    }
    text = json.dumps(about, indent=2, sort_keys=True) + "\n"
    write_checksummed_text(path, text)


def _seen_from(path: Path, other: Path) -> str:
    return Path(os.path.relpath(other, path.parent)).as_posix()


def read_bundle(path: Path) -> Bundle:
    """A bundle manifest that `write_bundle` wrote, and its models as they were then.

    Raises
    ------
    LunglineError
        If it is none, or a model is missing or has changed.
    """
    if not path.is_file():
        raise LunglineError(
            f"{path}: no such file. Call ./run first, or name bundle/CLASSIFIER.json of a finished run."
        )
    check(path)
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        refuse_former_card(about, str(path))
        here = path.parent
        detector = here / about["detector"] if about["detector"] else None
        bundle = Bundle(about["classifier"], about["settings"], here / about["model"], detector)
        wanted = {here / file: digest for file, digest in about["weights_sha256"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LunglineError(
            f"{path}: not a bundle manifest of lungline ({type(error).__name__}). Run the workflow again."
        ) from None
    for file, digest in wanted.items():
        if not file.is_file():
            raise LunglineError(f"{path}: the weights {file} are gone. Restore them, or run the workflow again.")
        if check(file) != digest:
            raise LunglineError(f"{path}: the weights {file} have changed since. Run the workflow again.")
    return bundle
