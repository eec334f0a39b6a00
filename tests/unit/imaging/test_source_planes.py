"""Outlines on the slices of the source: at the same place, of the same size, whichever way the slices lie."""

import numpy as np
import pytest

from lungline.imaging import geometry
from lungline.imaging.source_planes import Plane, planes_of_grid, ranks_on_planes
from lungline.imaging.volume import Volume

SHAPE, ORIGIN = (40, 60, 90), (-50.0, -30.0, 100.0)
BALLS = {1: ((-21.0, 2.0, 112.0), 6.0), 2: ((22.0, -11.0, 125.0), 4.0)}  # (x, y, z) mm and radius, right and left
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
OBLIQUE = ((0.9397, 0.0, -0.3420), (0.1170, 0.9397, 0.3214))


def outline() -> Volume:
    grid = geometry.make_affine((1.0, 1.0, 1.0), ORIGIN)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = geometry.voxel_to_world(grid, index)
    ranks = np.zeros(SHAPE, np.int64)
    for rank, (centre, radius) in BALLS.items():
        ranks[np.linalg.norm(world - centre, axis=-1) <= radius] = rank
    return Volume(ranks, grid)


def stack(along_i, along_j, *, step_mm=1.5, spacing_mm=(0.9, 0.7), slices=60, shape=(110, 150)) -> list[Plane]:
    """Slices around the middle of the outline."""
    along_i, along_j = (np.array(a) / np.linalg.norm(a) for a in (along_i, along_j))
    middle = np.array(ORIGIN) + np.array(SHAPE[::-1]) / 2
    first = middle - along_j * spacing_mm[0] * shape[0] / 2 - along_i * spacing_mm[1] * shape[1] / 2
    depths = (np.arange(slices) - slices / 2) * step_mm
    normal = np.cross(along_i, along_j)
    return [Plane(shape, first + depth * normal, along_i * spacing_mm[1], along_j * spacing_mm[0]) for depth in depths]


@pytest.mark.parametrize(
    ("along_i", "along_j"),
    [AXIAL, ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), OBLIQUE],
    ids=["axial", "reversed", "prone", "oblique"],
)
def test_a_candidate_lies_where_it_lay_and_keeps_its_volume(along_i, along_j) -> None:
    planes = stack(along_i, along_j)
    marked = ranks_on_planes(outline(), planes)
    for rank, (centre, radius) in BALLS.items():
        k, j, i = np.nonzero(marked == rank)
        world = np.array([planes[n].world(row, column) for n, row, column in zip(k, j, i, strict=True)])
        np.testing.assert_allclose(world.mean(axis=0), centre, atol=0.5)
        assert len(k) * 1.5 * 0.9 * 0.7 == pytest.approx(np.pi * 4 / 3 * radius**3, rel=0.05)
    assert set(np.unique(marked)) == {0, 1, 2}


def test_every_marked_pixel_lies_in_the_voxel_of_its_candidate_and_no_other_does() -> None:
    ranks, planes = outline(), stack(*OBLIQUE, slices=20)
    marked = ranks_on_planes(ranks, planes)
    j, i = np.meshgrid(*map(np.arange, planes[0].shape_ji), indexing="ij")
    for plane, pixels in zip(planes, marked, strict=True):
        index = np.rint(geometry.world_to_voxel(ranks.affine, plane.world(j, i))).astype(int)
        within = np.all((index >= 0) & (index < SHAPE), axis=-1)
        there = np.where(within, ranks.array[tuple(np.clip(index, 0, np.array(SHAPE) - 1).T)].T, 0)
        np.testing.assert_array_equal(pixels, there)


def test_a_candidate_between_two_thick_slices_marks_the_nearest_pixel() -> None:
    marked = ranks_on_planes(outline(), stack(*AXIAL, step_mm=31.0, slices=3))
    assert [int((marked == rank).sum()) for rank in BALLS] == [1, 1]


def test_a_point_and_its_pixel_are_each_others_inverse() -> None:
    plane = stack(*OBLIQUE)[3]
    np.testing.assert_allclose(plane.index(plane.world(np.array([7.0]), np.array([11.0])))[0], (7, 11, 0), atol=1e-9)


def test_only_the_ranks_that_are_asked_for_are_marked() -> None:
    assert set(np.unique(ranks_on_planes(outline(), stack(*AXIAL), [2]))) == {0, 2}


def test_the_planes_of_a_grid_are_those_of_its_slices() -> None:
    grid = geometry.make_affine((1.5, 0.9, 0.7), (-50.0, -30.0, 101.0))
    marked = ranks_on_planes(outline(), planes_of_grid((20, 66, 128), grid))
    for rank, (centre, _) in BALLS.items():
        middle = geometry.voxel_to_world(grid, np.argwhere(marked == rank).mean(axis=0))
        np.testing.assert_allclose(middle, centre, atol=0.5)


def test_a_pixel_on_the_border_of_two_voxels_does_not_depend_on_the_last_digits_of_its_place() -> None:
    ranks = outline()  # voxels of 1 mm: slices 2 mm apart lie on their borders
    marked = [
        ranks_on_planes(ranks, planes_of_grid((20, 60, 90), geometry.make_affine((2, 1, 1), (*ORIGIN[:2], z_mm))))
        for z_mm in (100.5, 100.5 - 1e-5, 100.5 + 1e-5)
    ]
    assert marked[0].any()
    for other in marked[1:]:
        np.testing.assert_array_equal(marked[0], other)
