"""DICOM series: the geometry is that of the slices' own positions, and ITK agrees where it is right."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk

from lungline.errors import Quarantine
from lungline.imaging.geometry import voxel_to_world
from lungline.readers.scan import read_scan
from scans import chest, write_dicom

OBLIQUE = (0.96, 0.0, 0.28, 0.05376, 0.98139, -0.18432)


def orthonormal(orientation):
    i = np.array(orientation[:3]) / np.linalg.norm(orientation[:3])
    j = np.array(orientation[3:]) - (np.array(orientation[3:]) @ i) * i
    return (*i, *(j / np.linalg.norm(j)))


def codes_of(flags):
    return [flag.flag for flag in flags]


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0),
        (-1, 0, 0, 0, -1, 0),  # prone
        (-1, 0, 0, 0, 1, 0),  # feet first: slices run downwards
        (0, 1, 0, 0, 0, -1),  # sagittal
        orthonormal(OBLIQUE),
    ],
)
def test_every_voxel_lies_where_itk_puts_it(tmp_path, orientation):
    hu = chest((5, 6, 7))
    write_dicom(tmp_path, hu, orientation=orientation)
    ct, flags = read_scan(tmp_path, "dicom")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    itk = reader.Execute()
    assert flags == []
    assert sorted(ct.array.shape) == [5, 6, 7]
    for zyx in np.ndindex(*ct.array.shape):
        there = itk.TransformPhysicalPointToContinuousIndex(voxel_to_world(ct.affine, zyx).tolist())
        ijk = [round(c) for c in there]
        np.testing.assert_allclose(there, ijk, atol=2e-4)
        assert ct.array[zyx] == itk[ijk]


def test_slices_turn_to_lps(tmp_path):
    hu = chest((5, 6, 7))
    write_dicom(tmp_path, hu, orientation=(-1, 0, 0, 0, 1, 0))
    ct, _ = read_scan(tmp_path, "dicom")
    assert np.all(np.diag(ct.affine[:3, :3][::-1]) > 0)
    np.testing.assert_array_equal(ct.array, hu[::-1, :, ::-1])


def test_a_bead_comes_back_at_its_world_point(tmp_path):
    hu = np.full((6, 8, 10), -1000, dtype=np.int16)
    hu[4, 2, 7] = 1500
    write_dicom(tmp_path, hu, spacing_kji=(3.0, 0.9, 0.6), origin=(-10.0, 20.0, -30.0))
    ct, _ = read_scan(tmp_path, "dicom")
    bead = np.argwhere(ct.array == 1500)[0]
    np.testing.assert_allclose(voxel_to_world(ct.affine, bead), (-10 + 7 * 0.6, 20 + 2 * 0.9, -30 + 4 * 3.0))


def test_slice_thickness_is_never_the_spacing(tmp_path):
    ct, _ = read_scan(write_dicom(tmp_path, chest()), "dicom")
    np.testing.assert_allclose(ct.spacing_zyx_mm, (2.5, 2.1, 1.7))


def test_a_tilted_gantry_is_deskewed(tmp_path):
    """A rod along z stays straight in the world, though each tilted slice meets it in another row."""
    angle = np.deg2rad(12.0)
    orientation = (1, 0, 0, 0, np.cos(angle), -np.sin(angle))
    along_j = np.array(orientation[3:])
    positions = np.array([0.0, -20.0, 5.0]) + np.outer(np.arange(10) * 2.0, (0, 0, 1))
    hu = np.full((10, 40, 12), -1000, dtype=np.int16)
    for k, position in enumerate(positions):  # the rod: x = 3 mm, y = 0 mm
        row = -position[1] / along_j[1] / 1.0
        below = int(np.floor(row))
        hu[k, below, 3], hu[k, below + 1, 3] = -1000 + 1000 * (1 - (row - below)), -1000 + 1000 * (row - below)
    write_dicom(tmp_path, hu, spacing_kji=(0, 1.0, 1.0), orientation=orientation, positions=positions)
    ct, flags = read_scan(tmp_path, "dicom")
    assert codes_of(flags) == ["W_TILT"]
    axes = ct.affine[:3, :3] / ct.spacing_zyx_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(ct.spacing_zyx_mm, (2.0 * np.cos(angle), 1, 1), rtol=1e-6)
    mass = ct.array.astype(float) + 1000
    mass[mass < 0] = 0  # air outside the slices
    for plane in range(10):
        rows, columns = np.nonzero(mass[plane])
        weights = mass[plane][rows, columns]
        centre = (plane, weights @ rows / weights.sum(), weights @ columns / weights.sum())
        np.testing.assert_allclose(voxel_to_world(ct.affine, centre)[:2], (3.0, 0.0), atol=0.02)


def test_a_missing_slice_is_filled_in_place(tmp_path):
    hu = np.repeat(np.arange(60, dtype=np.int16)[:, None, None] * 10, 5, axis=1).repeat(6, axis=2)
    write_dicom(tmp_path, hu, change=lambda k, _: k != 30)
    ct, flags = read_scan(tmp_path, "dicom")
    assert codes_of(flags) == ["W_GAP_FILLED"]
    assert "1 of 60" in flags[0].detail
    np.testing.assert_array_equal(ct.array, hu)
    np.testing.assert_allclose(ct.spacing_zyx_mm[0], 2.5)


def test_too_many_missing_slices_are_refused(tmp_path):
    write_dicom(tmp_path, chest((14, 6, 7)), change=lambda k, _: k != 9)
    with pytest.raises(Quarantine, match="Q_MISSING_SLICES: 1 of 14"):
        read_scan(tmp_path, "dicom")


def test_uneven_slices_are_resampled_from_their_real_places(tmp_path):
    z = np.array([0, 2.0, 4.1, 6.6, 8.2, 10.1, 12.5, 14.0])
    hu = np.repeat((z * 50).astype(np.int16)[:, None, None], 5, axis=1).repeat(6, axis=2)
    positions = np.stack([z * 0, z * 0, z], axis=1)
    write_dicom(tmp_path, hu, positions=positions)
    ct, flags = read_scan(tmp_path, "dicom")
    assert codes_of(flags) == ["W_NONUNIFORM"]
    at_mm = voxel_to_world(ct.affine, [(k, 0, 0) for k in range(len(ct.array))])[:, 2]
    np.testing.assert_allclose(ct.array[:, 2, 3], at_mm * 50, atol=6)


def test_very_uneven_slices_are_refused(tmp_path):
    z = np.array([0, 1, 2, 3, 4, 6.6, 9.1, 11.7])
    write_dicom(tmp_path, chest((8, 6, 7)), positions=np.stack([z * 0, z * 0, z], axis=1))
    with pytest.raises(Quarantine, match="Q_NONUNIFORM_SPACING"):
        read_scan(tmp_path, "dicom")


def test_slices_scattered_in_the_plane_are_refused(tmp_path):
    positions = np.stack([np.array([0, 9, 1, 8, 0, 7]), np.zeros(6), np.arange(6) * 2.0], axis=1)
    write_dicom(tmp_path, chest((6, 6, 7)), positions=positions)
    with pytest.raises(Quarantine, match="Q_NO_GEOMETRY"):
        read_scan(tmp_path, "dicom")


def test_copies_of_slices_are_dropped(tmp_path):
    hu = chest((6, 8, 9))
    write_dicom(tmp_path, hu)
    write_dicom(tmp_path, hu, prefix="copy", change=lambda k, _: k in (2, 3))
    ct, flags = read_scan(tmp_path, "dicom")
    assert codes_of(flags) == ["W_DUPLICATE_SLICES"]
    np.testing.assert_array_equal(ct.array, hu)


def test_the_most_complete_of_two_acquisitions_is_taken(tmp_path):
    hu = chest((8, 8, 9))
    write_dicom(tmp_path, hu)
    write_dicom(
        tmp_path,
        hu + np.int16(100),
        prefix="again",
        change=lambda k, d: 2 <= k <= 4 and setattr(d, "AcquisitionNumber", 2),
    )
    ct, flags = read_scan(tmp_path, "dicom")
    assert codes_of(flags) == ["W_MULTI_ACQUISITION"]
    np.testing.assert_array_equal(ct.array, hu)


def test_an_acquisition_number_a_slice_is_no_reason_to_split(tmp_path):
    hu = chest((8, 8, 9))
    ct, flags = read_scan(write_dicom(tmp_path, hu, change=lambda k, d: setattr(d, "AcquisitionNumber", k)), "dicom")
    assert flags == []
    np.testing.assert_array_equal(ct.array, hu)


def test_different_slices_at_one_position_are_refused(tmp_path):
    hu = chest((8, 8, 9))
    write_dicom(tmp_path, hu)
    write_dicom(tmp_path, hu + np.int16(100), prefix="again")
    with pytest.raises(Quarantine, match="Q_DUPLICATE_SLICES"):
        read_scan(tmp_path, "dicom")


def test_the_axial_series_is_chosen_among_localizer_coronal_and_short_ones(tmp_path):
    hu = chest((8, 12, 14))
    write_dicom(tmp_path, hu)

    def in_series(number, **tags):
        def change(k, dataset):
            dataset.SeriesInstanceUID = f"1.2.3.{number}"
            for key, value in tags.items():
                setattr(dataset, key, value)

        return change

    write_dicom(tmp_path, chest((2, 12, 14)), prefix="scout", change=in_series(5, ImageType=["ORIGINAL", "LOCALIZER"]))
    write_dicom(tmp_path, chest((30, 9, 9)), prefix="cor", orientation=(1, 0, 0, 0, 0, -1), change=in_series(6))
    write_dicom(tmp_path, chest((4, 12, 14)), prefix="short", change=in_series(7))
    write_dicom(tmp_path, chest((9, 12, 14)), prefix="dose", change=in_series(8, Modality="SR"))
    (tmp_path / "Thumbs.db").write_bytes(b"not a picture")
    (tmp_path / "DICOMDIR").write_bytes((tmp_path / "f000.dcm").read_bytes())
    ct, flags = read_scan(tmp_path, "dicom")
    np.testing.assert_array_equal(ct.array, hu)
    assert codes_of(flags) == ["W_SERIES_CHOSEN", "W_FILES_SKIPPED"]
    left_out = "series 0, 4 slices: spans 8 of 18 mm; series 0, 30 slices: not axial"
    assert flags[0].detail == (
        f"series 0, 8 slices used; left out: {left_out}; series 0, SR: 9 images; series 0, localizer: 2 images"
    )
    assert flags[1].detail == "2 files are not DICOM"


def test_few_slices_without_geometry_are_dropped_and_many_are_refused(tmp_path):
    def without(*missing):
        return lambda k, dataset: k not in missing or dataset.__delattr__("ImagePositionPatient")

    hu = chest((40, 8, 9))
    write_dicom(tmp_path / "few", hu, change=without(39))
    ct, flags = read_scan(tmp_path / "few", "dicom")
    assert codes_of(flags) == ["W_SLICES_DROPPED"]
    np.testing.assert_array_equal(ct.array, hu[:39])
    write_dicom(tmp_path / "many", hu, change=without(*range(20, 40)))
    with pytest.raises(Quarantine, match="Q_NO_GEOMETRY: 20 slices"):
        read_scan(tmp_path / "many", "dicom")
    write_dicom(tmp_path / "all", hu, change=without(*range(40)))
    with pytest.raises(Quarantine, match="Q_NO_GEOMETRY: no slice"):
        read_scan(tmp_path / "all", "dicom")


def test_a_change_of_spacing_within_the_series_is_refused(tmp_path):
    def change(k, dataset):
        dataset.PixelSpacing = ["2.1", "1.7"] if k < 4 else ["1.1", "0.7"]

    with pytest.raises(Quarantine, match="Q_NO_GEOMETRY"):
        read_scan(write_dicom(tmp_path, chest((8, 8, 9)), change=change), "dicom")


@pytest.mark.parametrize("orientation", ["0\\0\\0\\0\\0\\0", "1\\0\\0\\1\\0\\0", "1\\0\\0"])
def test_an_impossible_orientation_counts_as_none(tmp_path, orientation):
    def change(k, dataset):
        dataset.ImageOrientationPatient = orientation.split("\\")

    with pytest.raises(Quarantine, match="Q_NO_GEOMETRY"):
        read_scan(write_dicom(tmp_path, chest((4, 8, 9)), change=change), "dicom")


def test_a_folder_without_ct_is_named(tmp_path):
    write_dicom(tmp_path, chest((4, 8, 9)), change=lambda k, d: setattr(d, "Modality", "MR"))
    with pytest.raises(Quarantine, match="Q_NO_CT_SERIES: 0 CT slices, 0 enhanced, 4 other images"):
        read_scan(tmp_path, "dicom")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Quarantine, match="Q_NO_CT_SERIES"):
        read_scan(empty, "dicom")


def test_an_enhanced_ct_is_named_and_not_read_as_identity(tmp_path):
    write_dicom(tmp_path, chest((1, 8, 9)), change=lambda k, d: setattr(d, "NumberOfFrames", 20))
    with pytest.raises(Quarantine, match="Q_ENHANCED_CT"):
        read_scan(tmp_path, "dicom")


def test_truncated_files_count_as_missing_slices(tmp_path):
    write_dicom(tmp_path, chest((60, 8, 9)))
    victim = tmp_path / "f000.dcm"  # the lowest slice: no gap is left
    victim.write_bytes(victim.read_bytes()[:-40])
    ct, flags = read_scan(tmp_path, "dicom")
    assert codes_of(flags) == ["W_DAMAGED_SLICES"]
    assert ct.array.shape[0] == 59
    for path in sorted(tmp_path.iterdir())[:10]:
        path.write_bytes(path.read_bytes()[: os.path.getsize(path) - 60])
    with pytest.raises(Quarantine, match="Q_DAMAGED_SLICES"):
        read_scan(tmp_path, "dicom")


@pytest.mark.data
@pytest.mark.parametrize(
    ("series", "flag"),
    [
        ("notavolume/001", "Q_TOO_FEW_SLICES"),
        ("sliceincrement/001", "Q_MISSING_SLICES"),
        ("sliceincrement/002", "Q_MISSING_SLICES"),
    ],
)
def test_real_failing_series_are_named(sample_data, series, flag):
    with pytest.raises(Quarantine, match=flag):
        read_scan(sample_data / "malformed" / "dicom_series" / series, "dicom")


@pytest.mark.data
def test_a_real_tilted_series_is_deskewed(sample_data):
    ct, flags = read_scan(sample_data / "malformed/dicom_series/gantrytilting/001", "dicom")
    assert codes_of(flags) == ["W_TILT"]
    assert "14.00 degrees" in flags[0].detail
    np.testing.assert_allclose(ct.spacing_zyx_mm, (5 * np.cos(np.deg2rad(14)), 0.41796875, 0.41796875), rtol=1e-4)


@pytest.mark.data
@pytest.mark.parametrize(
    ("series", "shape", "spacing"),
    [
        ("cptac-c3n-00247", (99, 512, 512), (3.0, 0.564453125, 0.564453125)),
        ("lung-dx-a0002", (30, 512, 512), (8.0, 0.646484375, 0.646484375)),
        ("ricord1a-001012", (248, 512, 512), (1.25, 0.703125, 0.703125)),
    ],
)
def test_real_chests_come_with_their_spacing(sample_data, series, shape, spacing):
    ct, flags = read_scan(sample_data / "chest-ct" / series, "dicom")
    assert flags == []
    assert ct.array.shape == shape
    np.testing.assert_allclose(ct.spacing_zyx_mm, spacing)
    assert ct.array.min() == -1024
