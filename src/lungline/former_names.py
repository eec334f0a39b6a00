"""Names of earlier versions: each is refused, or read, with the name that it has now.

One table a kind of name. A name that stands here is used for nothing else in its kind.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lungline.errors import LunglineError

#: Keys of the configuration, and of an entry in the card of a model.
KEYS = {
    "at_least": "min_score",
    "augment": "flips_and_rotations",
    "distort": "affine_and_intensity",
    "harmless": "distractors",
    "inserted": "implanted",
    "keep": "checkpoint",
    "learn_from": "supervision",
    "measured": "hand_crafted_features",
    "probability": "cancer_probability",
    "reduction": "fpr",
    "sheet": "manifest",
    "start": "init_from",
    "systems": "classifiers",
    "train_system": "train_classifier",
    "turns": "test_time_augmentation",
}

#: Values of those keys.
VALUES = {"patches": "candidate", "volume": "whole_volume", "constant": "baseline", "reduction": "fpr"}

#: Keys at the top of a model card or bundle manifest.
CARD_KEYS = {"system": "classifier", "chosen": "selected", "started_from": "initialised_from"}

#: Sub-commands of `lungline`.
COMMANDS = {
    "codes": "flags",
    "describe-pipeline": "bundle-manifest",
    "draw-curves": "plot-curves",
    "draw-figures": "render-figures",
    "draw-index": "render-index",
    "draw-nodule-mask": "rasterise-nodules",
    "draw-page": "render-page",
    "draw-phantom": "simulate-scan",
    "insert-nodules": "implant-nodules",
    "pack-models": "export-bundle",
    "sheet": "manifest",
    "train-reduction": "train-fpr",
    "train-system": "train-classifier",
    "who": "reidentify",
    "write-inserted-tables": "write-implanted-tables",
}

#: Options of them.
OPTIONS = {
    "--answers": "--predictions",
    "--aside": "--quarantine-damaged",
    "--embedded": "--synthetic",
    "--learned-from": "--supervision",
    "--outlines": "--segmentations",
    "--pipeline": "--bundle",
    "--reduction": "--fpr",
    "--scans": "--manifest",
    "--start": "--init-from",
    "--system": "--classifier",
    "--truth": "--ground-truth",
    "--turns": "--test-time-augmentation",
}

#: Columns of tables.
COLUMNS = {
    "cancer_logit": "logit",
    "code": "flag",
    "codes": "flags",
    "kind": "attenuation",
    "longest_axial_mm": "long_axis_mm",
    "probability": "cancer_probability",
    "side": "laterality",
    "spread_hu": "sd_hu",
    "system": "classifier",
    "third": "zone",
}

#: Beginnings of the names of tensors; the packaged weights were written with them.
_TENSORS = {"measured.": "hand_crafted_features.", "unseen": "leak_logit"}


def now_called(old: str, names: Mapping[str, str], allowed: Iterable[str]) -> str:
    """A sentence with the present name of `old`, if it is one of the `allowed` names; else "".

    >>> now_called("sheet", KEYS, ["manifest", "data"])
    " 'sheet' is called 'manifest' now."
    """
    new = names.get(old)
    return f" '{old}' is called '{new}' now." if new in set(allowed) else ""


def former_columns(found: Iterable[str], missing: Iterable[str]) -> str:
    """Sentences with the present names of those columns that were found and stand for a missing one; else ""."""
    missing = list(missing)
    return "".join(now_called(name, COLUMNS, missing) for name in found)


def refuse_former_card(card: Mapping[str, Any], where: str) -> None:
    """`LunglineError` for a model card or bundle manifest with keys of an earlier version."""
    former = [f"'{old}' is called '{new}' now" for old, new in CARD_KEYS.items() if old in card]
    if former:
        raise LunglineError(f"{where}: written by an earlier lungline: {', '.join(former)}. Train or export it again.")


def tensor_now_called(name: str) -> str:
    """The present name of a tensor of a cancer network."""
    for old, new in _TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
