"""How a scan was made is measured where it is known, and told where it is unlike the training."""

import numpy as np
import pytest

from lungline.imaging import geometry
from lungline.imaging.acquisition import describe_acquisition, ranges_of, unlike
from lungline.imaging.volume import Volume

SHAPE = (9, 40, 50)


def scan(noise_hu: float, spacing=(2.5, 0.7, 0.8), step_hu: float = 0.0) -> Volume:
    hu = np.random.default_rng(0).normal(40, noise_hu, SHAPE)
    hu[:, ::7] += step_hu  # edges
    hu[:, :, :10] = -850  # lung, of which nothing is measured
    return Volume(hu.astype(np.int16), geometry.make_affine(spacing))


@pytest.mark.parametrize("noise_hu", [8, 15, 25])
def test_noise_is_that_of_soft_tissue_and_spacing_that_of_the_grid(noise_hu) -> None:
    found = describe_acquisition(scan(noise_hu))
    assert found["noise_hu"] == pytest.approx(noise_hu, rel=0.1)
    assert (found["slice_mm"], found["pixel_mm"]) == (2.5, 0.8)
    assert describe_acquisition(scan(noise_hu, step_hu=60))["noise_hu"] == pytest.approx(noise_hu, rel=0.1)


def test_without_soft_tissue_there_is_no_noise_and_nothing_is_raised() -> None:
    empty = Volume(np.full((3, 4, 5), -1000, np.int16), geometry.make_affine((1, 1, 1)))
    assert describe_acquisition(empty)["noise_hu"] == 0


def test_a_scan_is_unlike_only_beyond_the_range_and_says_in_what() -> None:
    ranges = ranges_of([{"slice_mm": s, "pixel_mm": 0.7, "noise_hu": 20.0} for s in (1.0, 1.25, 1.5, 2.0, 2.5)])
    like = {"slice_mm": 3.1, "pixel_mm": 0.6, "noise_hu": 16.5}
    assert unlike(like, ranges) == ""
    assert unlike({**like, "slice_mm": 5.0}, ranges) == "slices are 5 mm apart, in the training 1 to 2.5"
    assert unlike({**like, "slice_mm": 0.5, "noise_hu": 60}, ranges).count(";") == 1
    assert unlike(like, {}) == unlike({}, ranges) == ""


def test_voxels_that_are_cubes_were_resampled_and_say_nothing() -> None:
    cubes = {"slice_mm": 1.0, "pixel_mm": 1.0, "noise_hu": 20.0}
    scanned = {"slice_mm": 5.0, "pixel_mm": 0.7, "noise_hu": 20.0}
    assert unlike(scanned, ranges_of([cubes] * 5)) == ""
    assert unlike(cubes, ranges_of([scanned] * 5)) == ""
    assert unlike({**scanned, "slice_mm": 1.0}, ranges_of([scanned] * 5)) != ""


def test_a_handful_of_scans_has_no_range() -> None:
    assert ranges_of([{"slice_mm": 1.0, "pixel_mm": 0.7, "noise_hu": 20.0}] * 4) == {}
    assert ranges_of([{"slice_mm": 1.0}] * 9) == {}
