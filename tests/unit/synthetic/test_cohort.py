"""The plan of the synthetic cohort: identities, labels, sizes and places, without drawing a voxel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lungline.config.loading import config_text, read_config
from lungline.config.models import Cohort
from lungline.errors import LunglineError
from lungline.splits import split_of_luna_fold, split_of_patient
from lungline.stages import write_cohort_tables
from lungline.synthetic.cohort import (
    DAMAGED_PATIENT_INDEX,
    FIRST_TEST_INDEX,
    ScanPlan,
    plan_cohort,
    plan_scan,
)
from lungline.synthetic.phantom_nodules import BENIGN_MM, MALIGNANT_MM

MICRO = Cohort(luna16_scans=4, dsb17_train=6, dsb17_test=4, anatomy_scale=0.3)
DEFAULT = Cohort(luna16_scans=30, dsb17_train=70, dsb17_test=40, anatomy_scale=0.45)


def roc_auc(score: list[float], label: list[int | None]) -> float:
    positive = np.array([s for s, y in zip(score, label, strict=True) if y == 1])[:, None]
    negative = np.array([s for s, y in zip(score, label, strict=True) if y == 0])
    return float(np.mean((positive > negative) + 0.5 * (positive == negative)))


def largest_diameter_mm(plan: ScanPlan) -> float:
    return max(nodule.diameter_mm for nodule in plan.nodules)


def forty_test_patients(seed: int) -> list[ScanPlan]:
    return [plan_scan("dsb17", FIRST_TEST_INDEX + i, seed, 0.45) for i in range(40)]


@pytest.mark.parametrize("seed", [1, 2, 3, 20170])
def test_the_largest_diameter_hardly_tells_who_has_cancer(seed: int) -> None:
    plans = forty_test_patients(seed)
    label = [plan.label for plan in plans]
    assert roc_auc([largest_diameter_mm(plan) for plan in plans], label) <= 0.70
    assert roc_auc([float(len(plan.nodules)) for plan in plans], label) <= 0.60
    assert roc_auc([sum(n.diameter_mm**3 for n in plan.nodules) for plan in plans], label) <= 0.70


def test_the_diameter_check_notices_sizes_that_give_the_label_away() -> None:
    plans = forty_test_patients(1)
    label = [plan.label for plan in plans]
    given_away = [largest_diameter_mm(plan) + 6 * plan.label for plan in plans]  # type: ignore[operator]
    assert roc_auc(given_away, label) > 0.70


def test_a_scan_does_not_depend_on_how_many_there_are() -> None:
    few = {plan.scan: plan for plan in plan_cohort(7, MICRO)}
    many = {
        plan.scan: plan
        for plan in plan_cohort(7, MICRO.model_copy(update={"luna16_scans": 6, "dsb17_train": 9, "dsb17_test": 5}))
    }
    assert few.items() <= many.items()
    assert len(many) == 20


def test_another_seed_gives_other_scans() -> None:
    assert not {p.scan for p in plan_cohort(1, MICRO)} & {p.scan for p in plan_cohort(2, MICRO)}


def test_half_of_every_split_has_cancer_and_a_fifth_of_training_is_for_validation() -> None:
    patients = [plan for plan in plan_cohort(1, DEFAULT) if plan.dataset == "dsb17"]
    counts = {split: [p.label for p in patients if p.split == split] for split in ("train", "valid", "test")}
    assert {split: (len(y), sum(y)) for split, y in counts.items()} == {  # type: ignore[arg-type]
        "train": (56, 28),
        "valid": (14, 7),
        "test": (40, 20),
    }


def test_a_patient_has_cancer_when_a_nodule_is_malignant() -> None:
    for plan in forty_test_patients(3) + [plan_scan("dsb17", i, 3, 0.45) for i in range(40)]:
        assert plan.label == int(any(nodule.malignant for nodule in plan.nodules))
        assert 1 <= len(plan.nodules) <= 4


def test_splits_follow_the_ids_and_the_subsets() -> None:
    for plan in plan_cohort(5, MICRO):
        if plan.dataset == "luna16":
            assert plan.fold is not None
            assert plan.split == split_of_luna_fold(plan.fold)
            assert f"/subset{plan.fold}/" in plan.path
        else:
            assert plan.split == ("test" if plan.index >= FIRST_TEST_INDEX else split_of_patient(plan.scan))


def test_even_the_smallest_cohort_has_every_split_of_both_sets() -> None:
    splits = {(plan.dataset, plan.split) for plan in plan_cohort(1, MICRO)}
    assert splits == {(d, s) for d in ("luna16", "dsb17") for s in ("train", "valid", "test")}


@pytest.mark.parametrize("scale", [0.3, 0.45, 1.0])
def test_nodules_lie_inside_a_lung_apart_from_each_other_and_the_heart(scale: float) -> None:
    for plan in plan_cohort(11, MICRO.model_copy(update={"anatomy_scale": scale})):
        for k, nodule in enumerate(plan.nodules):
            centre = np.array([nodule.centre_xyz_mm])
            depth = plan.anatomy.lung_depth(nodule.side, centre)[0]
            assert depth > (0.6 * nodule.radius_mm if nodule.pleural else nodule.radius_mm + 1)
            assert (depth < nodule.radius_mm) == nodule.pleural
            assert plan.anatomy.heart_distance(*centre.T)[0] > nodule.radius_mm
            for other in plan.nodules[:k]:
                gap = np.linalg.norm(centre[0] - other.centre_xyz_mm) - nodule.radius_mm - other.radius_mm
                assert gap > 5
            low, high = MALIGNANT_MM if nodule.malignant else BENIGN_MM
            assert low <= nodule.diameter_mm <= high


def test_luna_scans_hold_three_to_five_nodules_and_both_kinds_occur() -> None:
    plans = [plan_scan("luna16", i, 1, 0.45) for i in range(30)]
    assert {len(plan.nodules) for plan in plans} == {3, 4, 5}
    kinds = {nodule.kind for plan in plans for nodule in plan.nodules}
    assert kinds == {
        "benign-solid",
        "benign-calcified",
        "malignant-spiculated-solid",
        "malignant-spiculated-part-solid",
        "malignant-lobulated-solid",
        "malignant-lobulated-part-solid",
    }


def test_spacings_are_those_of_real_scanners_and_ids_those_of_the_real_sets() -> None:
    for plan in plan_cohort(1, DEFAULT)[::5]:
        dz, dy, dx = plan.spacing_zyx_mm
        assert 1 <= dz <= 2.5
        assert 0.6 <= dy == dx <= 0.9
        assert len(plan.scan) == 32 if plan.dataset == "dsb17" else len(plan.scan) <= 64


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(LunglineError, match="nlst"):
        plan_scan("nlst", 0, 1, 0.45)  # type: ignore[arg-type]


def test_tables_keep_test_labels_apart_and_tell_the_truth_about_every_nodule(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config_text(read_config({"cohort": MICRO.model_dump()})))
    write_cohort_tables.run(tmp_path, config=tmp_path / "config.json")
    plans = plan_cohort(1, MICRO)
    lines = {path.name: path.read_text().splitlines() for path in [*tmp_path.glob("*.csv"), *tmp_path.glob("*/*.csv")]}
    assert lines["stage1_labels.csv"][0] == "id,cancer"
    assert lines["stage1_solution.csv"][0] == "id,cancer,Usage"
    assert lines["annotations.csv"][0] == "seriesuid,coordX,coordY,coordZ,diameter_mm"
    assert len(lines["stage1_labels.csv"]) == 7
    assert len(lines["stage1_solution.csv"]) == 5
    assert len(lines["ground_truth.csv"]) == 1 + sum(len(plan.nodules) for plan in plans)
    assert len(lines["annotations.csv"]) == 1 + sum(len(p.nodules) for p in plans if p.dataset == "luna16")
    assert plan_scan("dsb17", DAMAGED_PATIENT_INDEX, 1, MICRO.anatomy_scale).scan in "".join(lines["stage1_labels.csv"])
