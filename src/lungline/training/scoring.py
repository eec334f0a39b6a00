"""The score of one patient by a trained classifier, from a model folder and the file that its kind reads."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from lungline.config.entries import CandidateClassifier, WholeVolumeClassifier, read_classifier
from lungline.errors import LunglineError
from lungline.nodules.measurements import Measurements
from lungline.storage.hdf5 import Flag
from lungline.training.calibration import interval_of
from lungline.training.false_positive_reduction import candidate_logits
from lungline.training.model_folder import checked_card, load_cancer_net
from lungline.training.patients import features_of, patient_logits, read_cubes
from lungline.training.volumes import fixed_crops, read_region


@dataclass(frozen=True)
class Answer:
    """A patient's score, 0..1, and what the table of answers says beside it.

    The score is a probability of cancer or readers' opinion, as the classifier was supervised
    (`lungline.names.SCORE_NAMES`). The logit is None when it is 0 or 1. A classifier that reads candidates says how
    many, which one decided (None when there was none), and the logit of each, strongest candidate first, scaled and
    shifted as the patient's. The interval (low, high) holds 95 % of the score as far as the calibration depends on the
    cases that it was fitted to; None where the classifier is not calibrated, or nothing was found. Flags are warnings.
    """

    score: float
    logit: float | None = None
    n_candidates: int | None = None
    deciding_rank: int | None = None
    candidate_logits: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None
    flags: tuple[Flag, ...] = ()


Scorer = Callable[[Path], Answer]


def load_scorer(folder: Path, device: torch.device) -> Scorer:
    """A function from the file of a patient who is not quarantined to the answer of the classifier in `folder`."""
    card = checked_card(folder)
    if "classifier" not in card:
        raise LunglineError(
            f"{folder / 'card.json'}: expected the card of a classifier. It names none; train it again."
        )
    spec = read_classifier(card["classifier"], f"{folder}/card.json: classifier")
    if isinstance(spec, CandidateClassifier):
        return _patch_scorer(folder, spec, card, device)
    if isinstance(spec, WholeVolumeClassifier):
        return _volume_scorer(folder, spec, device)
    share = float(card["cancer_probability"])
    logit = math.log(share / (1 - share)) if 0 < share < 1 else None
    return lambda path: Answer(share, logit)


@dataclass(frozen=True)
class CubeScorer:
    """Logits of single cubes by a classifier that reads candidates, scaled and shifted as a patient's.

    `size` is the edge of a cube, voxels; `logits` takes cubes (n, 2, size, size, size) float16 and what was measured of
    each candidate.
    """

    size: int
    logits: Callable[[NDArray[np.float16], Sequence[Measurements]], list[float]]


def load_cube_scorer(folder: Path, device: torch.device) -> CubeScorer:
    """The scorer of the classifier in `folder`; `LunglineError` if it reads no candidates."""
    card = checked_card(folder)
    spec = read_classifier(card.get("classifier", {}), f"{folder}/card.json: classifier")
    if not isinstance(spec, CandidateClassifier):
        raise LunglineError(f"{folder}: expected a classifier of kind candidate. Found {spec.kind}.")
    network = load_cancer_net(folder, device)
    fitted = card.get("calibration", {"scale": 1.0, "shift": 0.0})

    def logits(cubes: NDArray[np.float16], measured: Sequence[Measurements]) -> list[float]:
        features = features_of(measured) if network.spec.hand_crafted_features and measured else None
        found = candidate_logits(network, cubes, device, spec.test_time_augmentation).to(device)
        weighed = network.weighed(found, features) if len(cubes) else found
        return [float(fitted["scale"]) * one + float(fitted["shift"]) for one in weighed.tolist()]

    return CubeScorer(network.spec.shape_zyx[0], logits)


def _patch_scorer(folder: Path, spec: CandidateClassifier, card: Mapping[str, Any], device: torch.device) -> Scorer:
    network = load_cancer_net(folder, device)
    nothing_found = float(card["logit_without_candidates"])
    fitted = card.get("calibration", {"scale": 1.0, "shift": 0.0})
    fits = np.array(fitted.get("resampled", []), dtype=np.float64)

    def score(path: Path) -> Answer:
        cubes, features = read_cubes(path, network.spec, spec.candidates, spec.min_score)
        if not len(cubes):
            return Answer(float(expit(nothing_found)), nothing_found, n_candidates=0)
        logits = network.weighed(
            candidate_logits(network, cubes, device, spec.test_time_augmentation).to(device), features
        )
        with torch.inference_mode():
            pooled = float(network.pooled(logits))
        logit, *own = (float(fitted["scale"]) * s + float(fitted["shift"]) for s in (pooled, *logits.tolist()))
        interval = interval_of(pooled, fits) if len(fits) else None
        return Answer(float(expit(logit)), logit, len(cubes), int(logits.argmax()) + 1, tuple(own), interval)

    return score


def _volume_scorer(folder: Path, spec: WholeVolumeClassifier, device: torch.device) -> Scorer:
    network = load_cancer_net(folder, device)

    def score(path: Path) -> Answer:
        volume, flags = read_region(path, spec.input, network.spec.shape_zyx)
        with torch.inference_mode():
            logit = float(network.pooled(patient_logits(network, fixed_crops(volume, spec.input.crop), device)))
        return Answer(float(expit(logit)), logit, flags=flags)

    return score
