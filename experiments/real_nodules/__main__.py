"""One command: train and test lungline's networks on real nodules, five folds of patients, and print the table.

    python -m experiments.real_nodules [--folds N] [--steps N] ...

Each fold is answered by networks that were trained on three other folds; every choice between and after them (look,
threshold, calibration, combination) is made on the fourth. Writes `answers.csv`, `figures.json` and `table.md`. Stopped
early, the same command goes on from the last look.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments.real_nodules import malignancy, segmentation
from experiments.real_nodules.figures import ROUNDS, Answer, columns_of_answers, measure, table
from experiments.real_nodules.nodules import FOLDS, RealNodule, deal, read_nodules
from lungline import __version__
from lungline.config.networks import Schedule
from lungline.device import make_repeatable
from lungline.fingerprint import code_fingerprint
from lungline.storage.tables import table_text
from tests.repository import REPOSITORY, sample_folder

STEERING_FOLD = FOLDS - 1  # the one on which settings were tried out: where fold 0 makes its choices


@dataclass(frozen=True)
class Plan:
    """What makes a run what it is.

    Attributes
    ----------
    outlining, judging : Schedule
        Of the U-Net and of the cancer network.
    seed : int
        Of the folds, first weights and batches.
    checkpoints : Path
        Folder from which a run that was stopped goes on.
    """

    outlining: Schedule
    judging: Schedule
    seed: int
    checkpoints: Path

    def key(self, splits: Mapping[str, Sequence[RealNodule]]) -> str:
        """Hash of everything that the networks of a fold depend on."""
        digest = hashlib.sha256(repr((self.outlining, self.judging, self.seed, __version__)).encode())
        for stage in ("train_unet", "train_classifier"):
            digest.update(code_fingerprint(f"lungline.stages.{stage}").encode())
        for path in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(path.read_bytes())
        for split, nodules in splits.items():
            for nodule in nodules:
                digest.update(f"{split} {nodule.name} {nodule.malignant} {nodule.diameter_mm}".encode())
                digest.update(nodule.scaled.tobytes() + nodule.mask.tobytes())
        return digest.hexdigest()


def answer_fold(nodules: Sequence[RealNodule], test_fold: int, plan: Plan) -> list[Answer]:
    """Train, choose, and answer the nodules of one fold."""
    splits = deal(nodules, test_fold, plan.seed)
    choosing, testing = splits["valid"], splits["test"]
    of_training = partial(_training, test_fold, plan, plan.key(splits))
    print(f"fold {test_fold}: {', '.join(f'{len(own)} {split}' for split, own in splits.items())}", flush=True)
    unet = segmentation.train(splits["train"], choosing, plan.outlining, **of_training("unet"))
    probability = {split: [segmentation.predict(unet, nodule) for nodule in own] for split, own in splits.items()}
    threshold = segmentation.choose_threshold(choosing, probability["valid"])
    cubes = {
        split: [malignancy.make_cube(nodule, p) for nodule, p in zip(own, probability[split], strict=True)]
        for split, own in splits.items()
    }
    network = malignancy.train(cubes["train"], cubes["valid"], plan.judging, **of_training("cancer_net"))
    print(f"fold {test_fold}: threshold {threshold:.2f}", flush=True)
    described = malignancy.fit_descriptors(splits["train"])
    outlined = {split: described.logits(own, [nodule.mask for nodule in own]) for split, own in splits.items()}
    chosen_on, logits = (malignancy.logits_of(network, cubes[split]) for split in ("valid", "test"))
    with_diameter = malignancy.choose_combination(choosing, chosen_on, malignancy.log_diameters(choosing))
    with_descriptors = malignancy.choose_combination(choosing, chosen_on, outlined["valid"])
    found = [p >= threshold for p in probability["test"]]
    scores = {
        "network_logit": with_diameter.alone(logits),
        "combined_logit": with_diameter.together(logits, malignancy.log_diameters(testing)),
        "descriptors_logit": outlined["test"],
        "found_descriptors_logit": described.logits(testing, found),
        "together_logit": with_descriptors.together(logits, outlined["test"]),
    }
    return [
        Answer(
            nodule=nodule.name,
            patient=nodule.patient,
            fold=test_fold,
            malignant=nodule.malignant,
            diameter_mm=nodule.diameter_mm,
            mask_ml=int(nodule.mask.sum()) / 1000,
            found_ml=int(mask.sum()) / 1000,
            dice=segmentation.dice_of(mask, nodule.mask),
            **{name: float(score[i]) for name, score in scores.items()},
        )
        for i, (nodule, mask) in enumerate(zip(testing, found, strict=True))
    ]


def _training(fold: int, plan: Plan, key: str, name: str) -> dict[str, Any]:
    return {"seed": plan.seed, "checkpoint": plan.checkpoints / f"fold{fold}-{name}.safetensors", "key": key}


def shortened(schedule: Schedule, steps: int | None) -> Schedule:
    """The schedule, or that one with fewer steps, looked at five times or more."""
    if steps is None or steps >= schedule.steps:
        return schedule
    every = min(schedule.validate_every, max(1, steps // 5))
    return schedule.model_copy(update={"steps": steps, "validate_every": every})


def run(
    nodules: Sequence[RealNodule],
    out: Path,
    *,
    folds: int = FOLDS,
    steps: int | None = None,
    seed: int = 1,
    rounds: int = ROUNDS,
) -> str:
    """Answer the first `folds` folds, write answers, figures and table into `out`; the table.

    Parameters
    ----------
    steps : int, optional
        Most steps of a training, for a quick try.
    """
    make_repeatable(seed)
    started = time.process_time()
    outlining, judging = (shortened(part.SCHEDULE, steps) for part in (segmentation, malignancy))
    plan = Plan(outlining, judging, seed, out / "checkpoints")
    plan.checkpoints.mkdir(parents=True, exist_ok=True)
    answers = [answer for fold in range(folds) for answer in answer_fold(nodules, fold, plan)]
    seconds = time.process_time() - started
    lines = measure(answers, steering_fold=STEERING_FOLD, seed=seed, rounds=rounds)
    about = {
        "nodules": len(answers),
        "patients": len({answer.patient for answer in answers}),
        "malignant": sum(answer.malignant for answer in answers),
        "seed": seed,
        "folds": folds,
        "cpu_seconds": round(seconds),
        "unet": {
            "network": segmentation.NETWORK.model_dump(mode="json"),
            "training": outlining.model_dump(mode="json"),
        },
        "cancer_net": {
            "network": malignancy.NETWORK.model_dump(mode="json"),
            "training": judging.model_dump(mode="json"),
        },
        "lines": [line.as_json() for line in lines],
    }
    text = f"{len(answers)} nodules of {about['patients']} patients, {about['malignant']} malignant; seed {seed}, "
    text += f"{folds} of {FOLDS} folds, {seconds:.0f} s of one core.\n\n{table(lines)}"
    rows = [list(asdict(answer).values()) for answer in answers]
    (out / "answers.csv").write_text(table_text(columns_of_answers(), rows), encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    (out / "table.md").write_text(text, encoding="utf-8")
    shutil.rmtree(plan.checkpoints)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.real_nodules", description=__doc__)
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), help="test only the first N")
    parser.add_argument("--steps", type=int, help="at most this many a training")
    parser.add_argument("--seed", type=int, default=1, help="of the folds, weights and batches")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "real_nodules")
    options = parser.parse_args()
    samples = sample_folder()
    if samples is None or not (samples / "lidc-nodules").is_dir():
        print("no lidc-nodules: set LUNGLINE_SAMPLE_DATA to the folder that holds it.", file=sys.stderr)
        return 2
    nodules = read_nodules(samples / "lidc-nodules")
    print(run(nodules, options.out, folds=options.folds, steps=options.steps, seed=options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
