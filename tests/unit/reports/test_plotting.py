"""A point in the scanner's world lands on its own pixel, and the patient's sides where radiologists look for them."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.reports.plotting import cut, nearest_index, on_plane, plot_mm, plot_plane, project

SHAPE = (9, 13, 17)


def straight(spacing=(2.5, 0.8, 0.7), origin=(-20.0, 30.0, 100.0)):
    return geometry.make_affine(spacing, origin)


def oblique():
    c, s = np.cos(0.2), np.sin(0.2)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return geometry.make_affine((2.5, 0.8, 0.7), (-20, 30, 100), turn @ geometry.LPS_DIRECTION)


def test_without_obliqueness_picture_coordinates_are_the_world():
    np.testing.assert_allclose(plot_mm(straight(), (3.0, -4.0, 55.0)), (55.0, -4.0, 3.0))


def test_horizontal_and_vertical_are_x_y_then_x_z_then_y_z():
    assert [on_plane(axis, (1, 2, 3)).tolist() for axis in range(3)] == [[3, 2], [3, 1], [2, 1]]


@pytest.mark.parametrize("affine", [straight(), oblique()])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("voxel", [(4, 6, 8), (1, 2, 14), (8, 0, 16)])
def test_a_bright_voxel_is_drawn_where_its_world_point_maps_to(affine, axis, voxel):
    array = np.zeros(SHAPE)
    array[voxel] = 1
    volume = Volume(array, affine)
    world = geometry.voxel_to_world(affine, voxel)
    assert nearest_index(volume, axis, world) == voxel[axis]
    figure = Figure(figsize=(6, 6), dpi=100)
    canvas = FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    plot_plane(panel, cut(volume, axis, voxel[axis]), cmap="gray", vmin=0, vmax=1)
    for letter in panel.texts:
        letter.set_visible(False)
    panel.axis("off")
    canvas.draw()
    wanted = panel.transData.transform(on_plane(axis, plot_mm(affine, world)))
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].min(axis=-1)
    inside = panel.get_window_extent()
    left, right, bottom, top = (int(v) for v in (inside.x0 + 1, inside.x1 - 1, inside.y0 + 1, inside.y1 - 1))
    rows, columns = np.nonzero(pixels[600 - top : 600 - bottom, left:right] > 128)
    found = (columns.mean() + left + 0.5, 600 - (rows.mean() + 600 - top + 0.5))
    np.testing.assert_allclose(found, wanted, atol=2)


def test_axial_slices_have_the_patients_right_on_the_left_and_the_front_on_top():
    volume = Volume(np.arange(np.prod(SHAPE)).reshape(SHAPE), straight())
    plane = cut(volume, 0, 3)
    left, right, bottom, top = plane.extent_mm
    assert left < right  # x grows to the patient's left
    assert top < bottom  # y grows to the back
    assert np.array_equal(plane.image, volume.array[3])


@pytest.mark.parametrize("axis", [1, 2])
def test_the_head_is_on_top(axis):
    volume = Volume(np.arange(np.prod(SHAPE)).reshape(SHAPE), straight())
    plane = cut(volume, axis, 5)
    assert plane.extent_mm[3] > plane.extent_mm[2]
    assert np.array_equal(plane.image, np.take(volume.array, 5, axis)[::-1])


def test_extents_reach_the_outer_edges_of_the_outer_voxels():
    plane = cut(Volume(np.zeros(SHAPE), straight()), 0, 0)
    np.testing.assert_allclose(plane.extent_mm, (-20.35, -20.35 + 17 * 0.7, 29.6 + 13 * 0.8, 29.6))
    assert plane.width_mm == pytest.approx(17 * 0.7)
    assert plane.height_mm == pytest.approx(13 * 0.8)


def test_pictures_have_true_proportions_axes_in_mm_and_letters():
    panel = Figure().add_subplot()
    plot_plane(panel, cut(Volume(np.zeros(SHAPE), straight()), 1, 0))
    assert panel.get_aspect() == 1
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("x, mm", "z, mm")
    assert [text.get_text() for text in panel.texts] == ["R", "L", "H", "F"]


def test_a_projection_is_the_sum_along_the_axis():
    array = np.random.default_rng(0).random(SHAPE).astype(np.float16)
    plane = project(Volume(array, straight()))
    np.testing.assert_allclose(plane.image, array.astype(np.float64).sum(axis=0))


def test_a_point_outside_gives_the_outermost_slice():
    volume = Volume(np.zeros(SHAPE), straight())
    assert nearest_index(volume, 0, (0, 0, -1e4)) == 0
    assert nearest_index(volume, 0, (0, 0, 1e4)) == SHAPE[0] - 1
