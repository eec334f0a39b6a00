"""Outlines in the scan: right on phantoms whatever the label map's border, and no farther than the label map allows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import size_candidates
from lungline.nodules.outlines import REACH_MM, outline
from lungline.nodules.sizes import axes_of

LUNG_HU = -860.0
CENTRE = np.array([14.2, 15.1, 14.7])


def scanned(shapes, spacing_zyx_mm, noise_hu: float = 20.0) -> Volume:
    """Lung with ellipsoids (semi-axes z, y, x in mm, centre z, y, x, HU), as a scanner with such voxels shows them."""
    spacing, fine = np.array(spacing_zyx_mm), 3
    shape = np.ceil(30 / spacing).astype(int)
    index = np.moveaxis(np.indices(shape * fine), 0, -1)
    place = (index + 0.5) / fine * spacing
    hu = np.full(shape * fine, LUNG_HU)
    for semi, centre, value in shapes:
        hu[(((place - centre) / semi) ** 2).sum(axis=-1) <= 1] = value
    hu = ndimage.gaussian_filter(hu, [0.0, *(0.5 / spacing[1:] * fine)])
    hu = hu.reshape(shape[0], fine, shape[1], fine, shape[2], fine).mean(axis=(1, 3, 5))
    noise = np.random.default_rng(0).normal(0, noise_hu, hu.shape)
    return Volume((hu + noise).astype(np.float32), geometry.make_affine(spacing, 0.5 * spacing[::-1]))


def labelled(ct: Volume, semi, centre=CENTRE, wrong_mm: float = 0.0) -> np.ndarray:
    """A label map on the grid of `ct` whose border is `wrong_mm` outside."""
    place = geometry.voxel_to_world(ct.affine, np.moveaxis(np.indices(ct.shape_zyx), 0, -1))[..., ::-1]
    return (((place - centre) / (np.array(semi) + wrong_mm)) ** 2).sum(axis=-1) <= 1


@pytest.mark.parametrize("hu", [40.0, -600.0])
@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (1.25, 0.6, 0.8), (2.5, 0.7, 0.7)])
@pytest.mark.parametrize("diameter_mm", [6, 8, 12, 16])
def test_axes_are_right_within_half_a_voxel_where_the_label_map_is_wrong_by_half_a_millimetre(
    hu, spacing, diameter_mm
) -> None:
    semi = np.array([0.9, 0.8, 1.0]) * diameter_mm / 2
    scan = scanned([(semi, CENTRE, hu)], spacing)
    ct = resample(scan)
    for wrong_mm in (-0.5, 0.5):
        labels = labelled(ct, semi, wrong_mm=wrong_mm).astype(np.uint8)
        (found,) = size_candidates(ct, labels, [1], scan)
        voxel = max(spacing)
        assert found.axes.long_mm == pytest.approx(2 * semi[2], abs=0.5 * voxel)
        assert found.axes.short_mm == pytest.approx(2 * semi[1], abs=0.5 * voxel)
        assert found.volume_mm3 == labels.sum()  # the one number of the label map


def test_the_grid_of_the_scan_is_taken_only_where_its_pixels_are_finer() -> None:
    scan = scanned([((5, 5, 5), CENTRE, 40.0)], (1.25, 0.7, 0.7))
    ct = resample(scan)
    labels = labelled(ct, (5, 5, 5)).astype(np.uint8)
    (fine,) = size_candidates(ct, labels, [1], scan)
    z = geometry.world_to_voxel(scan.affine, fine.axes.long_ends_xyz_mm)[:, 0]
    np.testing.assert_allclose(z, np.rint(z), atol=1e-6)  # in a slice of the scan
    coarse = scanned([((5, 5, 5), CENTRE, 40.0)], (1.25, 1.2, 1.2))
    (one,), (other,) = size_candidates(ct, labels, [1], coarse), size_candidates(ct, labels, [1])
    assert one.axes.long_mm == other.axes.long_mm


def test_a_border_moves_at_most_so_far_and_not_into_a_wall() -> None:
    far = scanned([((8, 8, 8), CENTRE, 40.0)], (0.7, 0.7, 0.7))
    ct = resample(far)
    small = ct.with_array(labelled(ct, (5, 5, 5)))
    drawn = outline(far, small)
    assert axes_of(drawn.array, far.affine).long_mm <= 10 + 2 * REACH_MM + 0.7
    wall = CENTRE + np.array([0, 0, 54.0])
    beside = scanned([((4, 4, 4), CENTRE, 40.0), ((50, 50, 50), wall, 40.0)], (0.7, 0.7, 0.7))
    ct = resample(beside)
    drawn = outline(beside, ct.with_array(labelled(ct, (4, 4, 4))))
    assert axes_of(drawn.array, beside.affine).long_mm == pytest.approx(8, abs=0.7)


def test_a_vessel_that_the_label_map_took_in_is_cut_off() -> None:
    ball, vessel = ((5, 5, 5), CENTRE, 40.0), ((1.2, 1.2, 14), CENTRE, 40.0)
    scan = scanned([ball, vessel], (0.7, 0.7, 0.7))
    ct = resample(scan)
    label = ct.with_array(labelled(ct, (5, 5, 5)) | labelled(ct, (1.2, 1.2, 12)))
    assert axes_of(label.array, ct.affine).long_mm > 20
    assert axes_of(outline(scan, label).array, scan.affine).long_mm == pytest.approx(10, abs=2)


def test_a_nodule_between_two_thick_slices_has_the_axes_of_its_label_map() -> None:
    scan = Volume(np.full((4, 40, 40), LUNG_HU, np.float32), geometry.make_affine((8.0, 0.7, 0.7)))
    ct = resample(scan)
    labels = np.zeros(ct.shape_zyx, np.uint8)
    labels[15:17, 12:16, 12:16] = 1
    (found,) = size_candidates(ct, labels, [1], scan)
    assert found.axes.long_mm == axes_of(labels == 1, ct.affine).long_mm
