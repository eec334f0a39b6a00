"""How probable solid, part-solid and ground-glass are: makes `lungline/nodules/attenuation_model.json`.

    python -m experiments.size_errors                # first: what our own outlines show of implanted nodules
    python -m experiments.size_errors.attenuation [--measured results/size_errors]

Readers rate the texture of a nodule of LIDC-IDRI from 1, ground-glass, to 5, solid; between is part-solid. A logistic
regression on three percentiles of HU in the core is fitted to readers' outlines of patients that the detector was
trained on. On implanted nodules of other patients (`make.csv`), as our own detector outlines them, one temperature and
two shifts are learned; on those of its test patients (`check.csv`), which chose nothing, and on their readers' outlines
it is told how often readers agree and whether the probabilities come true.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from experiments.size_errors.__main__ import splits_of
from experiments.size_errors.implanted import Measured, read_measured
from lungline.imaging.resampling import resample
from lungline.nodules import attenuation_model
from lungline.nodules.attenuation_model import KINDS, features, scores, softmax
from lungline.nodules.measurements import CORE_PERCENTILES, measure
from lungline.synthetic.source_nodules import NoduleRow, read_nodule, read_nodule_rows
from tests.repository import REPOSITORY, sample_folder

_RIDGE = 1.0  # of the weights; features are about -1 to 1
_DRAWS = 2000
_MODEL = Path(attenuation_model.__file__).with_name("attenuation_model.json")


def kinds_of(folder: Path) -> dict[str, int]:
    """Nodule -> number of its kind by the readers, as in `KINDS`."""
    with open(folder / "nodules.csv", newline="", encoding="utf-8") as handle:
        textures = {f"{row['patient_id']}_R_{row['nodule_id']}": row["Texture_value"] for row in csv.DictReader(handle)}
    return {name: {"1": 0, "5": 2}.get(texture, 1) for name, texture in textures.items()}


def in_readers_outlines(folder: Path, rows: Sequence[NoduleRow]) -> dict[str, tuple[float, ...]]:
    """Nodule -> percentiles of its core, where the readers' outline holds a voxel of 1 mm."""
    found = {}
    for row in rows:
        ct, mask = (resample(part) for part in read_nodule(folder, row))
        if (mask.array > 0.5).any():
            found[row.name] = measure(ct, mask.array > 0.5).core_percentiles_hu
    return found


def fitted(numbers: NDArray[np.float64], kinds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights (3, 1 + features) of the logistic regression, with a ridge on all but the constants."""

    def loss(flat: NDArray[np.float64]) -> float:
        weights = flat.reshape(len(KINDS), -1)
        right = softmax(scores(numbers, weights))[np.arange(len(kinds)), kinds]
        return float(-np.log(right + 1e-12).sum() + _RIDGE / 2 * (weights[:, 1:] ** 2).sum())

    start = np.zeros(len(KINDS) * (1 + numbers.shape[1]))
    found = minimize(loss, start, method="BFGS").x.reshape(len(KINDS), -1)
    return np.asarray(found - found.mean(axis=0))


def calibrated(found: NDArray[np.float64], kinds: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Temperature and shifts of the scores under which the kinds are most likely; weakly held at 1 and 0."""

    def loss(values: NDArray[np.float64]) -> float:
        right = softmax(found * np.exp(-values[0]) + [values[1], values[2], 0])[np.arange(len(kinds)), kinds]
        return float(-np.log(right + 1e-12).sum() + (values**2).sum() / 2)

    log, ground_glass, part_solid = minimize(loss, np.zeros(3), method="BFGS").x
    return float(np.exp(log)), np.array([ground_glass, part_solid, 0.0])


def one_scan_each(rows: Sequence[Measured]) -> list[Measured]:
    """Of each nodule the thinnest slices in which it was found at the first visit."""
    found: dict[str, Measured] = {}
    for row in rows:
        if row.visit == 0 and row.core_p50_hu is not None:
            found.setdefault(row.nodule, row)
    return list(found.values())


def percentiles_of(rows: Sequence[Measured]) -> NDArray[np.float64]:
    return np.array([[getattr(row, f"core_p{share}_hu") for share in CORE_PERCENTILES] for row in rows])


def judged(name: str, percentiles: NDArray[np.float64], kinds: NDArray[np.int64], model: dict) -> dict[str, str]:
    """Agreement with the readers, and whether probabilities come true, with 95 % intervals over nodules."""
    found = scores(features(percentiles), np.array(model["weights"])) / model["temperature"] + np.array(model["shifts"])
    chances, rng = softmax(found), np.random.default_rng(0)
    right = chances.argmax(axis=1) == kinds
    drawn = rng.integers(0, len(kinds), (_DRAWS, len(kinds)))
    low, high = np.quantile(right[drawn].mean(axis=1), (0.025, 0.975))
    loss = -np.log(chances[np.arange(len(kinds)), kinds]).mean()
    plain = np.bincount(kinds, minlength=len(KINDS)) / len(kinds)
    words = {
        "nodules": str(len(kinds)),
        "agreed": f"{100 * right.mean():.0f} % ({100 * low:.0f} to {100 * high:.0f})",
        "log_loss": f"{loss:.2f}; {-np.log(plain[kinds]).mean():.2f} by frequency alone",
    }
    for number, kind in enumerate(KINDS):
        expected, seen = chances[:, number].sum(), kinds == number
        low, high = np.quantile(seen[drawn].sum(axis=1), (0.025, 0.975))
        words[kind] = f"{expected:.0f} expected, {seen.sum()} ({low:.0f} to {high:.0f})"
    print(f"{name}: " + "; ".join(f"{key} {value}" for key, value in words.items()))
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measured", type=Path, default=REPOSITORY / "results" / "size_errors")
    options, samples = parser.parse_args(), sample_folder()
    if samples is None:
        parser.error("no sample data: set LUNGLINE_SAMPLE_DATA to the folder that holds lidc-nodules and chest-ct.")
    folder, split = samples / "lidc-nodules", splits_of()
    kind_of, rows = kinds_of(folder), [row for row in read_nodule_rows(folder) if row.name in split]
    make, check = (one_scan_each(read_measured(options.measured / f"{part}.csv")) for part in ("make", "check"))
    held_out = {row.patient for row in (*make, *check)} | {row.patient for row in rows if split[row.name] == "test"}
    fit = in_readers_outlines(folder, [row for row in rows if row.patient not in held_out])
    weights = fitted(features(list(fit.values())), np.array([kind_of[name] for name in fit]))  # type: ignore[arg-type]
    own = np.array([kind_of[row.nodule] for row in make])
    temperature, shifts = calibrated(scores(features(percentiles_of(make)), weights), own)  # type: ignore[arg-type]
    model = {
        "weights": weights.round(4).tolist(),
        "temperature": round(temperature, 4),
        "shifts": shifts.round(4).tolist(),
    }
    test = in_readers_outlines(folder, [row for row in rows if split[row.name] == "test"])
    model["checked"] = {
        "own_outlines": judged(
            "own outlines", percentiles_of(check), np.array([kind_of[row.nodule] for row in check]), model
        ),
        "readers_outlines": judged(
            "readers' outlines", np.array(list(test.values())), np.array([kind_of[name] for name in test]), model
        ),
    }
    about = {
        "about": "lungline.nodules.attenuation_model; written by python -m experiments.size_errors.attenuation",
        "source": "LIDC-IDRI, Armato et al., Med. Phys. 38, 2011, 915; CC BY 3.0",
        "kinds": KINDS,
        "percentiles": CORE_PERCENTILES,
    }
    cases = {"fitted_on": sorted(fit), "calibrated_on": sorted(row.nodule for row in make)}
    _MODEL.write_text(json.dumps(about | model | cases, indent=1) + "\n", encoding="utf-8")
    print(f"{_MODEL.name}: fitted on {len(fit)} nodules, calibrated on {len(make)}.")


if __name__ == "__main__":
    main()
