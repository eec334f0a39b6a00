"""A figure is never shown alone: estimates with 95 % intervals, or with the reason why there is none."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054  # standard normal quantile of 0.975


@dataclass(frozen=True)
class Estimate:
    """One figure and its 95 % interval, found by a method; or the reason why one of them is missing (None)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


def wilson(hits: int, n: int) -> Estimate:
    """Share of `hits` among `n` with Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209)."""
    if n == 0:
        return Estimate(None, reason="nothing to count")
    share, z2 = hits / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), "Wilson")


def resamples(n: int, *, rounds: int, seed: int) -> NDArray[np.int64]:
    """Indices (rounds, n) of `n` cases drawn with replacement; the same seed gives the same draws."""
    return np.random.default_rng(seed).integers(0, n, size=(rounds, n))


def bootstrap(value: float, draws: NDArray[np.int64], statistic: Callable[[NDArray[np.int64]], float]) -> Estimate:
    """Percentile bootstrap interval of a statistic whose value for all cases is `value`.

    `draws` (rounds, n) are those of `resamples`; the statistic takes the indices (n,) of one of them.
    """
    if draws.shape[1] < 2:
        return Estimate(value, reason="an interval needs at least two cases")
    return percentile_interval(value, np.array([statistic(draw) for draw in draws]))


def percentile_interval(value: float, replicates: NDArray[np.float64]) -> Estimate:
    """Estimate whose interval holds the middle 95 % of bootstrap replicates (rounds,)."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Estimate(value, float(low), float(high), f"bootstrap, {len(replicates)} rounds")
