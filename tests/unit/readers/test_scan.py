"""One volume, three formats, one answer."""

from __future__ import annotations

import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import scans
from lungline.errors import LunglineError, Quarantine
from lungline.imaging.geometry import voxel_to_world
from lungline.readers.nifti import read_nifti
from lungline.readers.scan import hash_of_files, raw_files, read_scan
from scans import chest, write_dicom, write_mhd

HU = chest((5, 12, 14))


def write_nifti(path, hu=HU, **header):
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.7, 2.1, 2.5))
    image.SetOrigin((-31.0, -42.0, 13.0))
    sitk.WriteImage(image, str(path))
    if header:
        loaded = nibabel.load(path)
        for key, value in {"scl_slope": 1, "scl_inter": 0, **header}.items():
            loaded.header[key] = value
        path.write_bytes(loaded.header.binaryblock + bytes(4) + hu.tobytes())
    return path


def test_dicom_metaimage_and_nifti_of_one_volume_agree(tmp_path):
    scans = [
        read_scan(write_dicom(tmp_path / "dicom", HU), "dicom"),
        read_scan(write_mhd(tmp_path / "a.mhd", HU), "mhd"),
        read_scan(write_nifti(tmp_path / "a.nii"), "nifti"),
        read_scan(write_nifti(tmp_path / "b.nii.gz"), "nifti"),
    ]
    for ct, flags in scans:
        assert flags == []
        assert ct.array.dtype == np.int16
        assert ct.array.flags.c_contiguous
        np.testing.assert_array_equal(ct.array, HU)
        np.testing.assert_allclose(ct.affine, scans[0][0].affine, atol=1e-5)


def test_an_oblique_nifti_lies_where_itk_puts_it(tmp_path):
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((-10.5, 20.25, 30.0))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 3.0).GetMatrix())
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    ct, _ = read_scan(tmp_path / "a.nii", "nifti")
    for zyx in ((0, 0, 0), (4, 11, 13), (1, 2, 5)):
        world = voxel_to_world(ct.affine, zyx)
        index = image.TransformPhysicalPointToIndex(world.tolist())
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), world, atol=1e-4)
        assert ct.array[zyx] == image[index]


def test_a_nifti_without_geometry_or_with_other_units_is_refused(tmp_path):
    for name, header in (("a", {"sform_code": 0, "qform_code": 0}), ("b", {"xyzt_units": 1})):
        with pytest.raises(Quarantine, match="Q_NO_GEOMETRY"):
            read_scan(write_nifti(tmp_path / f"{name}.nii", **header), "nifti")


def test_damaged_nifti_files_are_refused(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz")
    whole = path.read_bytes()
    for damaged in (b"", whole[:40], whole[:-200], b"junk" * 200):
        path.write_bytes(damaged)
        with pytest.raises(Quarantine, match="Q_BAD_NIFTI"):
            read_scan(path, "nifti")


@pytest.mark.parametrize("name", ["a.nii.gz", "big.nii.gz"])
def test_no_flipped_bit_of_a_compressed_nifti_is_used(tmp_path, name):
    hu = HU if name == "a.nii.gz" else chest((20, 40, 50))
    whole = scans.write_nifti(tmp_path / name, hu).read_bytes()
    refused = 0
    for bit in np.random.default_rng(0).integers(80, 8 * len(whole), 300):  # the first 10 bytes are gzip's own
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / name).write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_nifti(tmp_path / name).array, hu)
        except Quarantine:
            refused += 1
    assert refused >= 299


def test_a_nifti_header_that_would_have_to_be_repaired_is_refused_in_silence(tmp_path):
    path = write_nifti(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes().replace((348).to_bytes(4, "little"), (340).to_bytes(4, "little"), 1))
    with pytest.raises(Quarantine, match="Q_BAD_NIFTI"):
        read_scan(path, "nifti")
    path = write_nifti(tmp_path / "b.nii", pixdim=[1, -1.7, 2.1, 2.5, 0, 0, 0, 0])
    with pytest.raises(Quarantine, match="Q_BAD_NIFTI"):
        read_scan(path, "nifti")
    command = [sys.executable, "-m", "lungline.cli", "ingest", path, tmp_path / "b.h5", "--source", "nifti"]
    done = subprocess.run(command, capture_output=True, check=True)  # pytest has a logger of its own
    assert done.stdout + done.stderr == b""


def test_a_nifti_that_claims_too_much_is_refused_before_it_is_read(tmp_path):
    path = write_nifti(tmp_path / "a.nii", dim=[3, 2000, 2000, 4000, 1, 1, 1, 1])
    with pytest.raises(Quarantine, match="Q_LIMIT"):
        read_scan(path, "nifti")


def test_padding_becomes_air_and_numbers_that_are_not_finite_are_refused(tmp_path):
    hu = HU.astype(np.float32)
    hu[0, 0, :4] = (-2000, -3024, -1500, 40000)
    ct, _ = read_scan(write_mhd(tmp_path / "a.mhd", hu, ElementType="MET_FLOAT"), "mhd")
    assert ct.array[0, 0, :4].tolist() == [-1024, -1024, -1024, 32767]
    hu[2, 3, 4] = np.nan
    with pytest.raises(Quarantine, match="Q_BAD_VOXELS"):
        read_scan(write_mhd(tmp_path / "b.mhd", hu, ElementType="MET_FLOAT"), "mhd")


def test_the_hash_sees_every_bit_and_neither_names_nor_order(tmp_path):
    first = write_dicom(tmp_path / "a", HU)
    second = write_dicom(tmp_path / "b", HU, prefix="z")
    before = hash_of_files(raw_files(first, "dicom"))
    assert hash_of_files(raw_files(second, "dicom")[::-1]) == before
    victim = raw_files(second, "dicom")[2]
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x55")
    assert hash_of_files(raw_files(second, "dicom")) != before


def test_a_broken_link_is_named_without_what_it_points_to(tmp_path):
    (tmp_path / "scan-1").symlink_to(tmp_path / "John Doe")
    with pytest.raises(Quarantine, match="Q_UNREADABLE") as caught:
        read_scan(tmp_path / "scan-1", "dicom")
    assert "Doe" not in str(caught.value)
    with pytest.raises(LunglineError, match="scan-2"):
        read_scan(tmp_path / "scan-2", "dicom")


def test_an_unknown_source_is_refused(tmp_path):
    with pytest.raises(LunglineError, match="dicom, mhd or nifti"):
        read_scan(tmp_path, "png")
