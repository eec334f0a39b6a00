"""Masks by others: what their labels mean, and what is said of one that does not lie on the scan."""

import numpy as np
import pytest

from lungline.errors import LunglineError
from lungline.imaging.geometry import make_affine
from lungline.imaging.given_masks import on_the_grid, refuse_misplaced, sides_or_lobes
from lungline.imaging.volume import Volume

GRID = make_affine((2.5, 0.7, 0.8), (-30.0, -40.0, 10.0))
LUNGS = np.zeros((12, 30, 40), bool)
LUNGS[4:11, 4:20, 4:15] = LUNGS[4:11, 6:18, 24:36] = True
LUNGS[4:6, 2:6, 24:30] = True


def ct() -> Volume:
    return Volume(np.where(LUNGS, -850, 40).astype(np.int16), GRID)


def numbered() -> np.ndarray:
    return np.where(LUNGS, np.where(np.arange(40) < 20, 1, 2), 0).astype(np.int16)


@pytest.mark.parametrize(
    ("labels", "what", "numbers"),
    [
        ([1], "lungs", [3]),
        ([1, 2], "lungs", [1, 2]),
        ([1, 2, 3, 4, 5], "lungs", [2, 2, 1, 1, 1]),
        ([1, 2, 3, 4, 5], "lobes", [1, 2, 3, 4, 5]),
        ([10, 11, 12, 13, 14], "lobes", [1, 2, 3, 4, 5]),
        ([10, 11, 12, 14], "lungs", [2, 2, 1, 1]),
        ([1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 51, 117], "lobes", [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0]),
    ],
)
def test_labels_of_lungmask_and_totalsegmentator_are_known(labels, what, numbers) -> None:
    found = sides_or_lobes(np.array([0, *labels], np.int16).reshape(1, 1, -1), what)
    assert found.ravel().tolist() == [0, *numbers]


@pytest.mark.parametrize(("labels", "what"), [([7], "lungs"), ([1, 2], "lobes"), ([1], "lobes"), ([1, 200], "lungs")])
def test_other_labels_are_named(labels, what) -> None:
    with pytest.raises(LunglineError, match=f"expected labels of lobes .* Found {labels[0]}"):
        sides_or_lobes(np.array([0, *labels], np.int16).reshape(1, 1, -1), what)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(LunglineError, match="it is empty"):
        sides_or_lobes(np.zeros((2, 3, 4), np.int16), "lungs")


def test_another_grid_is_refused_with_both_in_words() -> None:
    small = Volume(numbered()[:, ::2, ::2], make_affine((2.5, 1.4, 1.6), (-30.0, -40.0, 10.0)))
    expected = r"the grid of the scan, 40 x 30 x 12 voxels of 0\.8 x 0\.7 x 2\.5 mm\. Found 20 x 15 x 12 voxels of 1\.6"
    with pytest.raises(LunglineError, match=expected):
        on_the_grid(small, LUNGS.shape, GRID, is_part=False)
    moved = Volume(numbered(), make_affine((2.5, 0.7, 0.8), (-30.0, -35.0, 10.0)))
    with pytest.raises(LunglineError, match=r"the same size at another place, up to 5\.0 mm off"):
        on_the_grid(moved, LUNGS.shape, GRID, is_part=False)


def test_a_part_of_the_grid_is_put_in_its_place_where_slices_may_lack() -> None:
    part = Volume(numbered(), GRID).crop((slice(4, 11), slice(None), slice(3, 40)))
    found = on_the_grid(part, LUNGS.shape, GRID, is_part=True)
    np.testing.assert_array_equal(found.array, np.where(np.arange(40) >= 3, numbered(), 0))
    with pytest.raises(LunglineError, match="the grid of the scan"):
        on_the_grid(part, LUNGS.shape, GRID, is_part=False)


def test_a_mask_in_its_place_is_taken() -> None:
    refuse_misplaced(numbered().astype(np.uint8), ct(), (2,), (1,))


@pytest.mark.parametrize(
    ("axis", "words"), [(2, "left and right"), (1, "front and back"), (0, "head and feet")], ids=["x", "y", "z"]
)
def test_a_mirrored_mask_is_refused(axis, words) -> None:
    with pytest.raises(LunglineError, match=f"with {words} exchanged"):
        refuse_misplaced(np.flip(LUNGS, axis).astype(np.uint8), ct(), (2,), (1,))


def test_labels_of_the_other_side_are_refused() -> None:
    exchanged = np.array([0, 2, 1], np.uint8)[numbered()]
    with pytest.raises(LunglineError, match="Left and right are exchanged"):
        refuse_misplaced(exchanged, ct(), (2,), (1,))


def test_a_mask_that_lies_on_tissue_is_refused() -> None:
    with pytest.raises(LunglineError, match="only 0 % of it are as dark as lung"):
        refuse_misplaced(LUNGS.astype(np.uint8), Volume(np.full(LUNGS.shape, 40, np.int16), GRID), (2,), (1,))
