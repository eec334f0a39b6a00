"""A name that does not exist is refused with the nearest one that does; names that many modules need."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from lungline.errors import LunglineError

#: What `write-dicom` writes: the segmentation, the report, or why there is none.
SEG, SR, WHY_NOT = "seg.dcm", "sr.dcm", "why-not.txt"

#: How a network is computed; see `lungline.device.half_precision`.
Precision = Literal["float32", "bfloat16", "auto"]

#: What a classifier learns from: patients who have cancer or not, or nodules that readers rated malignant or not.
Supervision = Literal["patients", "nodules"]

#: The name of such a classifier's number, 0..1: readers' opinion of nodules is no probability of cancer.
SCORE_NAMES: dict[Supervision, str] = {"patients": "cancer_probability", "nodules": "malignancy_score"}

#: What candidates are ranked by: a network's probability (fpr: false-positive reduction), or what is taken of the
#: detector's over a candidate.
ScoreOf = Literal["fpr", "sum", "mean", "max"]
#: Those that are a probability, 0..1.
PROBABILITIES = ("fpr", "mean", "max")

#: Where a network is computed; see `lungline.device.pick_device`.
Device = Literal["auto", "cpu", "cuda"]


def supervision_of(card: Mapping[str, Any]) -> Supervision:
    """What the classifier of a model card learned from; a baseline counts patients."""
    found: Supervision = card["classifier"].get("supervision", "patients")
    return found


def known(name: str, names: Iterable[str], complaint: str) -> str:
    """`name` if it is one of `names`, else a `LunglineError` that starts with `complaint` and names the nearest."""
    names = list(names)
    if name in names:
        return name
    raise LunglineError(f"{complaint} '{name}'.{did_you_mean(name, names)} Known: {', '.join(sorted(names))}.")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question that names the nearest of `names`; "" if none is near."""
    nearest = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
