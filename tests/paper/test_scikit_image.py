"""What the paper computes with scikit-image is what our faster ways compute."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops_table

from lungline.detection.candidates import extract_candidates
from lungline.imaging import geometry
from lungline.imaging.morphology import label_pieces, label_slices
from lungline.imaging.volume import Volume

PROPERTIES = ("area", "intensity_mean", "intensity_max", "centroid_weighted")


@pytest.fixture(scope="module")
def probability() -> Volume:
    """A smooth field of 0..1 with some 250 clusters, some of which touch by a corner only."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(40, 52, 64)), 1.3)
    array = (1 / (1 + np.exp(-8 * noise / noise.std() + 14))).astype(np.float16)
    return Volume(array, geometry.make_affine((1.0, 1.0, 1.0), (-20.0, 30.0, 7.0)))


def clusters_by_scikit_image(probability: Volume, threshold: float) -> pd.DataFrame:
    """Section 4.2 word by word: label the voxels above the threshold, sum the probability, strongest first."""
    values = probability.array.astype(np.float64)
    clusters = label(values >= np.float32(threshold), connectivity=3)
    table = pd.DataFrame(regionprops_table(clusters, intensity_image=values, properties=PROPERTIES))
    table["sum"] = table["area"] * table["intensity_mean"]
    order = ["sum", *(f"centroid_weighted-{axis}" for axis in range(3))]  # equal sums by position
    return table.sort_values(order, ascending=[False, True, True, True], ignore_index=True)


def test_candidates_are_the_clusters_of_label_and_regionprops_table(probability) -> None:
    found = pd.DataFrame(extract_candidates(probability, threshold=0.8, count=1000)[0])
    wanted = clusters_by_scikit_image(probability, 0.8)
    assert len(found) == len(wanted) > 200
    assert found["n_voxels"].tolist() == wanted["area"].tolist()
    for ours, theirs in zip(
        ("sum_probability", "mean_probability", "max_probability", "z", "y", "x"),
        ("sum", "intensity_mean", "intensity_max", *(f"centroid_weighted-{axis}" for axis in range(3))),
        strict=True,
    ):
        np.testing.assert_allclose(found[ours], wanted[theirs], rtol=1e-9, err_msg=ours)


def same_pieces(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two labellings have the same pieces, whatever their numbers."""
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def test_pieces_in_space_and_in_slices_are_those_of_label(probability) -> None:
    mask = probability.array > 0.05
    pieces, counts = label_pieces(mask)
    wanted = label(mask, connectivity=1)
    assert wanted.max() > 40
    assert same_pieces(pieces, wanted)
    assert sorted(counts) == sorted(np.bincount(wanted.ravel()))
    for ours, one in zip(label_slices(mask), mask, strict=True):
        assert same_pieces(ours, label(one, connectivity=1))


def test_pieces_that_touch_by_a_corner_tell_the_labellings_apart(probability) -> None:
    mask = probability.array > 0.05
    assert not same_pieces(label_pieces(mask)[0], label(mask, connectivity=3))
