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
from lungline.storage.foreign_files import MOST_WEIGHTS_BYTES, read_json, refuse_larger
from lungline.storage.weights import read_card
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
        return read_json(self.model / "card.json")

    @property
    def weights(self) -> tuple[Path, ...]:
        """Every file of weights that an answer depends on."""
        folders = sorted(path.parent for path in self.detector.glob("*/weights.safetensors")) if self.detector else []
        return tuple(folder / "weights.safetensors" for folder in (*folders, self.model))


def check_networks(bundle: Bundle) -> None:
    """`LunglineError` where the weights of a bundle are not those of the networks on its cards; none is built."""
    from lungline.classification.cancer_net import CancerNet
    from lungline.detection.unet import UNet
    from lungline.training.model_folder import network_of

    for path in bundle.weights:
        folder = path.parent
        is_unet = folder.parent == bundle.detector and folder.name != "fpr"
        if "network" in read_card(folder / "card.json"):  # a baseline has none
            _ = network_of(folder, UNet) if is_unet else network_of(folder, CancerNet)


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
        If it is none, a setting or card is none that a run writes, or a model is missing or has changed. Tensors are
        compared with the card when a network is built (`lungline.training.model_folder.network_of`).
    """
    if not path.is_file():
        raise LunglineError(
            f"{path}: no such file. Call ./run first, or name bundle/CLASSIFIER.json of a finished run."
        )
    from lungline.workflow.bundle_check import check_cards, checked_manifest

    about = read_json(path)
    check(path)
    refuse_former_card(about, str(path))
    manifest, here = checked_manifest(about, str(path)), path.parent
    detector = None if manifest.detector is None else here / manifest.detector
    bundle = Bundle(manifest.classifier, about["settings"], here / manifest.model, detector)
    wanted = {here / file: digest for file, digest in manifest.weights_sha256.items()}
    for file, digest in wanted.items():
        if not file.is_file():
            raise LunglineError(f"{path}: the weights {file} are gone. Restore them, or run the workflow again.")
        refuse_larger(file, MOST_WEIGHTS_BYTES)
        if check(file) != digest:
            raise LunglineError(f"{path}: the weights {file} have changed since. Run the workflow again.")
    check_cards(bundle, str(path))
    return bundle
