"""The maximum over candidates, its gradient, and the patient in whom nothing was found."""

import math

import numpy as np
import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec
from lungline.errors import LunglineError
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training.augmentation import SYMMETRIES, apply_symmetry
from lungline.training.cases import logit_without_candidates
from lungline.training.losses import cancer_loss
from lungline.training.patients import (
    PatientCubes,
    micro_batches,
    patient_logits,
    patient_loss,
    read_cubes,
    sample_patients,
    winner_loss,
)

SPEC = CancerNetSpec(shape_zyx=(8, 8, 8), channels=(4, 4, 6, 6, 8, 8), dense=16)


def patients(n=5, seed=0):
    rng = np.random.default_rng(seed)
    return [PatientCubes(f"p{i}", i % 2, rng.random((i + 1, 2, 8, 8, 8)).astype(np.float16)) for i in range(n)]


def test_the_winners_gradient_is_the_gradient_of_the_maximum():
    torch.manual_seed(0)
    model = CancerNet(SPEC)
    batch = [(p.cubes, p.label) for p in patients()]
    winner_loss(model, batch, torch.device("cpu")).backward()
    fast = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    maxima = torch.stack([model(torch.from_numpy(cubes).float()).max() for cubes, _ in batch])
    cancer_loss(maxima, torch.tensor([float(label) for _, label in batch])).backward()
    for found, parameter in zip(fast, model.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("pool", ["max", "mean", "noisy_or"])
def test_the_loss_is_eq_1_of_the_pooled_logits(pool):
    torch.manual_seed(0)
    model = CancerNet(SPEC.model_copy(update={"pool": pool}))
    batch = [(p.cubes, p.label) for p in patients()]
    pooled = torch.stack([model.pooled(model(torch.from_numpy(cubes).float())) for cubes, _ in batch])
    wanted = cancer_loss(pooled, torch.tensor([float(label) for _, label in batch]))
    torch.testing.assert_close(patient_loss(model, batch, torch.device("cpu")), wanted)


def test_the_symmetries_of_a_cube_are_48_and_the_first_changes_nothing():
    cube = np.random.default_rng(0).random((1, 1, 3, 3, 3))
    assert len({apply_symmetry(cube, *symmetry).tobytes() for symmetry in SYMMETRIES}) == len(SYMMETRIES) == 48
    np.testing.assert_array_equal(apply_symmetry(cube, *SYMMETRIES[0]), cube)


def test_all_turns_together_do_not_see_how_a_cube_is_turned():
    torch.manual_seed(0)
    model, cubes = CancerNet(SPEC), patients(3)[2].cubes
    other = apply_symmetry(cubes, (4, 2, 3), (3,))
    with torch.inference_mode():
        one, two = (
            patient_logits(model, some, torch.device("cpu"), test_time_augmentation=48) for some in (cubes, other)
        )
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(torch.from_numpy(cubes).float()), model(torch.from_numpy(other).float()))


def test_an_epoch_shows_every_patient_once_and_each_epoch_in_a_new_order():
    def drawn(step):
        return sample_patients(patients(6), 2, seed=3, step=step)

    epochs = [[len(cubes) for step in range(3) for cubes, _ in drawn(3 * epoch + step)] for epoch in range(4)]
    assert all(sorted(sizes) == [1, 2, 3, 4, 5, 6] for sizes in epochs)
    assert len({tuple(sizes) for sizes in epochs}) > 1
    np.testing.assert_array_equal(drawn(4)[0][0], drawn(4)[0][0])


def test_nothing_found_is_answered_by_the_training_patients_own_odds():
    labels = [1] * 40 + [0] * 60
    alone = logit_without_candidates([], labels)
    assert 1 / (1 + math.exp(-alone)) == pytest.approx(41 / 102)
    assert logit_without_candidates([0] * 10, labels) < alone < logit_without_candidates([1] * 10, labels)


def test_a_small_network_overfits_four_patients():
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    batch = []
    for label in (0, 1, 0, 1):
        cubes = rng.random((3, 2, 8, 8, 8)).astype(np.float16) * 0.3
        cubes[label * 2, 0, 2:6, 2:6, 2:6] += 0.7 * label
        batch.append((cubes, label))
    model = CancerNet(SPEC)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss = winner_loss(model, batch, torch.device("cpu"))
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1


def test_cubes_that_the_network_does_not_take_are_named(tmp_path):
    fields = {
        "patches": Field(np.zeros((3, 2, 8, 8, 8), np.float16), "candidate,channel,z,y,x", "1", ""),
        "valid": Field(np.array([True, True, False]), "candidate", "1", ""),
    }
    hdf5.write_file(tmp_path / "p.h5", Header("patches", "crop_patches"), fields)
    cubes, features = read_cubes(tmp_path / "p.h5", SPEC)
    assert features is None
    assert cubes.shape == (2, 2, 8, 8, 8)
    with pytest.raises(LunglineError, match=r"crop_patches\.size"):
        read_cubes(tmp_path / "p.h5", CancerNetSpec())


@pytest.mark.parametrize(("min_score", "most", "shown"), [(None, None, 4), (0.5, None, 2), (2.0, None, 1), (0.1, 2, 2)])
def test_candidates_with_a_small_score_are_not_shown_but_the_strongest_always_is(tmp_path, min_score, most, shown):
    values = np.arange(5, dtype=np.float16)
    fields = {
        "patches": Field(
            np.broadcast_to(values[:, None, None, None, None], (5, 2, 8, 8, 8)), "candidate,channel,z,y,x", "1", ""
        ),
        "valid": Field(values < 4, "candidate", "1", ""),
        "score": Field(np.array([0.9, 0.5, 0.4, 0.2, np.nan]), "candidate", "1", ""),
    }
    hdf5.write_file(tmp_path / "p.h5", Header("patches", "crop_patches"), fields)
    cubes, _ = read_cubes(tmp_path / "p.h5", SPEC, most, min_score)
    assert cubes[:, 0, 0, 0, 0].tolist() == list(range(shown))


def test_micro_batches_hold_every_patient_once_with_their_share():
    patients_of_a_step = [(np.zeros((1, 1, 8, 8, 8), np.float16), label) for label in range(5)]
    parts = micro_batches(patients_of_a_step, 2)
    assert [share for share, _ in parts] == [0.4, 0.4, 0.2]
    assert [label for _, part in parts for _, label in part] == [0, 1, 2, 3, 4]
    assert micro_batches(patients_of_a_step, None) == [(1.0, patients_of_a_step)]
