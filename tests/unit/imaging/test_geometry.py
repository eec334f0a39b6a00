"""Geometry is tested with unequal shape, unequal spacing, an oblique direction, against ITK's own transform."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from lungline.errors import GeometryError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume


def oblique() -> np.ndarray:
    """An orthonormal direction that is parallel to nothing; column k belongs to array axis k."""
    a, b = 0.3, -0.2
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return turn_z @ turn_x @ geometry.LPS_DIRECTION


def test_voxel_to_world_agrees_with_itk():
    affine = geometry.make_affine((2.5, 0.7, 0.63), (-120.5, 33.25, 801.0), oblique())
    image = sitk.Image(7, 11, 13, sitk.sitkInt16)  # x, y, z
    image.SetSpacing((0.63, 0.7, 2.5))
    image.SetOrigin((-120.5, 33.25, 801.0))
    image.SetDirection(oblique()[:, ::-1].ravel().tolist())
    for z, y, x in [(0, 0, 0), (12, 10, 6), (3, 7, 2)]:
        expected = image.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose(geometry.voxel_to_world(affine, (z, y, x)), expected, atol=1e-9)


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=3))
def test_world_to_voxel_is_the_inverse(point):
    affine = geometry.make_affine((1.25, 0.5, 0.9), (10, -20, 30), oblique())
    back = geometry.world_to_voxel(affine, geometry.voxel_to_world(affine, point))
    np.testing.assert_allclose(back, point, atol=1e-9)


@pytest.mark.parametrize(
    "spacing",
    [(0.0, 1, 1), (-1.0, 1, 1), (np.nan, 1, 1)],
)
def test_a_spacing_that_no_scanner_writes_is_refused(spacing):
    with pytest.raises(GeometryError, match="spacing"):
        geometry.make_affine(spacing)


def test_a_flat_affine_is_refused():
    affine = np.eye(4)
    affine[:3, 1] = affine[:3, 0]
    with pytest.raises(GeometryError, match="span space"):
        geometry.check_affine(affine)
    with pytest.raises(GeometryError, match="finite"):
        geometry.check_affine(np.full((4, 4), np.inf))
    with pytest.raises(GeometryError, match="shape"):
        geometry.check_affine(np.eye(3))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
def test_to_lps_keeps_every_voxel_where_it_was(order, signs):
    rng = np.random.default_rng(3)
    direction = oblique()[:, list(order)] * np.array(signs)
    volume = Volume(rng.normal(size=(4, 5, 6)), geometry.make_affine((2.0, 0.5, 0.8), (5, 6, 7), direction))
    turned = volume.to_lps()
    assert np.all(np.diag(geometry.LPS_DIRECTION.T @ geometry.direction(turned.affine)) > 0.5)
    for index in np.ndindex(volume.shape_zyx):
        world = geometry.voxel_to_world(volume.affine, index)
        there = tuple(np.rint(geometry.world_to_voxel(turned.affine, world)).astype(int))
        assert turned.array[there] == volume.array[index]


def test_a_crop_stays_in_its_place():
    volume = Volume(np.arange(60.0).reshape(3, 4, 5), geometry.make_affine((2.5, 0.7, 0.6), (1, 2, 3), oblique()))
    part = volume.crop((slice(1, 3), slice(2, 4), slice(1, 5)))
    np.testing.assert_allclose(
        geometry.voxel_to_world(part.affine, (0, 0, 0)), geometry.voxel_to_world(volume.affine, (1, 2, 1))
    )
    assert part.array[0, 0, 0] == volume.array[1, 2, 1]


def test_a_volume_refuses_what_is_not_one():
    with pytest.raises(GeometryError, match="three axes"):
        Volume(np.zeros((2, 2)), np.eye(4))
    with pytest.raises(GeometryError, match="same grid"):
        Volume(np.zeros((2, 2, 2)), np.eye(4)).with_array(np.zeros((2, 2, 3)))
