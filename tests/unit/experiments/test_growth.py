"""The later scan of which the growth is known: magnified by what was asked, and nothing far away moved."""

import numpy as np
import pytest

from experiments.pretrained import growth


@pytest.fixture
def ball():
    grid = np.indices((64, 60, 60))
    numbers = np.zeros(grid.shape[1:], np.uint8)
    for number, (centre, radius) in enumerate((((20, 20, 20), 5), ((44, 40, 40), 4.5), ((20, 45, 45), 2)), start=1):
        away = grid - np.reshape(centre, (3, 1, 1, 1))
        numbers[(away**2).sum(axis=0) <= radius**2] = number
    return numbers


def test_nodules_of_8_mm_grow_by_what_was_asked(ball, monkeypatch):
    monkeypatch.setattr(growth, "TURN_DEG", (0.0, 0.0))
    monkeypatch.setattr(growth, "SHIFT_MM", (0.0, 0.0, 0.0))
    monkeypatch.setattr(growth, "NOISE_HU", 0.0)
    nodules = growth.grown(ball, np.random.default_rng(0))
    assert [one.number for one in nodules] == [1, 2]  # the third is of 4 mm
    nodules = [
        growth.Grown(n.number, n.centre_zyx, n.reach, factor) for n, factor in zip(nodules, (2.0, 1.0), strict=True)
    ]
    hu = np.where(ball > 0, 50, -850).astype(np.int16)
    later, volumes = growth.later(hu, ball, nodules, np.random.default_rng(0))
    before = [int((ball == one.number).sum()) for one in nodules]
    assert volumes[0] / before[0] == pytest.approx(2, rel=0.06)
    assert volumes[1] == before[1]
    far = np.linalg.norm(np.indices(ball.shape) - np.reshape((20, 20, 20), (3, 1, 1, 1)), axis=0) > growth.edge(
        nodules[0]
    )
    np.testing.assert_array_equal(later[far], hu[far])


def test_a_patient_who_lies_otherwise_has_the_same_volumes(ball):
    nodules = [growth.Grown(n.number, n.centre_zyx, n.reach, 1.0) for n in growth.grown(ball, np.random.default_rng(0))]
    hu = np.where(ball > 0, 50, -850).astype(np.int16)
    later, volumes = growth.later(hu, ball, nodules, np.random.default_rng(0))
    assert volumes == pytest.approx([int((ball == one.number).sum()) for one in nodules], rel=0.05)
    assert (later != hu).mean() > 0.5


def test_the_row_of_a_nodule_is_the_nearest_on_it():
    rows = [
        {"nodule": nodule, "scan": scan, "x_mm": x, "y_mm": "0", "z_mm": "0", "state": state,
         "volume_change_percent_since_previous": change}
        for nodule, scan, x, state, change in (
            ("1", "1", "1", "found", ""), ("1", "2", "1", "found", "50"), ("2", "1", "3", "found", ""),
            ("2", "2", "", "gone", ""), ("3", "1", "", "not-yet", ""), ("3", "2", "30", "new", ""),
        )
    ]  # fmt: skip
    assert growth.state_of(rows, np.zeros(3), 4) == ("found", 1.5)
    assert growth.state_of(rows, np.array([3.5, 0, 0]), 4) == ("gone", None)
    assert growth.state_of(rows, np.array([30, 0, 0]), 4) == ("not found", None)
