"""Distance of nodules from the pleura."""

import numpy as np
import pytest

from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.location import distances_from_pleura


def test_the_distance_is_the_shortest_to_the_edge_of_the_lungs_and_0_beyond_it() -> None:
    lungs = np.zeros((40, 44, 48), bool)
    lungs[5:35, 6:40, 8:44] = True
    affine = geometry.make_affine((1.0, 1.0, 1.0), (-7.0, 3.0, 11.0))
    labels = np.zeros((30, 30, 30), np.uint8)  # a part of the lungs' grid, moved by 8, 9, 10 voxels
    labels[10:13, 12:15, 0:3] = 1  # x from 10 on: 2 voxels behind the first of the lungs
    labels[10:13, 12:15, 20] = 2
    labels[0:2, 29, 29] = 3  # y = 38, one before the last
    moved = Volume(labels, geometry.shift_origin(affine, (8, 9, 10)))
    assert distances_from_pleura(Volume(lungs, affine), moved, [1, 3, 2]) == pytest.approx([2.0, 1.0, 13.0])
    lungs[:, :, :12] = False  # the first lies half outside
    assert distances_from_pleura(Volume(lungs, affine), moved, [1]) == [0.0]
