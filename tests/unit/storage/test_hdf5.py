"""The intermediate files: what goes in comes out, damage is never read, the same content gives the same bytes."""

import h5py
import numpy as np
import pytest

from lungline import NOTICE
from lungline.errors import CorruptFileError, DamagedFileError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.storage import checksums, hdf5
from lungline.storage.hdf5 import Field, Flag, Header


@pytest.fixture
def ct() -> Volume:
    rng = np.random.default_rng(1)
    return Volume(
        rng.integers(-1000, 400, (40, 33, 50)).astype(np.int16), geometry.make_affine((2, 0.7, 0.6), (1, 2, 3))
    )


def write(path, ct, compression="blosc"):
    header = Header("ct_hu", "resample", (Flag("W_TEST", "why"),), {"spacing_mm": 1.0}, {"code": "abc"})
    fields = {"ct": hdf5.volume_field(ct, "HU", "a CT"), "mask": Field(ct.array > 0, "zyx", "1", "a mask", ct.affine)}
    hdf5.write_file(path, header, fields, compression=compression)
    checksums.checksum_path(path).unlink()  # what follows is about HDF5's own checks
    return header


@pytest.mark.parametrize("compression", ["blosc", "gzip"])
def test_what_goes_in_comes_out(tmp_path, ct, compression):
    header = write(tmp_path / "a.h5", ct, compression)
    assert hdf5.read_header(tmp_path / "a.h5") == header
    assert header.status == "warned"
    back = hdf5.read_volume(tmp_path / "a.h5", "ct")
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, ct.array)
    np.testing.assert_array_equal(back.affine, ct.affine)
    mask = hdf5.read_array(tmp_path / "a.h5", "mask")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, ct.array > 0)
    assert hdf5.read_grid(tmp_path / "a.h5", "ct")[0] == ct.shape_zyx
    assert hdf5.field_names(tmp_path / "a.h5") == ["ct", "mask"]


def test_same_content_same_bytes(tmp_path, ct):
    write(tmp_path / "a.h5", ct)
    write(tmp_path / "b.h5", ct)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_every_file_says_research_use_only(tmp_path, ct):
    write(tmp_path / "a.h5", ct)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["notice"] == NOTICE


def test_a_flipped_bit_in_the_voxels_is_never_read(tmp_path, ct):
    path = tmp_path / "a.h5"
    write(path, ct)
    good = path.read_bytes()
    with h5py.File(path) as file:
        chunks = [file["ct"].id.get_chunk_info(i) for i in range(file["ct"].id.get_num_chunks())]
    rng = np.random.default_rng(0)
    for chunk in chunks:
        bad = bytearray(good)
        bad[chunk.byte_offset + int(rng.integers(chunk.size))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        with pytest.raises(CorruptFileError):
            hdf5.read_array(path, "ct")


def test_a_flipped_bit_anywhere_is_never_read_as_something_else(tmp_path, ct):
    path = tmp_path / "a.h5"
    header = write(path, ct)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    noticed = 0
    for place in rng.integers(len(good), size=300):
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        try:
            found, back = hdf5.read_header(path), hdf5.read_volume(path, "ct")
        except CorruptFileError:
            noticed += 1
            continue
        assert found == header  # the bit was in unused space or in the other field
        np.testing.assert_array_equal(back.array, ct.array)
        np.testing.assert_array_equal(back.affine, ct.affine)
    assert noticed > 100


def test_a_truncated_or_foreign_file_is_named(tmp_path, ct):
    path = tmp_path / "a.h5"
    write(path, ct)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match=r"a\.h5"):
        hdf5.read_header(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["ct"] = np.zeros(3)
    with pytest.raises(CorruptFileError, match="not a lungline file"):
        hdf5.read_header(tmp_path / "other.h5")


def test_a_field_that_lives_in_another_file_is_refused(tmp_path, ct):
    write(tmp_path / "a.h5", ct)
    write(tmp_path / "b.h5", ct)
    with h5py.File(tmp_path / "b.h5", "a") as file:
        del file["ct"]
        file["ct"] = h5py.ExternalLink(str(tmp_path / "a.h5"), "ct")
    with pytest.raises(CorruptFileError, match="no field 'ct'"):
        hdf5.read_array(tmp_path / "b.h5", "ct")


def replace_by_external_storage(file, folder):
    np.zeros(8, np.int16).tofile(folder / "secret.raw")
    file.create_dataset("ct", (8,), np.int16, external=[(str(folder / "secret.raw"), 0, 16)])


def replace_by_a_virtual_field(file, folder):
    layout = h5py.VirtualLayout((40, 33, 50), np.int16)
    layout[:] = h5py.VirtualSource(str(folder / "a.h5"), "ct", (40, 33, 50))
    file.create_virtual_dataset("ct", layout)


def replace_by_a_soft_link(file, folder):
    file["ct"] = h5py.SoftLink("/mask")


def replace_by_a_group(file, folder):
    file.create_group("ct")


def test_a_field_that_would_fill_the_memory_is_refused(tmp_path, ct):
    write(tmp_path / "a.h5", ct)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["ct"]
        file.create_dataset("ct", (1 << 20, 1 << 20), np.int16, chunks=(64, 64))  # no chunk is written: all zeros
    checksums.checksum_path(tmp_path / "a.h5").unlink(missing_ok=True)
    with pytest.raises(CorruptFileError, match="claims 2199023255552 bytes"):
        hdf5.read_field(tmp_path / "a.h5", "ct")


@pytest.mark.parametrize(
    "replace",
    [replace_by_external_storage, replace_by_a_virtual_field, replace_by_a_soft_link, replace_by_a_group],
)
@pytest.mark.parametrize("read", [hdf5.read_field, hdf5.read_grid, hdf5.open_field])
def test_a_field_that_is_not_stored_inside_the_file_is_refused(tmp_path, ct, replace, read):
    write(tmp_path / "a.h5", ct)
    write(tmp_path / "b.h5", ct)
    with h5py.File(tmp_path / "b.h5", "a") as file:
        del file["ct"]
        replace(file, tmp_path)
    with pytest.raises(CorruptFileError, match=r"no field 'ct'|not stored inside the file"):
        read(tmp_path / "b.h5", "ct")


def test_a_failed_write_leaves_the_old_file(tmp_path, ct):
    path = tmp_path / "a.h5"
    write(path, ct)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        hdf5.write_file(path, Header("q", "s", parameters={"not json": object()}), {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]  # neither a temporary file nor a checksum


def test_a_quarantined_scan_is_a_file_that_says_why(tmp_path):
    hdf5.write_file(tmp_path / "q.h5", Header("ct_hu", "ingest", (Flag("Q_NO_GEOMETRY", "no position"),)), {})
    assert hdf5.read_header(tmp_path / "q.h5").status == "quarantined"
    assert hdf5.field_names(tmp_path / "q.h5") == []


def test_axes_have_names_and_places_in_mm_and_are_no_fields(tmp_path, ct):
    cubes = Field(np.zeros((2, 3, 4)), "candidate,measurement,x", "1", "numbers")
    slab = Field(ct.array[:7], "zyx", "HU", "a part", ct.affine)
    fields = {"ct": hdf5.volume_field(ct, "HU", "a CT"), "mask": Field(ct.array > 0, "zyx", "1", "m", ct.affine)}
    hdf5.write_file(tmp_path / "a.h5", Header("ct_hu", "resample"), {**fields, "slab": slab, "cubes": cubes})
    assert hdf5.field_names(tmp_path / "a.h5") == ["ct", "cubes", "mask", "slab"]
    with h5py.File(tmp_path / "a.h5") as file:
        dims = {name: [dim[0].name for dim in file[name].dims] for name in ("ct", "mask", "slab", "cubes")}
        assert dims["ct"] == dims["mask"] == ["/z", "/y", "/x"]
        assert dims["slab"] == ["/z_2", "/y", "/x"]
        assert dims["cubes"] == ["/candidate", "/measurement", "/x_2"]
        for k, (name, count) in enumerate(zip("zyx", ct.array.shape, strict=True)):
            index = np.zeros((count, 3))
            index[:, k] = np.arange(count)
            np.testing.assert_allclose(file[name][()], geometry.voxel_to_world(ct.affine, index)[:, 2 - k])
            assert file[name].attrs["units"] == "mm"


def test_axes_of_an_oblique_scan_keep_their_distances(tmp_path, ct):
    turn = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    affine = ct.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    hdf5.write_file(tmp_path / "a.h5", Header("ct_hu", "x"), {"ct": Field(ct.array, "zyx", "HU", "a CT", affine)})
    with h5py.File(tmp_path / "a.h5") as file:
        steps = [np.diff(file[name][()]) for name in "zyx"]
    for step, spacing in zip(steps, geometry.spacing_zyx_mm(affine), strict=True):
        np.testing.assert_allclose(step, spacing)


def test_a_part_of_a_volume_is_read_without_the_rest(tmp_path):
    whole = Volume(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6), geometry.make_affine((2, 1, 0.5)))
    path = tmp_path / "scan.h5"
    hdf5.write_file(path, hdf5.Header("ct_hu", "ingest"), {"ct": hdf5.volume_field(whole, "HU", "a scan")})
    box = (slice(1, 3), slice(0, 2), slice(2, 6))
    with hdf5.volume_on_disk(path, "ct") as there:
        assert not isinstance(there.array, np.ndarray)
        part = there.crop(box)
    np.testing.assert_array_equal(part.array, whole.crop(box).array)
    np.testing.assert_array_equal(part.affine, whole.crop(box).affine)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamagedFileError), hdf5.volume_on_disk(path, "ct"):
        pass
