"""Candidates against the slow and obvious way, and against the defects of the authors' code."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from lungline.detection.candidates import (
    cluster,
    crop_cube,
    extract_candidates,
    rank_again,
    rank_map,
    read_candidates,
    write_candidates,
)
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume


def blobs(seed=0, shape=(40, 50, 45)) -> Volume:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return Volume(smooth.astype(np.float32), geometry.make_affine((1, 1, 1), (-30, 12, 400)))


@pytest.mark.parametrize("threshold", [0.6, 0.75, 0.8])
def test_sums_and_centroids_equal_regionprops(threshold):
    probability = blobs()
    labels, n = ndimage.label(probability.array >= threshold, structure=np.ones((3, 3, 3)))
    double = probability.array.astype(np.float64)
    regions = regionprops(labels, intensity_image=double)
    expected = sorted(((r.image_intensity.sum(), r.centroid_weighted, r.area) for r in regions), key=lambda r: -r[0])[
        :20
    ]
    found, _ = extract_candidates(probability, threshold=threshold, count=20)
    assert len(found) == min(20, n)
    for candidate, (total, centroid, area) in zip(found, expected, strict=True):
        assert candidate.sum_probability == pytest.approx(total, abs=1e-6)
        np.testing.assert_allclose(candidate.centroid_zyx, centroid, atol=1e-6)
        assert candidate.n_voxels == area
        np.testing.assert_allclose(
            candidate.centroid_xyz_mm, geometry.voxel_to_world(probability.affine, centroid), atol=1e-6
        )


def test_nothing_is_invented_when_there_are_fewer_than_twenty():
    array = np.zeros((20, 20, 20), np.float32)
    array[4:7, 4:7, 4:7] = 0.9
    found, labels = extract_candidates(Volume(array, geometry.make_affine((1, 1, 1))), threshold=0.8)
    assert [c.rank for c in found] == [1]
    assert found[0].centroid_zyx == pytest.approx((5, 5, 5))
    assert np.array_equal(labels.array, array > 0)
    found, labels = extract_candidates(Volume(np.zeros((5, 5, 5), np.float32), np.eye(4)), threshold=0.8)
    assert found == []
    assert not labels.array.any()


def test_a_voxel_at_the_threshold_belongs_to_a_cluster():
    array = np.zeros((5, 5, 5), np.float32)
    array[2, 2, 2] = 0.8
    assert len(extract_candidates(Volume(array, np.eye(4)), threshold=0.8)[0]) == 1


def joined_nodules() -> Volume:
    """Two peaks of 0.95 on a bridge of 0.5, beside a long thing of 0.6 that has one peak at most."""
    array = np.zeros((24, 24, 40), np.float32)
    array[11:14, 11:14, 3:30] = 0.5
    array[10:15, 10:15, 4:9] = array[10:15, 10:15, 24:29] = 0.95
    array[2:5, 2:5, 2:38] = 0.6
    return Volume(array, np.eye(4))


def test_a_cluster_of_two_peaks_is_taken_apart_and_one_without_is_not():
    whole, _ = extract_candidates(joined_nodules(), threshold=0.3)
    apart, _ = extract_candidates(joined_nodules(), threshold=0.3, split=True)
    assert [round(c.x) for c in whole] == [16, 20]  # the bridge with its two nodules first: the largest sum
    assert sorted(round(c.x) for c in apart) == [6, 20, 26]
    assert {c.n_voxels for c in apart} == {125, 324}


def test_splitting_never_joins_and_never_leaves_the_threshold():
    array = blobs(seed=3).array
    whole, apart = np.zeros_like(array, dtype=int), np.zeros_like(array, dtype=int)
    for volume, split in ((whole, False), (apart, True)):
        inside, number = cluster(array, 0.5, split=split)
        volume.ravel()[inside] = number
    assert apart.max() > whole.max()
    assert not apart[array < 0.5].any()
    assert np.array_equal(np.unique(apart), np.arange(apart.max() + 1))
    for number in range(1, apart.max() + 1):
        assert len(np.unique(whole[apart == number])) == 1


def test_the_mean_puts_a_small_sure_cluster_before_a_large_faint_one():
    by_sum, by_mean = (
        extract_candidates(joined_nodules(), threshold=0.3, split=True, rank_by=r)[0] for r in ("sum", "mean")
    )
    assert (round(by_sum[0].x), by_sum[0].score) == (20, by_sum[0].sum_probability)
    assert (round(by_mean[0].x), by_mean[0].score) == (6, by_mean[0].mean_probability)


def test_ranking_again_orders_by_the_new_scores_and_cuts():
    found, _ = extract_candidates(joined_nodules(), threshold=0.3, split=True)
    again = rank_again(found, [0.1, 0.9, 0.9], 2)
    assert [(c.rank, c.score) for c in again] == [(1, 0.9), (2, 0.9)]
    assert [c.x for c in again] == [found[1].x, found[2].x]
    assert [c.label for c in again] == [2, 3]


def test_candidates_survive_the_csv(tmp_path):
    found, _ = extract_candidates(blobs(), threshold=0.7)
    write_candidates(tmp_path / "c.csv", "scan-1", found)
    back = read_candidates(tmp_path / "c.csv")
    assert len(back) == len(found)
    np.testing.assert_allclose([c.centroid_xyz_mm for c in back], [c.centroid_xyz_mm for c in found], rtol=1e-8)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LunglineError, match="expected the columns"):
        read_candidates(tmp_path / "bad.csv")


def test_a_cube_at_the_border_is_filled_with_air_and_not_shifted():
    array = np.arange(6 * 7 * 8, dtype=np.float32).reshape(6, 7, 8)
    cube = crop_cube(array, (0.2, 6.4, 3.0), size=4, outside=-1.0)
    assert cube[2, 2, 2] == array[0, 6, 3]
    assert (cube[:2] == -1).all()
    assert (cube[:, 3] == -1).all()
    far = crop_cube(array, (100, 100, 100), size=4, outside=-1.0)
    assert (far == -1).all()


@pytest.mark.parametrize("split", [False, True])
def test_a_candidate_keeps_the_voxels_of_the_cluster_it_came_from(tmp_path, split):
    probability = blobs(3)
    found, labels = extract_candidates(probability, threshold=0.6, count=9, split=split)
    write_candidates(tmp_path / "c.csv", "s", found)
    kept = read_candidates(tmp_path / "c.csv")
    again = rank_again(kept, [c.mean_probability for c in kept], 5)
    ranks = rank_map(labels, again)
    assert set(np.unique(labels.array)) == {0, *range(1, 10)}
    assert set(np.unique(ranks.array)) == {0, *range(1, 6)}
    for candidate in again:
        inside = labels.array == candidate.label
        assert np.array_equal(ranks.array == candidate.rank, inside)
        assert np.count_nonzero(inside) == candidate.n_voxels
        assert probability.array[inside].mean() == pytest.approx(candidate.mean_probability, rel=1e-6)
        middle = ndimage.center_of_mass(np.where(inside, probability.array.astype(float), 0))
        np.testing.assert_allclose(middle, candidate.centroid_zyx, atol=1e-6)


@pytest.mark.parametrize(("count", "dtype"), [(20, np.uint8), (400, np.uint16)])
def test_labels_are_the_smallest_unsigned_integers_that_hold_them_all(count, dtype):
    found, labels = extract_candidates(blobs(shape=(80, 90, 90)), threshold=0.65, count=count)
    assert len(found) == count
    assert labels.array.dtype == dtype
    assert labels.array.max() == count


def test_a_candidate_that_the_label_map_lacks_is_refused():
    found, _ = extract_candidates(blobs(), threshold=0.7)
    _, other = extract_candidates(blobs(), threshold=0.7, count=1)
    with pytest.raises(LunglineError, match="candidate 2: no voxel of the label map has its label 2"):
        rank_map(other, found)
