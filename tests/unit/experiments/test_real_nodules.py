"""The benchmark of real nodules, on drawn ones: folds, guard, choices, figures, and the command as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.real_nodules import ceiling, malignancy, segmentation
from experiments.real_nodules.__main__ import run
from experiments.real_nodules.figures import PREDICTORS, Answer, measure, refuse_twice
from experiments.real_nodules.nodules import (
    FOLDS,
    NEVER_TRAINED,
    RealNodule,
    deal,
    fold_of,
    read_nodules,
    refuse_leaks,
)
from lungline.errors import LunglineError
from lungline.evaluation.auc import auc
from tests.repository import sample_folder


def drawn(patient: str, number: int = 0, *, radius: float = 4.0, malignant: int = 0) -> RealNodule:
    """A bright ball in lung, 9 x 20 x 22 voxels."""
    z, y, x = np.ogrid[:9, :20, :22]
    mask = (z - 4) ** 2 + (y - 10) ** 2 + (x - 11) ** 2 <= radius**2
    noise = np.random.default_rng(number).normal(0, 0.02, mask.shape)
    scaled = (np.where(mask, 0.75, 0.15) + noise).astype(np.float32)
    return RealNodule(f"{patient}_R_{number}", patient, malignant, 2 * radius, scaled, mask)


@pytest.fixture(scope="module")
def nodules() -> list[RealNodule]:
    """Two nodules each of forty patients; the larger ones are malignant."""
    radii = np.random.default_rng(3).uniform(2, 6, 80)
    return [drawn(f"P{i // 2}", i, radius=radius, malignant=int(radius > 4)) for i, radius in enumerate(radii)]


def test_every_nodule_is_tested_once_and_every_patient_stands_in_one_split(nodules: list[RealNodule]) -> None:
    tested = []
    for fold in range(FOLDS):
        splits = deal(nodules, fold, seed=1)
        patients = {split: {nodule.patient for nodule in own} for split, own in splits.items()}
        assert sum(map(len, patients.values())) == 40
        assert all(nodule.split == split for split, own in splits.items() for nodule in own)
        tested += [nodule.name for nodule in splits["test"]]
    assert sorted(tested) == sorted(nodule.name for nodule in nodules)


def test_folds_depend_on_patient_and_seed_alone() -> None:
    assert [fold_of("P1", 1), fold_of("P2", 1)] == [fold_of("P1", 1), fold_of("P2", 1)]
    assert len({tuple(fold_of(f"P{i}", seed) for i in range(20)) for seed in range(5)}) == 5


@pytest.mark.parametrize("shared", [("train", "test"), ("valid", "test"), ("train", "valid")])
def test_a_patient_in_two_splits_is_refused(shared: tuple[str, str]) -> None:
    splits = {split: [drawn(split)] for split in ("train", "valid", "test")}
    for number, split in enumerate(shared):
        splits[split].append(drawn("P7", number))
    with pytest.raises(LunglineError, match="1 patients stand in more than one of train, valid, test"):
        refuse_leaks(splits)


@pytest.mark.parametrize("patient", sorted(NEVER_TRAINED))
def test_the_patients_of_another_test_are_refused(nodules: list[RealNodule], patient: str) -> None:
    with pytest.raises(LunglineError, match=f"{patient} must never be trained on"):
        deal([*nodules, drawn(patient)], 0, seed=1)


CHOICES: dict[str, Callable[[list[RealNodule]], object]] = {
    "weights of the U-Net": lambda own: segmentation.train(
        own, own, segmentation.SCHEDULE, seed=1, checkpoint=Path(), key=""
    ),
    "threshold": lambda own: segmentation.choose_threshold(own, [nodule.scaled for nodule in own]),
    "weights of the cancer network": lambda own: malignancy.train(
        [malignancy.make_cube(nodule, nodule.scaled) for nodule in own],
        [],
        malignancy.SCHEDULE,
        seed=1,
        checkpoint=Path(),
        key="",
    ),
    "weights of the combination": lambda own: malignancy.choose_combination(own, *np.zeros((2, len(own)))),
    "weights of the descriptors": malignancy.fit_descriptors,
}


@pytest.mark.parametrize("choice", CHOICES)
def test_no_choice_looks_at_the_test(nodules: list[RealNodule], choice: str) -> None:
    own = [*deal(nodules, 0, seed=1)["valid"], replace(nodules[0], split="test")]
    with pytest.raises(LunglineError, match=rf"the {choice} would be chosen by looking at \d rows of the test split"):
        CHOICES[choice](own)


def test_dice() -> None:
    ground_truth = np.zeros((2, 3, 4), bool)
    ground_truth[0, :2, :2] = True
    found = np.roll(ground_truth, 1, axis=2)
    assert segmentation.dice_of(found, ground_truth) == pytest.approx(2 * 2 / (4 + 4))
    assert (
        segmentation.dice_of(ground_truth, ground_truth)
        == segmentation.dice_of(~(ground_truth | True), ~(ground_truth | True))
        == 1
    )


def test_the_threshold_is_the_one_with_the_best_dice(nodules: list[RealNodule]) -> None:
    own = deal(nodules, 0, seed=1)["valid"]
    probabilities = [np.where(nodule.mask, 0.7, 0.42).astype(np.float32) for nodule in own]
    assert 0.42 < segmentation.choose_threshold(own, probabilities) < 0.7


def test_crops_are_repeatable_and_image_and_label_stay_together(nodules: list[RealNodule]) -> None:
    batches = segmentation.NoduleSlices(nodules, batch=8, seed=4)
    images, labels = batches.batch(5)
    assert images.shape == (8, segmentation.NETWORK.slices, segmentation.CROP, segmentation.CROP)
    again = segmentation.NoduleSlices(nodules, batch=8, seed=4).batch(5)
    assert all((one == other).all() for one, other in zip((images, labels), again, strict=True))
    middle = images[:, images.shape[1] // 2, None]
    assert ((middle > 0.45) == (labels > 0.5)).all()


def test_a_cube_has_the_nodule_in_its_middle_and_no_air_beyond_the_volume() -> None:
    nodule = drawn("P1")
    cube = malignancy.make_cube(nodule, nodule.mask.astype(np.float32))
    assert cube.cubes.shape == (1, 2, *malignancy.NETWORK.shape_zyx)
    assert cube.cubes[0, 1].sum() == nodule.mask.sum()
    assert cube.cubes[0, 0].min() > 0.05
    centre = np.argwhere(cube.cubes[0, 1]).mean(axis=0)
    np.testing.assert_allclose(centre, 16, atol=1)
    shown = cube.sample(np.random.default_rng(2))
    assert shown.shape == cube.cubes.shape
    assert shown[0, 1].sum() == nodule.mask.sum()


def test_the_logistic_regression_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    columns = np.column_stack([rng.normal(size=(200, 2)), np.ones(200)])
    labels = (rng.random(200) < 1 / (1 + np.exp(-columns @ [1.0, -2.0, 0.5]))).astype(int)
    theirs = LogisticRegression(C=100, fit_intercept=False, tol=1e-10).fit(columns, labels)
    np.testing.assert_allclose(malignancy.fit_logistic(labels, columns), theirs.coef_[0], rtol=1e-3)


def test_descriptors_tell_what_the_size_does_not(nodules: list[RealNodule]) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(2, size=len(nodules))
    calcium = [nodule.mask & (rng.random(nodule.mask.shape) < 0.5) for nodule in nodules]
    calcified = [
        replace(n, malignant=int(y), scaled=n.scaled if y else np.where(dense, 1.0, n.scaled))
        for n, dense, y in zip(nodules, calcium, labels, strict=True)
    ]
    model = malignancy.fit_descriptors(calcified[:40])
    logits = model.logits(calcified[40:], [nodule.mask for nodule in calcified[40:]])
    assert auc(labels[40:], logits).value == 1.0
    nothing = model.logits(calcified[40:], [np.zeros_like(nodule.mask) for nodule in calcified[40:]])
    assert np.isfinite(nothing).all()


def answers(nodules: list[RealNodule], **scores: list[float]) -> list[Answer]:
    return [
        Answer(
            nodule=nodule.name,
            patient=nodule.patient,
            fold=i % FOLDS,
            malignant=nodule.malignant,
            diameter_mm=nodule.diameter_mm,
            **{name: float(own[i]) for name, own in scores.items()},
        )
        for i, nodule in enumerate(nodules)
    ]


def test_figures_of_a_predictor_that_beats_the_diameter(nodules: list[RealNodule]) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(2, size=len(nodules))
    size = labels + rng.normal(0, 1.5, len(nodules))
    own = [
        replace(n, malignant=int(y), diameter_mm=float(8 + s)) for n, y, s in zip(nodules, labels, size, strict=True)
    ]
    sure = list(labels + rng.normal(0, 0.2, len(nodules)))
    sizes = [nodule.diameter_mm for nodule in own]
    logits = dict.fromkeys([name for name in PREDICTORS if name.endswith("logit")], sure)
    given = answers(own, mask_ml=sizes, found_ml=sizes, dice=[0.25, 0.75] * 40, **logits)
    lines = {(line.nodules, line.figure): line for line in measure(given, steering_fold=4, seed=1, rounds=200)}
    dice = lines["all", "Dice"].by_patient
    assert (dice.value, dice.low, dice.high) == (0.5, 0.5, 0.5)  # each patient has one nodule of each kind
    line = lines["all", "AUC, cancer network"]
    assert line.value.value is not None
    assert line.value.value > 0.98
    for difference in (line.difference, line.difference_by_patient):
        assert difference.low is not None
        assert difference.low > 0
    same = lines["all", "AUC, volume of the readers' mask"]
    assert same.difference.value == same.difference_by_patient.value == 0
    assert lines["all but fold 4", "Dice"].count == 64
    assert lines["up to 8 mm", "Dice"].count + lines["over 8 mm", "Dice"].count == 80


def test_a_nodule_that_is_answered_twice_is_refused(nodules: list[RealNodule]) -> None:
    zeros = [0.0] * 2
    names = ["dice", *(name for name in PREDICTORS if name != "diameter_mm")]
    with pytest.raises(LunglineError, match="1 nodules have more than one answer"):
        refuse_twice(answers([nodules[0]] * 2, **dict.fromkeys(names, zeros)))


def test_the_command_answers_the_nodules_of_the_fold_the_same_way_twice(
    nodules: list[RealNodule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(malignancy, "TURNS", 1)
    monkeypatch.setattr(malignancy, "NETWORK", malignancy.NETWORK.model_copy(update={"shape_zyx": (16, 16, 16)}))
    for out in ("one", "two"):
        text = run(nodules, tmp_path / out, folds=1, steps=4, seed=1, rounds=20)
    assert "| all |" in text
    tested = deal(nodules, 0, seed=1)["test"]
    found = [(tmp_path / out / "answers.csv").read_text(encoding="utf-8") for out in ("one", "two")]
    assert found[0] == found[1]
    assert [row.split(",")[0] for row in found[0].splitlines()[1:]] == [nodule.name for nodule in tested]
    assert json.loads((tmp_path / "one" / "figures.json").read_text(encoding="utf-8"))["nodules"] == len(tested)


def test_real_nodules_are_read_at_1_mm() -> None:
    folder = sample_folder()
    if folder is None or not (folder / "lidc-nodules").is_dir():
        pytest.skip("no real nodules: set LUNGLINE_SAMPLE_DATA to the folder that holds lidc-nodules/")
    found = read_nodules(folder / "lidc-nodules")
    assert not NEVER_TRAINED & {nodule.patient for nodule in found}
    assert len({nodule.patient for nodule in found}) == 396
    assert [len(found), sum(nodule.malignant for nodule in found)] == [738, 260]
    for nodule in found:
        assert nodule.scaled.shape == nodule.mask.shape
        assert nodule.mask.any()


def rated(number: int, rng: np.random.Generator) -> ceiling.RatedByReaders:
    """A nodule whose label follows from its spiculation alone, and nothing from its size."""
    spiculation = float(rng.integers(1, 6))
    diameter = float(rng.uniform(4, 20))
    columns = np.array([np.log(diameter), 6, 1, 1, 3, 3, spiculation, 5, 5, 1])
    return ceiling.RatedByReaders(str(number), f"p{number // 2}", int(spiculation > 3), diameter, columns)


def test_a_regression_of_ratings_is_fitted_to_other_patients_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    nodules = [rated(number, rng) for number in range(200)]
    labels = np.array([nodule.malignant for nodule in nodules])
    told = ceiling.out_of_fold(nodules, seed=1)
    assert auc(labels, told).value == pytest.approx(1.0, abs=0.01)
    turned = [replace(n, malignant=1 - n.malignant) if fold_of(n.patient, 1) == 0 else n for n in nodules]
    again = ceiling.out_of_fold(turned, seed=1)
    first = np.array([fold_of(nodule.patient, 1) == 0 for nodule in nodules])
    assert np.array_equal(told[first], again[first])  # a nodule's own label, and its fold's, do not count
    assert not np.allclose(told[~first], again[~first])
    monkeypatch.setattr(ceiling, "test_nodules", lambda: {nodule.name for nodule in nodules[:60]})
    text = ceiling.table(nodules, seed=1, rounds=20)
    assert [line.split("|")[1].strip() for line in text.splitlines()] == [
        "nodules",
        "---",
        "all",
        "of the test patients",
    ]


def test_the_ratings_of_the_real_nodules_are_read() -> None:
    folder = sample_folder()
    if folder is None or not (folder / "lidc-nodules").is_dir():
        pytest.skip("no real nodules: set LUNGLINE_SAMPLE_DATA to the folder that holds lidc-nodules/")
    found = ceiling.read(folder / "lidc-nodules")
    assert [len(found), sum(nodule.malignant for nodule in found)] == [738, 260]
    assert len({nodule.name for nodule in found} & ceiling.test_nodules()) == 144
