"""Volume, mass and emphysema of lungs whose numbers are known."""

import numpy as np
import pytest

from lungline.imaging.geometry import make_affine
from lungline.imaging.lung_density import NUMBERS, measure_lungs
from lungline.imaging.volume import Volume

SHAPE, RIGHT, LEFT = (
    (30, 40, 90),
    (slice(4, 26), slice(5, 35), slice(8, 38)),
    (slice(4, 26), slice(5, 25), slice(50, 80)),
)


def lungs_of(*boxes) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for box in boxes:
        mask[box] = True
    return mask


def ct_of(noise_hu: float = 0.0) -> Volume:
    """A right lung at -800 HU of which a quarter is at -970 HU, a left one at -850 HU; voxels of 1.5 mm along z."""
    hu = np.full(SHAPE, 40.0, np.float32)
    hu[RIGHT], hu[LEFT] = -800, -850
    hu[4:26, 5:35, 8:38][:, :15, :15] = -970
    hu += np.random.default_rng(0).normal(0, noise_hu, SHAPE).astype(np.float32) if noise_hu else 0
    return Volume(hu, make_affine((1.5, 1.0, 1.0)))


def test_numbers_of_both_lungs_and_of_each() -> None:
    found = measure_lungs(ct_of(), lungs_of(RIGHT, LEFT), 12.3)
    right_ml, left_ml = 22 * 30 * 30 * 1.5 / 1000, 22 * 20 * 30 * 1.5 / 1000
    assert tuple(found) == NUMBERS
    assert (found["right_volume_ml"], found["left_volume_ml"]) == (round(right_ml, 1), round(left_ml, 1))
    assert found["volume_ml"] == pytest.approx(right_ml + left_ml, abs=0.06)
    assert found["left_mass_g"] == pytest.approx(0.15 * left_ml, abs=0.06)
    assert found["right_mass_g"] == pytest.approx((0.75 * 0.2 + 0.25 * 0.03) * right_ml, abs=0.06)
    assert (found["right_below_950_percent"], found["left_below_950_percent"]) == (25, 0)
    assert found["below_950_percent"] == pytest.approx(25 * right_ml / (right_ml + left_ml), abs=1e-3)
    assert found["right_below_950_averaged_percent"] == pytest.approx(25, abs=4)
    assert found["noise_hu"] == 12.3


def test_noise_raises_the_share_of_voxels_and_hardly_that_of_means() -> None:
    still, noisy = (measure_lungs(ct_of(noise_hu), lungs_of(LEFT, RIGHT), noise_hu) for noise_hu in (0.0, 70.0))
    assert noisy["left_below_950_percent"] > still["left_below_950_percent"] + 5
    assert noisy["left_below_950_averaged_percent"] < 0.1


def test_a_lung_that_is_not_there_has_no_numbers_and_noise_of_0_is_unknown() -> None:
    found = measure_lungs(ct_of(), lungs_of(RIGHT), 0.0)
    assert found["left_volume_ml"] is found["left_mass_g"] is found["noise_hu"] is None
    assert found["volume_ml"] == found["right_volume_ml"]
