"""MetaImage: what ITK writes reads the same; what is not exactly right is refused, and nothing else is opened."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from lungline.errors import Quarantine
from lungline.imaging.geometry import voxel_to_world
from lungline.readers.metaimage import read_metaimage
from lungline.readers.scan import raw_files, read_scan
from lungline.readers.zips import unpacked
from scans import chest, write_mhd

HU = chest((4, 12, 14))


def refused(path, flag):
    with pytest.raises(Quarantine) as caught:
        read_metaimage(path)
    assert caught.value.flag == flag
    return caught.value.detail


@pytest.mark.parametrize("name", ["a.mhd", "a.mha"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_itk_writes_lies_where_itk_puts_it(tmp_path, name, compressed):
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((-10.5, 20.25, 30.0))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3)
    image.SetDirection(turn.GetMatrix())
    sitk.WriteImage(image, str(tmp_path / name), useCompression=compressed)
    ct, _ = read_scan(tmp_path / name, "mhd")
    np.testing.assert_array_equal(ct.array, HU)
    for zyx in ((0, 0, 0), (3, 11, 13), (1, 2, 5)):
        there = image.TransformIndexToPhysicalPoint(zyx[::-1])
        np.testing.assert_allclose(voxel_to_world(ct.affine, zyx), there, atol=1e-4)


def test_a_flipped_luna_header_keeps_every_voxel_in_its_place(tmp_path):
    straight, _ = read_scan(write_mhd(tmp_path / "a.mhd", HU), "mhd")
    last = voxel_to_world(straight.affine, (0, 11, 13))
    flipped = write_mhd(
        tmp_path / "b.mhd",
        np.ascontiguousarray(HU[:, ::-1, ::-1]),
        TransformMatrix="-1 0 0 0 -1 0 0 0 1",
        Offset=" ".join(f"{c:.6f}" for c in last),
    )
    ct, _ = read_scan(flipped, "mhd")
    np.testing.assert_array_equal(ct.array, straight.array)
    np.testing.assert_allclose(ct.affine, straight.affine, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("MET_UCHAR", "u1"), ("MET_USHORT", "u2"), ("MET_INT", "i4"), ("MET_LONG_LONG", "i8"), ("MET_FLOAT", "f4")],
)
def test_other_number_types_and_big_endian_give_the_same_numbers(tmp_path, kind, dtype):
    values = np.abs(HU // 8).astype(dtype)
    little = read_metaimage(write_mhd(tmp_path / "a.mhd", values, ElementType=kind))
    big = values.astype(np.dtype(dtype).newbyteorder(">"))
    swapped = read_metaimage(write_mhd(tmp_path / "b.mhd", big, ElementType=kind, BinaryDataByteOrderMSB="True"))
    np.testing.assert_array_equal(little.array, values)
    np.testing.assert_array_equal(swapped.array, values)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"ElementDataFile": "/dev/zero"}, "Q_BAD_MHD"),
        ({"ElementDataFile": "../secret.raw"}, "Q_BAD_MHD"),
        ({"ElementDataFile": "LIST"}, "Q_BAD_MHD"),
        ({"ElementDataFile": "."}, "Q_BAD_MHD"),
        ({"ElementDataFile": "gone.raw"}, "Q_BAD_MHD"),
        ({"ElementDataFile": None}, "Q_BAD_MHD"),
        ({"Element Spacing": "Doe"}, "Q_BAD_MHD"),
        ({"NDims": "4"}, "Q_BAD_MHD"),
        ({"BinaryData": "False"}, "Q_BAD_MHD"),
        ({"ElementNumberOfChannels": "3"}, "Q_BAD_MHD"),
        ({"ElementType": "MET_OTHER"}, "Q_BAD_MHD"),
        ({"CompressedData": "perhaps"}, "Q_BAD_MHD"),
        ({"DimSize": "14 12"}, "Q_BAD_MHD"),
        ({"DimSize": "14 12 3"}, "Q_BAD_MHD"),
        ({"DimSize": "1e1 12 4"}, "Q_BAD_MHD"),
        ({"DimSize": "14 12 0"}, "Q_NO_GEOMETRY"),
        ({"DimSize": "100000 100000 100000"}, "Q_LIMIT"),
        ({"ElementSpacing": None}, "Q_NO_GEOMETRY"),
        ({"Offset": None}, "Q_NO_GEOMETRY"),
        ({"TransformMatrix": None}, "Q_NO_GEOMETRY"),
        ({"Position": "0 0 0"}, "Q_NO_GEOMETRY"),
        ({"ElementSpacing": "nan 1 1"}, "Q_BAD_SPACING"),
        ({"ElementSpacing": "-1 1 1"}, "Q_BAD_SPACING"),
        ({"ElementSpacing": "0 1 1"}, "Q_BAD_SPACING"),
        ({"ElementSpacing": "1 1 500"}, "Q_BAD_SPACING"),
        ({"Offset": "inf 0 0"}, "Q_BAD_SPACING"),
        ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "Q_BAD_DIRECTION"),
        ({"TransformMatrix": "1 0 0 0.6 0.8 0 0 0 1"}, "Q_BAD_DIRECTION"),
    ],
)
def test_a_header_that_is_not_right_is_refused(tmp_path, changes, flag):
    assert "Doe" not in refused(write_mhd(tmp_path / "a.mhd", HU, **changes), flag)


def test_a_key_that_stands_there_twice_is_refused(tmp_path):
    path = write_mhd(tmp_path / "a.mhd", HU)
    path.write_text("NDims = 3\n" + path.read_text())
    assert "repeats NDims" in refused(path, "Q_BAD_MHD")


def test_a_link_to_pixels_outside_the_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere.raw").write_bytes(HU.tobytes())
    path = write_mhd(tmp_path / "scan" / "a.mhd", HU)
    (tmp_path / "scan" / "a.raw").unlink()
    (tmp_path / "scan" / "a.raw").symlink_to(tmp_path / "elsewhere.raw")
    refused(path, "Q_BAD_MHD")
    assert raw_files(path, "mhd") == [path]


@pytest.mark.parametrize("said", ["a.raw", "A.Raw", "./A.RAW"])
def test_a_pixel_file_is_found_whatever_its_capitals_and_only_if_it_is_the_only_one(tmp_path, said):
    path = write_mhd(tmp_path / "in" / "A.MHD", HU, ElementDataFile=said)
    (path.parent / "A.raw").rename(path.parent / "A.RAW")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in path.parent.iterdir():
            archive.write(file, f"s/{file.name}")
    for place in (path, tmp_path / "a.zip/s/A.MHD"):
        with unpacked(place, "mhd") as here:
            np.testing.assert_array_equal(read_metaimage(here).array, HU)
    if said == "A.Raw":
        (path.parent / "a.RAW").write_bytes(HU.tobytes())
        refused(path, "Q_BAD_MHD")


def test_a_link_to_the_header_finds_the_pixels_beside_the_header(tmp_path):
    path = write_mhd(tmp_path / "scan" / "a.mhd", HU)
    (tmp_path / "link").symlink_to(path)
    np.testing.assert_array_equal(read_metaimage(tmp_path / "link").array, HU)
    assert [p.name for p in raw_files(tmp_path / "link", "mhd")] == ["a.mhd", "a.raw"]


def test_compressed_pixels_must_be_whole_exact_and_unharmed(tmp_path):
    packed = zlib.compress(HU.tobytes())
    path = write_mhd(tmp_path / "a.mhd", HU, CompressedData="True")
    data = tmp_path / "a.raw"
    data.write_bytes(packed)
    np.testing.assert_array_equal(read_metaimage(path).array, HU)
    bomb = zlib.compress(HU.tobytes() + bytes(1 << 20))
    short = zlib.compress(HU.tobytes()[:-2])
    wrong_sum = packed[:-1] + bytes([packed[-1] ^ 1])
    flipped = packed[:100] + bytes([packed[100] ^ 8]) + packed[101:]
    for damaged in (b"", packed[:-1], packed[:-4], packed[:50], packed + b"x", bomb, short, wrong_sum, flipped):
        data.write_bytes(damaged)
        refused(path, "Q_BAD_MHD")


def test_every_single_flipped_bit_of_compressed_pixels_is_noticed(tmp_path):
    packed = zlib.compress(HU.tobytes())
    path = write_mhd(tmp_path / "a.mhd", HU, CompressedData="True")
    for at in range(0, len(packed) * 8, 41):
        damaged = bytearray(packed)
        damaged[at // 8] ^= 1 << at % 8
        (tmp_path / "a.raw").write_bytes(damaged)
        found = read_or_code(path)
        if not isinstance(found, str):  # zlib can say the same in other bits
            np.testing.assert_array_equal(found, HU)
        else:
            assert found == "Q_BAD_MHD"


def read_or_code(path):
    try:
        return read_metaimage(path).array
    except Quarantine as reason:
        return reason.flag


@pytest.mark.data
def test_of_the_malformed_samples_only_the_sound_ones_read(sample_data):
    readable = set()
    for path in sorted((sample_data / "malformed" / "mhd").glob("*.mhd")):
        try:
            read_metaimage(path)
            readable.add(path.name)
        except Quarantine:
            pass
    assert readable == {"ok.mhd", "okz.mhd", "flip.mhd"}


@pytest.mark.data
def test_real_luna_slabs_read_as_itk_reads_them(sample_data):
    for path in sorted((sample_data / "luna16-format").glob("*.mhd")):
        image = sitk.ReadImage(str(path))
        ct, flags = read_scan(path, "mhd")
        assert flags == []
        np.testing.assert_array_equal(ct.array, np.maximum(sitk.GetArrayFromImage(image), -1024))
        np.testing.assert_allclose(ct.spacing_zyx_mm, image.GetSpacing()[::-1])
        np.testing.assert_allclose(voxel_to_world(ct.affine, (0, 0, 0)), image.GetOrigin(), atol=1e-6)
