"""Crops for the U-Nets: the nodule is in the positive ones, and a step's batch depends on the step alone."""

import h5py
import numpy as np
import pytest

from lungline.config.entries import SliceSampling
from lungline.detection.slices import AXES, number_of
from lungline.errors import CorruptFileError, LunglineError
from lungline.imaging import geometry
from lungline.storage import hdf5
from lungline.storage.checksums import checksum_path
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.training.unet_task import SliceCrops, find_training_scans


@pytest.fixture
def folders(tmp_path):
    """Two scans whose HU encode the position, one with two nodules; one quarantined scan."""
    caches, masks = tmp_path / "caches", tmp_path / "masks"
    shape = (20, 30, 25)
    affine = geometry.make_affine((1, 1, 1))
    z, y, x = np.indices(shape)
    for scan, boxes in {
        "a": [(slice(2, 5), slice(3, 9), slice(20, 24))],
        "b": [(slice(12, 15),) * 3, (slice(1, 4),) * 3],
    }.items():
        nodules = np.zeros(shape, bool)
        for box in boxes:
            nodules[box] = True
        ct = (z * 30 + y - x).astype(np.int16)
        hdf5.write_file(caches / f"{scan}.h5", Header("ct", "t"), {"ct": Field(ct, "zyx", "HU", "", affine)})
        hdf5.write_file(masks / f"{scan}.h5", Header("m", "t"), {"nodules": Field(nodules, "zyx", "1", "", affine)})
    for folder in (caches, masks):
        hdf5.write_file(folder / "q.h5", Header("ct", "t", (Flag("Q_X"),)), {})
    return caches, masks


def test_a_quarantined_scan_is_left_out_and_nodules_are_found(folders):
    scans = find_training_scans(["a", "q", "b"], *folders)
    assert [(scan.scan, len(scan.boxes)) for scan in scans] == [("a", 1), ("b", 2)]
    assert scans[0].boxes[0] == (slice(2, 5), slice(3, 9), slice(20, 24))


@pytest.mark.parametrize("axis", AXES)
def test_every_positive_crop_shows_its_nodule_in_the_right_place(folders, axis):
    crops = SliceCrops(
        find_training_scans(["a", "b"], *folders), axis, 3, SliceSampling(crop=16, positive_share=1.0), seed=1
    )
    images, labels = crops.batch(step=4, size=12)
    assert images.shape == (12, 3, 16, 16)
    assert labels.shape == (12, 1, 16, 16)
    assert (labels.sum(dim=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("axis", AXES)
def test_image_and_label_show_the_same_voxels(folders, axis):
    """Where the label is a nodule, the HU must be those of the nodule's voxels."""
    scans = find_training_scans(["a"], *folders)
    crops = SliceCrops(scans, axis, 1, SliceSampling(crop=32, positive_share=1.0), seed=2)
    box = scans[0].boxes[0]
    z, y, x = (np.arange(s.start, s.stop) for s in box)
    allowed = (z[:, None, None] * 30 + y[None, :, None] - x[None, None, :]).ravel()
    images, labels = crops.batch(step=0, size=6)
    hu = np.rint(images.numpy()[labels.numpy() > 0] * 1400 - 1000)
    assert set(hu.astype(int)) <= set(allowed.tolist())
    assert number_of(axis) in (0, 1, 2)


def test_negative_crops_come_from_anywhere(folders):
    crops = SliceCrops(find_training_scans(["a"], *folders), "z", 1, SliceSampling(crop=16, positive_share=0.0), seed=1)
    _, labels = crops.batch(step=0, size=40)
    assert (labels.sum(dim=(1, 2, 3)) == 0).sum() > 10


def test_a_batch_depends_on_the_seed_and_the_step_alone(folders):
    scans = find_training_scans(["a", "b"], *folders)
    first = SliceCrops(scans, "y", 1, SliceSampling(crop=16, positive_share=0.5), seed=1)
    first.batch(step=3, size=4)
    again = SliceCrops(scans, "y", 1, SliceSampling(crop=16, positive_share=0.5), seed=1).batch(step=7, size=4)
    np.testing.assert_array_equal(first.batch(step=7, size=4)[0], again[0])
    assert not np.array_equal(first.batch(step=8, size=4)[0], again[0])


def test_a_split_without_a_nodule_is_named(folders):
    with pytest.raises(LunglineError, match="no annotated nodule"):
        SliceCrops([], "z", 1, SliceSampling(), seed=0)


def test_a_damaged_cache_stops_the_training(folders):
    path = folders[0] / "a.h5"
    with h5py.File(path) as file:
        chunk = file["ct"].id.get_chunk_info(0)
    bad = bytearray(path.read_bytes())
    bad[chunk.byte_offset + 10] ^= 1
    path.write_bytes(bad)
    checksum_path(path).unlink()  # damage after the checksum was checked, in a training that runs for days
    crops = SliceCrops(find_training_scans(["a"], *folders), "z", 1, SliceSampling(crop=32, positive_share=0.0), seed=0)
    with pytest.raises(CorruptFileError, match="damaged chunk"):
        crops.batch(0, 4)
