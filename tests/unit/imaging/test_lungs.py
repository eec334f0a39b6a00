import numpy as np
import pytest

from lungline.errors import Quarantine
from lungline.imaging.lungs import LungQuality, add_margin, judge, segment_lungs
from lungline.imaging.volume import Volume
from phantoms import GAS_HU, GAS_RADII_MM, GAS_ZYX_MM, LUNG_RADII_MM, LUNG_ZYX_MM, SHAPE_ZYX, SOFT_HU, ball, make_chest


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def codes_of(quality, plausible_ml=(50, 9000)):
    return [flag for flag, _ in judge(quality, plausible_ml)]


@pytest.fixture(scope="module")
def chest():
    return make_chest()


@pytest.fixture(scope="module")
def segmented(chest):
    return segment_lungs(chest.ct)


def test_both_lungs_are_found_and_nothing_outside_the_body(chest, segmented):
    lungs, quality = segmented
    assert dice(lungs, chest.lungs) > 0.97
    assert not lungs[~chest.body].any()
    ground_truth_ml = np.count_nonzero(chest.lungs) / 2000
    assert quality.left_ml == pytest.approx(ground_truth_ml, rel=0.05)
    assert quality.right_ml == pytest.approx(ground_truth_ml, rel=0.05)
    assert quality.volume_ml == pytest.approx(quality.left_ml + quality.right_ml)
    assert quality.median_hu == pytest.approx(-850, abs=10)
    assert codes_of(quality) == []


def test_the_windpipe_that_opens_at_the_top_stays_outside(chest, segmented):
    lungs, _ = segmented
    assert not lungs[100:].any()
    assert np.mean(lungs[70:][chest.windpipe[70:]]) < 0.02


def test_bowel_gas_is_not_lung(chest, segmented):
    lungs, _ = segmented
    assert np.mean(lungs[chest.gas]) < 0.001


def test_bowel_gas_that_leaks_into_the_lung_is_not_lung():
    leak = ((20, 48, 126), (12, 8, 3), GAS_HU)
    chest = make_chest(lesions=[leak])
    lungs, _ = segment_lungs(chest.ct)
    assert np.mean(lungs[ball(GAS_ZYX_MM, GAS_RADII_MM)]) < 0.05
    assert dice(lungs, chest.lungs) > 0.96


@pytest.mark.parametrize("width", [3, 10, 24])
def test_bowel_gas_below_a_hole_in_the_diaphragm_is_not_lung(width):
    gas, hole = ((6, 50, 126), (16, 24, 26), GAS_HU), ((18, 54, 126), (12, width, width), GAS_HU)
    chest = make_chest(lesions=[gas, hole])
    lungs, _ = segment_lungs(chest.ct)
    assert np.mean(lungs[ball(*gas[:2]) & ~chest.lungs]) < 0.01
    assert dice(lungs, chest.lungs) > 0.97


def test_a_stomach_full_of_gas_is_not_lung_however_large():
    gas = ((20, 62, 88), (20, 36, 44), GAS_HU)
    chest = make_chest(gas=False, windpipe=False, lesions=[gas])
    lungs, quality = segment_lungs(chest.ct)
    assert np.mean(lungs[ball(*gas[:2])]) < 0.05
    assert dice(lungs, chest.lungs & ~ball(*gas[:2])) > 0.95
    assert codes_of(quality) == []


def test_a_lung_darker_than_any_lung_is_used_with_a_warning():
    """Half of what is found is darker than lung, but holds too large a share of it to be taken away as gas."""
    dark = (LUNG_ZYX_MM["left"], LUNG_RADII_MM, -980)
    _, quality = segment_lungs(make_chest(lesions=[dark], gas=False, windpipe=False).ct)
    [(flag, detail)] = judge(quality, (50, 9000))
    assert (flag, detail) == ("W_LUNG_GAS", f"{quality.gas_share:.2f} of the mask is darker than -970 HU")


@pytest.mark.parametrize(
    ("centre", "radii"),
    [
        ((55, 62, 165), (3, 2, 25)),
        ((55, 62, 165), (15, 3, 25)),
        ((55, 62, 165), (40, 6, 25)),
        ((55, 15, 126), (40, 25, 6)),
    ],
)
def test_a_gap_in_the_chest_wall_lets_no_outside_air_in_and_no_lung_out(centre, radii):
    chest = make_chest(lesions=[(centre, radii, GAS_HU)])
    lungs, quality = segment_lungs(chest.ct)
    assert not lungs[~chest.body].any()
    assert dice(lungs, chest.lungs) > 0.99
    [(flag, detail)] = judge(quality, (50, 9000))
    assert flag == "W_LUNG_LEAK"
    assert f"{quality.leak_area_mm2:.0f} mm2" in detail


def test_a_pocket_of_air_under_the_back_is_not_lung(chest, segmented):
    lungs, _ = segmented
    assert not lungs[:, 112:].any()


def test_a_nodule_inside_the_lung_is_filled():
    nodule = ((50, 60, 48), 9, SOFT_HU)
    lungs, _ = segment_lungs(make_chest(lesions=[nodule]).ct)
    assert lungs[ball(*nodule[:2])].all()


@pytest.mark.parametrize("centre", [(55, 33, 126), (55, 62, 149), (24, 62, 126)])
def test_a_nodule_at_the_pleura_lies_inside_the_mask(centre):
    nodule = (centre, 8, SOFT_HU)
    chest = make_chest(lesions=[nodule])
    lungs, _ = segment_lungs(chest.ct)
    inside = ball(*nodule[:2]) & chest.lungs
    assert add_margin(lungs, chest.ct)[inside].all()


def test_a_dark_patch_of_emphysema_stays_lung():
    patch = ((70, 62, 126), (14, 16, 12), -985)
    chest = make_chest(lesions=[patch])
    lungs, _ = segment_lungs(chest.ct)
    assert lungs[ball(*patch[:2])].all()


def test_a_lung_darker_than_the_other_is_kept():
    dark = (LUNG_ZYX_MM["left"], LUNG_RADII_MM, -960)
    chest = make_chest(lesions=[dark])
    lungs, quality = segment_lungs(chest.ct)
    assert dice(lungs, chest.lungs) > 0.95
    assert "W_ONE_LUNG" not in codes_of(quality)


def test_lungs_that_touch_each_other_are_measured_apart():
    bridge = ((55, 45, 88), (20, 4, 16), -850)
    chest = make_chest(lesions=[bridge], windpipe=False)
    lungs, quality = segment_lungs(chest.ct)
    assert quality.left_ml == pytest.approx(quality.right_ml, rel=0.05)
    assert not lungs[55, 70, 88]


def test_a_slab_is_used_with_a_warning(chest):
    slab = chest.ct.crop((slice(45, 62), slice(None), slice(None)))
    lungs, quality = segment_lungs(slab)
    assert dice(lungs, chest.lungs[45:62]) > 0.95
    assert codes_of(quality) == ["W_LUNG_SLAB"]


def test_a_slab_is_not_called_small(chest):
    _, quality = segment_lungs(chest.ct.crop((slice(45, 62), slice(None), slice(None))))
    assert "W_LUNG_VOLUME" not in codes_of(quality, (1000, 9000))


def test_lungs_smaller_than_plausible_are_used_with_a_warning(segmented):
    assert codes_of(segmented[1], (1000, 9000)) == ["W_LUNG_VOLUME"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_lung_is_used_with_a_warning_that_says_which(side):
    chest = make_chest(sides=(side,))
    lungs, quality = segment_lungs(chest.ct)
    assert dice(lungs, chest.lungs) > 0.97
    assert codes_of(quality) == ["W_ONE_LUNG"]
    assert (quality.left_ml > quality.right_ml) == (side == "left")


@pytest.mark.parametrize("picture", ["square", "disc"])
def test_a_lung_that_the_edge_of_the_picture_cuts_is_kept_with_a_warning(picture):
    if picture == "square":
        whole = make_chest()
        ct, ground_truth = whole.ct.crop((slice(None), slice(None), slice(20, 130))), whole.lungs[:, :, 20:130]
    else:
        whole = make_chest(disc=(62, 70, 62))
        yy, xx = np.ogrid[: SHAPE_ZYX[1], : SHAPE_ZYX[2]]
        ct, ground_truth = whole.ct, whole.lungs & ((yy - 62) ** 2 + (xx - 70) ** 2 <= 60**2)
    lungs, quality = segment_lungs(ct)
    assert "W_LUNG_CUT" in codes_of(quality)
    assert dice(lungs, ground_truth) > 0.9


def test_a_lung_full_of_consolidation_is_used_with_a_warning():
    rng = np.random.default_rng(2)
    spots = [((rng.uniform(25, 85), rng.uniform(45, 80), rng.uniform(115, 140)), 5, SOFT_HU) for _ in range(40)]
    _, quality = segment_lungs(make_chest(lesions=spots).ct)
    assert codes_of(quality) == ["W_LUNG_DENSE"]


@pytest.mark.parametrize("gas", [True, False])
def test_a_body_without_lungs_is_quarantined(gas):
    with pytest.raises(Quarantine) as caught:
        segment_lungs(make_chest(sides=(), gas=gas, windpipe=False).ct)
    assert caught.value.flag == "Q_LUNGS_EMPTY"


@pytest.mark.parametrize("hu", [-1000, 40])
def test_an_even_picture_is_quarantined(chest, hu):
    even = Volume(np.full((20, 30, 40), hu, np.float32), chest.ct.affine)
    with pytest.raises(Quarantine) as caught:
        segment_lungs(even)
    assert caught.value.flag == "Q_LUNGS_EMPTY"


@pytest.mark.parametrize("volume_ml", [5, 13000])
def test_a_volume_that_no_lungs_have_is_quarantined(volume_ml):
    quality = LungQuality(volume_ml, volume_ml / 2, volume_ml / 2, -850, 0.02, 0, 0, 0, 0, 0)
    with pytest.raises(Quarantine) as caught:
        judge(quality)
    assert caught.value.flag == "Q_LUNG_VOLUME"


def test_a_coarse_grid_gives_the_same_lungs(segmented):
    _, fine = segmented
    _, coarse = segment_lungs(make_chest(spacing_mm=2.0).ct)
    assert coarse.volume_ml == pytest.approx(fine.volume_ml, rel=0.05)


def test_every_code_is_explained():
    from lungline.qc_flags import FLAGS

    warnings = {"W_LUNG_VOLUME", "W_LUNG_SLAB", "W_ONE_LUNG", "W_LUNG_CUT", "W_LUNG_DENSE", "W_LUNG_LEAK", "W_LUNG_GAS"}
    assert set(FLAGS) >= warnings | {"Q_LUNGS_EMPTY", "Q_LUNG_VOLUME"}
