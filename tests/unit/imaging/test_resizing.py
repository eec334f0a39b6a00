"""Resizing to a cube: positions, means and borders, against PyTorch's anti-aliased interpolation."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from lungline.imaging import geometry
from lungline.imaging.resizing import resize, triangle_operator
from lungline.imaging.volume import Volume


@pytest.mark.parametrize("size", [5, 16, 40])  # 29 x 23: smaller, smaller, larger
def test_a_slice_is_resized_as_pytorch_does_it_with_antialiasing(size):
    image = np.random.default_rng(0).random((29, 23)).astype(np.float32)
    ours = triangle_operator(29, size) @ image @ triangle_operator(23, size).T
    theirs = interpolate(
        torch.from_numpy(image)[None, None], size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=1e-5)


def test_a_blob_stays_where_it_was():
    affine = geometry.make_affine((2.0, 1.5, 1.0), (10.0, -20.0, 30.0))
    shape, centre = (48, 40, 60), np.array([20.0, 17.0, 41.0])
    grid = np.indices(shape) - centre[:, None, None, None]
    small = resize(Volume(np.exp(-(grid**2).sum(0) / 2 / 5**2).astype(np.float32), affine), 24)
    assert small.shape_zyx == (24, 24, 24)
    mass = small.array / small.array.sum()
    found = [float((mass.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(24)).sum()) for axis in range(3)]
    expected = geometry.voxel_to_world(affine, centre)
    np.testing.assert_allclose(geometry.voxel_to_world(small.affine, found), expected, atol=0.3)


def test_what_is_constant_stays_constant_and_edges_coincide():
    volume = Volume(np.full((9, 31, 14), 0.25, np.float32), geometry.make_affine((1.0, 1.0, 1.0)))
    small = resize(volume, 12)
    np.testing.assert_allclose(small.array, 0.25, rtol=1e-6)
    corner = geometry.voxel_to_world(volume.affine, np.array([-0.5, -0.5, -0.5]))
    np.testing.assert_allclose(geometry.voxel_to_world(small.affine, np.array([-0.5, -0.5, -0.5])), corner, atol=1e-9)
    far = geometry.voxel_to_world(volume.affine, np.array(volume.shape_zyx) - 0.5)
    np.testing.assert_allclose(geometry.voxel_to_world(small.affine, np.full(3, 11.5)), far, atol=1e-9)
