"""Measurements of nodules are right where the answer is known: balls, boxes, ellipsoids on grids of any spacing."""

import numpy as np
import pytest
from scipy import ndimage

from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import CALCIFIED_HU, measure, measure_candidates

SHAPE = (40, 44, 48)


def grid(spacing_zyx_mm=(1.0, 1.0, 1.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing_zyx_mm)[::-1]  # index (z, y, x) to world (x, y, z)
    return affine


def ball(diameter_mm, centre_zyx=(20.0, 22.0, 24.0), spacing_zyx_mm=(1.0, 1.0, 1.0)) -> np.ndarray:
    index = np.indices(SHAPE).astype(float)
    away = [(i - c) * s for i, c, s in zip(index, centre_zyx, spacing_zyx_mm, strict=True)]
    return sum(a**2 for a in away) <= (diameter_mm / 2) ** 2


@pytest.mark.parametrize("diameter_mm", [6, 7.3, 8, 10, 12.6, 16, 20, 30])
def test_a_ball_has_its_diameter_within_a_voxel_and_its_volume_within_5_percent(diameter_mm: float) -> None:
    rng = np.random.default_rng(1)
    ct = Volume(np.zeros(SHAPE, np.int16), grid())
    found = [measure(ct, ball(diameter_mm, 20 + rng.uniform(-0.5, 0.5, 3))) for _ in range(10)]
    assert np.abs([d.long_axis_mm - diameter_mm for d in found]).max() <= 1.0
    assert np.mean([d.volume_mm3 for d in found]) == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.05)


def test_spacing_counts() -> None:
    spacing_zyx_mm = (2.0, 0.7, 0.5)
    mask = np.zeros(SHAPE, bool)
    mask[10:13, 5:15, 7:27] = True  # 6 x 7 x 10 mm
    found = measure(Volume(np.zeros(SHAPE, np.int16), grid(spacing_zyx_mm)), mask)
    assert found.volume_mm3 == pytest.approx(6 * 7 * 10)
    assert np.hypot(7, 10) - 0.7 <= found.long_axis_mm <= np.hypot(7, 10)  # its diagonal
    one = np.zeros(SHAPE, bool)
    one[3, 4, 5] = True
    found = measure(Volume(np.zeros(SHAPE, np.int16), grid(spacing_zyx_mm)), one)
    assert found.long_axis_mm == pytest.approx(0.7)


def test_the_longest_extent_is_that_of_one_slice_and_not_of_the_whole_nodule() -> None:
    mask = ball(6)
    mask[5:36, 22, 24] = True  # a spike along z
    plain, spiked = (measure(Volume(np.zeros(SHAPE, np.int16), grid()), m) for m in (ball(6), mask))
    assert spiked.long_axis_mm == plain.long_axis_mm


def test_densities_are_those_of_the_voxels_inside() -> None:
    mask = ball(10)
    hu = np.full(SHAPE, -850, np.int16)
    hu[mask] = 30
    hu[ball(4)] = CALCIFIED_HU
    found = measure(Volume(hu, grid()), mask)
    inside = hu[mask].astype(float)
    assert found.mean_hu == pytest.approx(inside.mean())
    assert found.sd_hu == pytest.approx(inside.std())
    assert found.calcified_share == pytest.approx(ball(4).sum() / mask.sum())


def test_each_candidate_is_measured_by_its_own_voxels_alone() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[ball(10)] = 2
    labels[0, 0, :3] = 1  # in the corner of the volume
    ct = Volume(np.where(labels == 2, 30, np.where(labels == 1, 700, -850)), grid())
    second, first = measure_candidates(ct, labels, [2, 1])
    assert second == measure(ct, labels == 2)
    assert (second.volume_mm3, second.mean_hu, second.calcified_share) == ((labels == 2).sum(), 30, 0)
    assert (first.volume_mm3, first.mean_hu, first.calcified_share) == (3, 700, 1)
    with pytest.raises(LunglineError, match="no voxel of the label map has the label 3"):
        measure_candidates(ct, labels, [3])


def blurred(parts) -> Volume:
    """Lung at -850 HU with balls (diameter mm, HU) around the middle, as a scanner blurs them."""
    hu = np.full(SHAPE, -850.0)
    for diameter_mm, value in parts:
        hu[ball(diameter_mm)] = value
    return Volume(ndimage.gaussian_filter(hu, 0.7), grid())


@pytest.mark.parametrize("outlined_mm", [0, 3])
@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([(6, 40)], "solid"),
        ([(20, 40)], "solid"),
        ([(8, -620)], "ground-glass"),
        ([(20, -550)], "ground-glass"),
        ([(16, -600), (11, 30)], "part-solid"),
        ([(12, 40), (5, 800)], "solid"),
    ],
)
def test_the_attenuation_is_that_of_the_core_however_generous_the_outline(parts, kind, outlined_mm) -> None:
    assert measure(blurred(parts), ball(parts[0][0] + outlined_mm)).attenuation == kind


def test_what_is_too_thin_for_a_core_has_no_attenuation_that_a_reader_would_believe() -> None:
    one = np.zeros(SHAPE, bool)
    one[20, 22, 24] = True
    for parts in ([(10, 40)], []):
        found = measure(blurred(parts), one)
        assert (found.attenuation, found.core_voxels) == ("indeterminate", 0)
    manifest = np.zeros(SHAPE, bool)
    manifest[20:22, 15:30, 15:30] = True  # two slices thick: every voxel is at its surface
    assert measure(blurred([(20, 40)]), manifest).attenuation == "indeterminate"


def test_the_density_of_the_core_agrees_with_the_type_where_that_of_the_outline_does_not() -> None:
    """An outline that is 3 mm too wide is mostly lung: -446 HU and "solid" stood side by side."""
    found = measure(blurred([(10, 40)]), ball(15))
    assert found.mean_hu < -400
    assert found.attenuation == "solid"
    assert found.core_hu > -150
