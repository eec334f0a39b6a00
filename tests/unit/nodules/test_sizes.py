"""Sizes of ellipsoids of any direction on grids of any spacing, and of the solid part of part-solid phantoms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import CALCIFIED_HU
from lungline.nodules.sizes import SOLID_PART_HU, axes_of, mean_of_axes, measure_sizes, rounded, volume_of

TILTED = Rotation.from_euler("yx", [6, -4], degrees=True).as_matrix() @ np.eye(3)[::-1]
GRIDS = [
    pytest.param((0.6, 0.6, 0.6), None, id="fine"),
    pytest.param((1.25, 0.7, 0.7), None, id="slices of 1.25 mm"),
    pytest.param((1.0, 0.5, 0.8), None, id="unequal pixels"),
    pytest.param((1.0, 0.7, 0.7), TILTED, id="oblique"),
]


def ellipsoid(affine: NDArray, shape, centre_xyz, form: NDArray) -> NDArray[np.bool_]:
    """Voxels whose centre lies in the ellipsoid x' form x <= 1."""
    away = geometry.voxel_to_world(affine, np.moveaxis(np.indices(shape), 0, -1)) - centre_xyz
    return np.einsum("...i,ij,...j->...", away, form, away) <= 1


def draws(spacing, direction, diameter_mm: float, count: int = 40):
    """Random ellipsoids of this mean diameter: mask, affine, true long and short axis in a slice, true volume."""
    affine = geometry.make_affine(spacing, direction=geometry.LPS_DIRECTION if direction is None else direction)
    shape = [int(1.6 * diameter_mm / s) + 9 for s in spacing]
    in_plane = geometry.direction(affine)[:, 1:]
    for number in range(count):
        rng = np.random.default_rng([number, int(10 * diameter_mm)])
        semi = np.array([1, rng.uniform(0.75, 1), rng.uniform(0.65, 0.95)])
        semi *= diameter_mm / 2 / np.prod(semi) ** (1 / 3)
        turn = Rotation.random(random_state=number).as_matrix()
        form = turn @ np.diag(semi**-2.0) @ turn.T
        centre = geometry.voxel_to_world(affine, np.array(shape) / 2 + rng.uniform(-0.5, 0.5, 3))
        narrow, wide = np.linalg.eigvalsh(in_plane.T @ form @ in_plane)
        yield (
            ellipsoid(affine, shape, centre, form),
            affine,
            2 * narrow**-0.5,
            2 * wide**-0.5,
            4 / 3 * np.pi * np.prod(semi),
        )


@pytest.mark.parametrize("diameter_mm", [6, 8, 12, 20])
@pytest.mark.parametrize(("spacing", "direction"), GRIDS)
def test_axes_are_right_within_half_a_voxel_and_the_volume_within_3_percent(spacing, direction, diameter_mm) -> None:
    errors, volumes = [], []
    for mask, affine, long, short, volume in draws(spacing, direction, diameter_mm):
        axes = axes_of(mask, affine)
        errors.append([axes.long_mm - long, axes.short_mm - short])
        volumes.append(volume_of(mask, affine) / volume - 1)
    voxel = max(spacing)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.3 * voxel  # no bias
    assert np.percentile(np.abs(errors), 90) <= 0.5 * voxel
    assert np.abs(errors).max() <= voxel
    assert abs(np.mean(volumes)) < 0.01
    assert np.percentile(np.abs(volumes), 80) <= 0.03


def test_the_axes_lie_in_one_slice_and_are_perpendicular() -> None:
    for mask, affine, *_ in draws((1.0, 0.7, 0.7), TILTED, 12, count=5):
        axes = axes_of(mask, affine)
        long, short = (ends[1] - ends[0] for ends in (axes.long_ends_xyz_mm, axes.short_ends_xyz_mm))
        assert long @ short == pytest.approx(0, abs=1e-9)
        assert np.linalg.norm(long) == pytest.approx(axes.long_mm)
        assert np.linalg.norm(short) == pytest.approx(axes.short_mm)
        ends = np.concatenate([axes.long_ends_xyz_mm, axes.short_ends_xyz_mm])
        assert np.allclose(geometry.world_to_voxel(affine, ends)[:, 0], axes.slice_index)


def test_the_slice_is_that_of_the_longest_axis_and_not_of_the_largest_area() -> None:
    mask = np.zeros((9, 40, 40), bool)
    mask[2, 8:28, 8:28] = True
    mask[6, 18:23, 2:38] = True
    axes = axes_of(mask, geometry.make_affine((1, 1, 1)))
    assert axes.slice_index == 6
    assert axes.long_mm == pytest.approx(36, abs=1)
    assert axes.short_mm == pytest.approx(5, abs=1)


def test_the_short_axis_is_the_longest_across_the_long_one() -> None:
    mask = np.zeros((1, 40, 60), bool)
    mask[0, 18:22, 5:55] = True  # 50 x 4 mm
    mask[0, 10:30, 12:18] = True  # and far from its middle 20 mm high
    axes = axes_of(mask, geometry.make_affine((1, 1, 1)))
    assert axes.long_mm == pytest.approx(51, abs=1.5)
    assert axes.short_mm == pytest.approx(19, abs=1.5)


def test_one_voxel_has_the_size_of_its_pixel() -> None:
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 2, 3] = True
    axes = axes_of(mask, geometry.make_affine((2.0, 0.7, 0.7)))
    assert (axes.long_mm, axes.short_mm) == (pytest.approx(0.7), pytest.approx(0.7))


def test_means_are_rounded_as_the_rules_say() -> None:
    assert rounded(mean_of_axes(6.3, 5.1), 1) == 5.7
    assert rounded(mean_of_axes(6.3, 5.1), 0) == 6
    assert rounded(mean_of_axes(6.04, 5.84), 1) == 5.9
    assert (rounded(2.5, 0), rounded(0.25, 1), rounded(5.95, 1), rounded(5.949999999, 1)) == (3, 0.3, 6.0, 6.0)


def phantom(outer_mm: float, solid_mm: float, spacing=(1.0, 0.7, 0.7), noise_hu: float = 20.0, seed: int = 0):
    """A ground-glass ball of -600 HU with a solid ball of 30 HU in it, off its middle; blurred; and the outline."""
    affine, rng = geometry.make_affine(spacing), np.random.default_rng(seed)
    shape = [int(outer_mm / s) + 13 for s in spacing]
    centre = geometry.voxel_to_world(affine, np.array(shape) / 2 + rng.uniform(-0.5, 0.5, 3))
    aside = rng.normal(size=3)
    aside *= (outer_mm - solid_mm) / 4 / np.linalg.norm(aside)
    outer = ellipsoid(affine, shape, centre, np.eye(3) * (2 / outer_mm) ** 2)
    inner = ellipsoid(affine, shape, centre + aside, np.eye(3) * (2 / solid_mm) ** 2)
    hu = np.where(inner, 30.0, np.where(outer, -600.0, -860.0))
    hu = ndimage.gaussian_filter(hu, [0.6 / s for s in spacing]) + rng.normal(0, noise_hu, shape)
    return Volume(hu.astype(np.float32), affine), outer


@pytest.mark.parametrize("solid_mm", [4, 6, 8, 10])
def test_the_solid_part_is_right_within_a_millimetre(solid_mm) -> None:
    for seed in range(8):
        ct, outline = phantom(16, solid_mm, seed=seed)
        found = measure_sizes(ct, outline, calcified_hu=CALCIFIED_HU)
        assert found.solid is not None
        assert found.solid.axes.mean_mm == pytest.approx(solid_mm, abs=1.0)
        assert found.solid.volume_mm3 == pytest.approx(np.pi / 6 * solid_mm**3, rel=0.25)
        assert found.axes.mean_mm == pytest.approx(16, abs=0.7)


def test_a_grain_apart_from_the_solid_part_does_not_count_to_it() -> None:
    ct, outline = phantom(16, 6, noise_hu=0)
    plain = measure_sizes(ct, outline, calcified_hu=CALCIFIED_HU).solid
    far = next(index for index in np.argwhere(outline) if (ct.array[tuple(index)] < -550))
    ct.array[tuple(far)] = SOLID_PART_HU
    grained = measure_sizes(ct, outline, calcified_hu=CALCIFIED_HU).solid
    assert plain is not None
    assert grained is not None
    assert grained.volume_mm3 == plain.volume_mm3


def test_pure_ground_glass_has_no_solid_part_and_densities_are_those_of_the_outline() -> None:
    ct, outline = phantom(12, 0.1, noise_hu=0)
    found = measure_sizes(ct, outline, calcified_hu=CALCIFIED_HU)
    inside = ct.array[outline].astype(float)
    assert found.solid is None
    assert (found.mean_hu, found.sd_hu) == (pytest.approx(inside.mean()), pytest.approx(inside.std()))
    assert found.percentiles_hu[2] == pytest.approx(np.median(inside))
    assert found.calcified_share == 0
    ct.array[outline] = CALCIFIED_HU
    assert measure_sizes(ct, outline, calcified_hu=CALCIFIED_HU).calcified_share == 1


def test_a_mask_without_voxels_or_of_another_grid_is_refused() -> None:
    ct, outline = phantom(8, 2)
    with pytest.raises(LunglineError, match="Found an empty one"):
        measure_sizes(ct, np.zeros_like(outline), calcified_hu=CALCIFIED_HU)
    with pytest.raises(LunglineError, match="Found shape"):
        measure_sizes(ct, outline[1:], calcified_hu=CALCIFIED_HU)
