import numpy as np
import pytest

from lungline.imaging.geometry import make_affine
from lungline.imaging.lungs import add_margin
from lungline.imaging.lungs import segment_lungs as find_lungs
from lungline.imaging.volume import Volume
from lungline.stages import segment_lungs
from lungline.storage import hdf5
from lungline.storage.hdf5 import Flag, Header
from phantoms import make_chest
from stage_settings import LUNGS


@pytest.fixture
def store(tmp_path):
    """Write a CT as the stage before would, and return its path."""

    def write(ct, flags=()):
        path = tmp_path / "resampled.h5"
        hdf5.write_file(path, Header("ct_hu", "resample", flags), {"ct": hdf5.volume_field(ct, "HU", "CT")})
        return path

    return write


def test_the_stage_writes_both_masks_on_the_grid_of_the_scan(store, tmp_path):
    chest = make_chest(spacing_mm=2.0)
    segment_lungs.run(store(chest.ct), tmp_path / "lungs.h5", **{**LUNGS, "plausible_ml_low": 50})
    lungs, mask = (hdf5.read_volume(tmp_path / "lungs.h5", name) for name in ("lungs", "mask"))
    assert lungs.array.dtype == mask.array.dtype == bool
    assert mask.array[lungs.array].all()
    assert mask.array.sum() > lungs.array.sum() > 0
    for volume in (lungs, mask):
        assert volume.shape_zyx == chest.ct.shape_zyx
        np.testing.assert_array_equal(volume.affine, chest.ct.affine)


def test_the_header_says_how_good_the_mask_is(store, tmp_path):
    segment_lungs.run(store(make_chest(spacing_mm=2.0).ct), tmp_path / "lungs.h5", **LUNGS)
    header = hdf5.read_header(tmp_path / "lungs.h5")
    assert header.quantity == "lung_mask"
    assert header.status == "warned"
    assert [flag.flag for flag in header.flags] == ["W_LUNG_VOLUME"]
    quality = header.provenance["quality"]
    assert quality["volume_ml"] == pytest.approx(quality["left_ml"] + quality["right_ml"], abs=0.01)
    assert header.parameters["margin_mm"] == 5.0


def test_a_mass_that_the_lungs_leave_out_is_told_and_searched(store, tmp_path):
    size = (130, 145, 180)
    z, y, x = np.ogrid[: size[0], : size[1], : size[2]]
    hu = np.full(size, -1000, dtype=np.float32)
    hu[np.broadcast_to(((y - 72) / 62) ** 2 + ((x - 90) / 86) ** 2 <= 1, size)] = 40
    for middle in (48, 132):
        hu[((z - 65) / 56) ** 2 + ((y - 72) / 42) ** 2 + ((x - middle) / 30) ** 2 <= 1] = -850
    mass = ((z - 65) ** 2 + (y - 72) ** 2 + (x - 160) ** 2 <= 17**2) & (hu < -500)  # at the ribs of the left side
    hu[mass] = 40
    ct = Volume(hu, make_affine((2.0, 2.0, 2.0), (-180.0, -140.0, 500.0)))
    segment_lungs.run(store(ct), tmp_path / "lungs.h5", **LUNGS)
    header = hdf5.read_header(tmp_path / "lungs.h5")
    [told] = [flag for flag in header.flags if flag.flag == "W_LUNG_MISSING"]
    missing_ml = header.provenance["quality"]["missing_ml"]
    assert missing_ml == pytest.approx(np.count_nonzero(mass) * 8 / 1000, rel=0.5)
    assert told.detail.startswith(f"about {missing_ml:.0f} ml of the left lung around x 1")
    lungs, mask = (hdf5.read_array(tmp_path / "lungs.h5", name) for name in ("lungs", "mask"))
    np.testing.assert_array_equal(lungs, find_lungs(ct)[0])
    assert np.mean(add_margin(lungs, ct)[mass]) < 0.7
    assert np.mean(mask[mass]) > 0.95


def test_where_nothing_is_missing_the_search_takes_in_the_lungs_and_their_margin_alone(store, tmp_path):
    ct = make_chest(spacing_mm=2.0).ct
    segment_lungs.run(store(ct), tmp_path / "lungs.h5", **LUNGS)
    lungs = hdf5.read_array(tmp_path / "lungs.h5", "lungs")
    np.testing.assert_array_equal(hdf5.read_array(tmp_path / "lungs.h5", "mask"), add_margin(lungs, ct))


def test_a_scan_without_lungs_is_quarantined_and_written_without_masks(store, tmp_path):
    ct = make_chest(sides=(), windpipe=False, spacing_mm=2.0).ct
    segment_lungs.run(store(ct, (Flag("W_TILT"),)), tmp_path / "lungs.h5", **LUNGS)
    header = hdf5.read_header(tmp_path / "lungs.h5")
    assert header.status == "quarantined"
    assert [flag.flag for flag in header.flags] == ["W_TILT", "Q_LUNGS_EMPTY"]
    assert hdf5.field_names(tmp_path / "lungs.h5") == []
