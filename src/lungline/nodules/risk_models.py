"""Published models of the probability that a nodule is cancer: Brock (PanCan), Mayo, Herder.

Each is a logistic regression. What is not known of a yes or no gives the lowest and the highest probability; a number
that is not known (age) gives none. The coefficients and their sources stand in `risk_models.yaml`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lungline.nodules.rule_evaluator import Facts, Interval, Known


@dataclass(frozen=True)
class Risk:
    """Lowest and highest probability, 0..1, that the known facts allow; None, and why, where there is none."""

    probability: Interval | None
    unknown: tuple[str, ...] = ()  # facts that would narrow it, or that are needed
    reason: str = ""  # why there is none


def probability(model: Mapping[str, Any], facts: Facts) -> Risk:
    """The probability by one model.

    `facts` are those that its terms name: `True`, `False` or a word, `Interval` for numbers, None for what is unknown.
    """
    if refused := _refusal(model, facts):
        return Risk(None, reason=refused)
    low = high = model["intercept"]
    unknown = []
    for term in model["terms"]:
        known = facts.get(term["fact"])
        if known is None and "values" not in term:
            return Risk(None, (term["fact"],), f"{term['fact']} is not known")
        least, most = _contribution(term, known)
        if least != most:
            unknown.append(term["fact"])
        low, high = low + least, high + most
    return Risk(Interval(_sigmoid(low), _sigmoid(high)), tuple(unknown))


def _refusal(model: Mapping[str, Any], facts: Facts) -> str:
    """Why the model is not made for this patient or nodule; "" where nothing known speaks against it."""
    for limit in model.get("limits", []):
        known = facts.get(limit["fact"])
        if "is" in limit and known in limit["is"]:
            return str(limit["reason"])
        if "missing" in limit and known is None:
            return str(limit["reason"])
        if isinstance(known, Interval):
            low, high = limit.get("from", -math.inf), limit.get("to", math.inf)
            if known.high < low or known.low > high:
                return str(limit["reason"])
    return ""


def _contribution(term: Mapping[str, Any], known: Known) -> tuple[float, float]:
    """The least and the most that a term adds to the logit."""
    if "values" in term:
        values = list(term["values"].values())
        if isinstance(known, tuple):
            values = [term["values"][value] for value in known]
        elif known is not None:
            values = [term["values"][known]]
        return min(values), max(values)
    assert isinstance(known, Interval)
    ends = [_transformed(term, end) * term["coefficient"] for end in (known.low, known.high)]
    return min(ends), max(ends)


def _transformed(term: Mapping[str, Any], value: float) -> float:
    """A number as the model reads it: divided, raised to a power, centred."""
    return float((value / term.get("divided_by", 1)) ** term.get("power", 1) - term.get("centre", 0))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
