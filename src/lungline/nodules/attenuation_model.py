"""How probable it is that readers would call a nodule solid, part-solid or ground-glass.

A logistic regression on three percentiles of HU in the core of a nodule (`measurements.py`), after which one
temperature and a shift for each kind bring it in line with outlines of our own. Its numbers, the cases that they were
learned from, and how it did on patients that chose nothing stand in `attenuation_model.json`, which
`python -m experiments.size_errors.attenuation` writes. Readers' ratings of texture (LIDC-IDRI: Armato et al., Med.
Phys. 38, 2011, 915) are its truth: 5 is solid, 1 ground-glass, what lies between part-solid.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The kinds, in the order of the model's numbers.
KINDS = ("ground-glass", "part-solid", "solid")


@functools.cache
def packaged_model() -> Mapping[str, Any]:
    """The numbers of the model, read once."""
    return dict(json.loads(resources.files("lungline.nodules").joinpath("attenuation_model.json").read_text("utf-8")))


def features(core_percentiles_hu: Sequence[float]) -> NDArray[np.float64]:
    """What the regression reads of percentiles 10, 50 and 90, HU: each about -1 to 1, beyond 500 HU at its limit."""
    return np.clip((np.asarray(core_percentiles_hu, dtype=np.float64) + 400) / 400, -1.5, 2.25)


def scores(numbers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (..., 3) of `features` (..., 3): a row of `weights` for each kind, the constant first."""
    return np.asarray(weights[:, 0] + numbers @ weights[:, 1:].T)


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that add up to 1 along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def attenuation_probabilities(
    core_percentiles_hu: Sequence[float], model: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """The probability of each of `KINDS`; none where the core was not looked at."""
    if not len(core_percentiles_hu):
        return {}
    model = packaged_model() if model is None else model
    found = scores(features(core_percentiles_hu), np.array(model["weights"]))
    calibrated = softmax(found / model["temperature"] + np.array(model["shifts"]))
    return dict(zip(KINDS, calibrated.tolist(), strict=True))
