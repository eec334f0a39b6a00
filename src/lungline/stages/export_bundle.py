"""Export a bundle as one folder: models in half precision, cards without file names, the bundle manifest."""

from pathlib import Path
from typing import Any

import torch

from lungline.detection.slices import AXES
from lungline.storage.checksums import check, checksum_path, write_text
from lungline.storage.weights import read_tensors, write_card, write_tensors
from lungline.training.model_folder import checked_card
from lungline.workflow.bundle import Bundle, read_bundle, write_bundle

#: What a card keeps: hashes of the files of one run are of no use elsewhere.
_DROPPED = ("input_sha256", "notice", "lungline_version")


def run(bundle: Path, output: Path, *, sources: Path | None = None) -> None:
    """Read BUNDLE (`bundle/{classifier}.json`) and its models, write OUTPUT/bundle.json, and beside it detector/ and
    classifier/.

    SOURCES (sources.csv of `write_implanted_tables`) is copied: whose nodules were trained, chosen and tested on.
    The exported weights are float16; networks that are made of them compute in float32, as before.
    """
    recipe = read_bundle(bundle)
    _export(recipe.model, output / "classifier")
    if recipe.detector is not None:
        for part in (*AXES, *(["fpr"] if (recipe.detector / "fpr").is_dir() else [])):
            _export(recipe.detector / part, output / "detector" / part)
    detector = None if recipe.detector is None else output / "detector"
    write_bundle(output / "bundle.json", Bundle(recipe.classifier, recipe.settings, output / "classifier", detector))
    if sources is not None:
        write_text(output / "sources.csv", sources.read_text(encoding="utf-8"))
    for path in output.rglob("*"):  # a wheel has a record of its own, and version control leaves hidden files out
        checksum_path(path).unlink(missing_ok=True)
    size = sum(path.stat().st_size for path in output.rglob("*.safetensors"))
    print(f"{output}: {size / 1e6:.1f} MB of weights")


def _export(folder: Path, output: Path) -> None:
    card: dict[str, Any] = {name: value for name, value in checked_card(folder).items() if name not in _DROPPED}
    tensors, about = read_tensors(folder / "weights.safetensors")
    halved = {name: t.to(torch.float16) if t.is_floating_point() else t for name, t in tensors.items()}
    write_tensors(output / "weights.safetensors", halved, {"purpose": about["purpose"]})
    (output / "weights.safetensors").chmod(0o644)  # whoever installs the package reads it
    stored = {"stored_as": "float16", "trained_weights_sha256": card["weights_sha256"]}
    write_card(output / "card.json", {**card, **stored, "weights_sha256": check(output / "weights.safetensors")})
