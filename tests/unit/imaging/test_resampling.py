"""Resampling keeps everything where it was, and is scipy's cubic spline at the same positions."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from threadpoolctl import threadpool_limits

from lungline.errors import GeometryError
from lungline.imaging import geometry
from lungline.imaging.resampling import apply_operators, resample, spline_operator
from lungline.imaging.resizing import triangle_operator
from lungline.imaging.volume import Volume


def noise(shape=(14, 41, 37), spacing=(2.5, 0.7, 0.63)) -> Volume:
    rng = np.random.default_rng(5)
    return Volume(rng.integers(-1024, 2000, shape).astype(np.int16), geometry.make_affine(spacing, (-90, 30.5, 700)))


@pytest.mark.parametrize("spacing", [(2.5, 0.7, 0.63), (0.8, 1.0, 1.7), (5.0, 0.5, 0.9)])
def test_resample_equals_scipys_spline_at_the_same_positions(spacing):
    ct = noise(spacing=spacing)
    fine = resample(ct, spacing_mm=1.0)
    positions = geometry.voxel_to_world(fine.affine, np.moveaxis(np.indices(fine.shape_zyx), 0, -1))
    index = np.moveaxis(geometry.world_to_voxel(ct.affine, positions), -1, 0)
    expected = map_coordinates(ct.array.astype(np.float64), index, order=3, mode="mirror")
    assert np.abs(fine.array - expected).max() < 0.001


def test_the_new_grid_is_exact_and_its_outer_edge_stays():
    ct = noise()
    fine = resample(ct, spacing_mm=1.0)
    np.testing.assert_allclose(fine.spacing_zyx_mm, 1.0, atol=1e-12)
    assert fine.shape_zyx == tuple(round(n * s) for n, s in zip(ct.shape_zyx, (2.5, 0.7, 0.63), strict=True))
    np.testing.assert_allclose(
        geometry.voxel_to_world(fine.affine, (-0.5, -0.5, -0.5)), geometry.voxel_to_world(ct.affine, (-0.5, -0.5, -0.5))
    )


def test_the_number_of_threads_changes_no_bit():
    hu = np.random.default_rng(4).normal(-700, 300, (60, 90, 100)).astype(np.int16)
    ct = Volume(hu, geometry.make_affine((1.25, 0.7, 0.7), (0, 0, 0)))
    with threadpool_limits(1, user_api="blas"):
        alone = resample(ct)
    with threadpool_limits(2, user_api="blas"):
        assert np.array_equal(resample(ct).array, alone.array)


def test_resample_keeps_a_bead_where_it_was():
    """The zoom trap: scipy's zoom moves a bead at 90 mm by more than a millimetre."""
    shape, spacing = (40, 60, 50), (2.5, 0.7, 0.9)
    affine = geometry.make_affine(spacing, (10, 20, 30))
    bead_zyx = np.array([33.0, 12.0, 41.0])
    distance = np.linalg.norm((np.moveaxis(np.indices(shape), 0, -1) - bead_zyx) * spacing, axis=-1)
    fine = resample(Volume(1000 * np.exp(-((distance / 3) ** 2)), affine), spacing_mm=1.0)
    weights = np.clip(fine.array, 0, None)
    found_zyx = [float((weights * grid).sum() / weights.sum()) for grid in np.indices(fine.shape_zyx)]
    expected = geometry.voxel_to_world(affine, bead_zyx)
    np.testing.assert_allclose(geometry.voxel_to_world(fine.affine, found_zyx), expected, atol=0.05)


def test_a_grid_that_is_right_already_is_left_alone():
    ct = Volume(noise().array, geometry.make_affine((1, 1, 1)))
    np.testing.assert_allclose(resample(ct, spacing_mm=1.0).array, ct.array, atol=1e-3)


def test_a_single_slice_can_be_resampled():
    ct = Volume(np.full((1, 8, 8), 40, np.int16), geometry.make_affine((5, 1, 1)))
    fine = resample(ct)
    assert fine.shape_zyx == (5, 8, 8)
    np.testing.assert_allclose(fine.array, 40, atol=1e-3)


def test_a_spacing_of_zero_is_refused():
    with pytest.raises(GeometryError, match="positive"):
        resample(noise(), spacing_mm=0.0)


@pytest.mark.parametrize("new_zyx", [(70, 31, 260), (5, 90, 33), (300, 1, 7)])
def test_the_blocks_of_the_operators_give_the_whole_products(new_zyx):
    """The obvious way: every old voxel times its three factors. Axes longer than a block, finer, coarser, and gaps."""
    array = np.random.default_rng(1).integers(-1024, 3071, (60, 90, 200)).astype(np.int16)
    for operator_of in (
        triangle_operator,
        lambda n_in, n_out: spline_operator(n_in, n_out, (n_in / n_out - 1) / 2, n_in / n_out),
    ):
        operators = [operator_of(n_in, n_out) for n_in, n_out in zip(array.shape, new_zyx, strict=True)]
        expected = np.einsum("iz,jy,kx,zyx->ijk", *operators, array.astype(np.float64), optimize=True)
        found = apply_operators(operators, array, np.float32(1000))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-3)
