"""What is missing from a lung is told by its shape, and nothing is missing from a healthy one."""

from __future__ import annotations

import numpy as np
import pytest

from lungline.imaging.lung_shape import SMALLEST_ML, judge_shape, missing_parts
from lungline.imaging.lungs import segment_lungs
from lungline.imaging.resampling import resample
from lungline.readers.scan import read_scan
from phantoms import make_chest

SPACING_MM = 3.0
SHAPE_ZYX = (90, 70, 100)  # voxels of 3 mm
#: Centre (z, y, x) in mm; x runs to the patient's left.
RIGHT, LEFT = (135.0, 105.0, 75.0), (135.0, 105.0, 225.0)


def egg(centre_mm, radii_mm) -> np.ndarray:
    axes = np.ogrid[: SHAPE_ZYX[0], : SHAPE_ZYX[1], : SHAPE_ZYX[2]]
    radii = np.broadcast_to(radii_mm, 3)
    return sum(((a * SPACING_MM - c) / r) ** 2 for a, c, r in zip(axes, centre_mm, radii, strict=True)) <= 1


def two_lungs() -> np.ndarray:
    """Lungs of unequal size as in people: a heart in the left one, domes of which the right one stands higher."""
    lungs = egg(RIGHT, (125, 85, 58)) | egg(LEFT, (125, 85, 58))
    lungs &= ~egg((90, 60, 190), (55, 45, 45))  # the heart
    lungs &= ~egg((10, 105, 75), (75, 60, 52)) & ~egg((0, 105, 225), (65, 60, 52))
    return lungs & ~egg((135, 150, 165), (500, 12, 12))  # the aorta


def ml(mask: np.ndarray) -> float:
    return np.count_nonzero(mask) * SPACING_MM**3 / 1000


def found(lungs: np.ndarray):
    return missing_parts(np.ascontiguousarray(lungs), (SPACING_MM,) * 3)[0]


@pytest.mark.parametrize("step", [1, -1], ids=["heart on the left", "heart on the right"])
def test_nothing_is_missing_from_healthy_lungs(step):
    parts, place = missing_parts(two_lungs()[:, :, ::step].copy(), (SPACING_MM,) * 3)
    assert parts == []
    assert place.shape == SHAPE_ZYX
    assert not place.any()


@pytest.mark.parametrize(
    ("side", "centre"),
    [
        ("left", (140, 105, 282)),  # at the ribs
        ("left", (130, 180, 235)),  # at the back
        ("left", (220, 105, 235)),  # in the apex
        ("right", (140, 105, 18)),
        ("right", (140, 175, 60)),
        ("right", (150, 30, 70)),  # at the front
        ("right", (215, 110, 70)),
    ],
)
@pytest.mark.parametrize("radius_mm", [28, 40])
def test_a_mass_at_the_chest_wall_is_told_with_its_side_volume_and_place(side, centre, radius_mm):
    lungs = two_lungs()
    mass = egg(centre, radius_mm) & lungs
    parts, place = missing_parts(lungs & ~mass, (SPACING_MM,) * 3)
    assert {part.side for part in parts} == {side}
    assert np.mean(place[mass]) > 0.75
    assert ml(place) < 2.2 * ml(mass) + 30
    assert 0.5 * ml(mass) < sum(part.volume_ml for part in parts) < 1.4 * ml(mass)
    off_mm = np.asarray(parts[0].centre_zyx) * SPACING_MM - np.argwhere(mass).mean(axis=0) * SPACING_MM
    assert np.linalg.norm(off_mm) < 20


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_lung_whose_lower_half_is_no_air_is_told(side):
    lungs = two_lungs()
    columns = np.arange(SHAPE_ZYX[2])
    gone = lungs & ((columns > 50) if side == "left" else (columns < 50))
    gone[45:] = False
    parts = found(lungs & ~gone)
    assert parts[0].side == side
    assert 0.25 * ml(gone) < sum(part.volume_ml for part in parts) < 1.2 * ml(gone)  # not where a heart may be


def test_what_is_thin_is_told_as_little_as_a_small_mass():
    lungs = two_lungs()
    assert found(lungs & ~egg((140, 105, 282), 12)) == []
    rind = two_lungs() & ~egg(LEFT, (121, 81, 54))  # pleura of 4 mm
    rind[:, :, :50] = False
    assert found(lungs & ~rind) == []


def test_a_single_lung_has_nothing_to_be_compared_with():
    lungs = two_lungs()
    lungs[:, :, :50] = False
    assert found(lungs) == []


def test_lungs_on_different_levels_and_specks_are_not_compared():
    lungs = np.zeros(SHAPE_ZYX, dtype=bool)
    lungs[5:30, 20:50, 10:40] = lungs[50:75, 20:50, 60:90] = True
    assert found(lungs) == []
    speck = np.zeros(SHAPE_ZYX, dtype=bool)
    speck[40, 30, [20, 80]] = True
    assert found(speck) == []


def test_a_child_is_measured_by_its_own_size():
    small = (SPACING_MM / 2,) * 3
    assert missing_parts(two_lungs(), small)[0] == []
    lungs = two_lungs()
    mass = egg((140, 105, 282), 45) & lungs
    [part], _ = missing_parts(lungs & ~mass, small)
    assert part.side == "left"
    assert part.volume_ml == pytest.approx(ml(mass) / 8, rel=0.5)


def test_missing_parts_are_told_in_millilitres_and_world_millimetres():
    lungs = two_lungs()
    mass = egg((140, 105, 282), 40) & lungs
    parts = found(lungs & ~mass)
    affine = np.array([[0, 0, 3.0, -150], [0, 3, 0, -100], [3, 0, 0, -500], [0, 0, 0, 1]])
    [(flag, detail)] = judge_shape(parts, affine)
    assert flag == "W_LUNG_MISSING"
    x, y, z = (affine @ [*parts[0].centre_zyx, 1])[:3].round().astype(int)
    assert detail == f"about {parts[0].volume_ml:.0f} ml of the left lung around x {x}, y {y}, z {z} mm"
    assert judge_shape([], affine) == []


def test_the_phantom_of_the_mask_lacks_nothing():
    chest = make_chest()
    assert missing_parts(segment_lungs(chest.ct)[0], chest.ct.spacing_zyx_mm)[0] == []


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "source", "side"),
    [
        ("cptac-c3n-00247", "dicom", None),
        ("lidc-idri-0002.mhd", "mhd", None),
        ("lidc-idri-0063.mhd", "mhd", None),
        ("4d-lung-hm10395.mhd", "mhd", "left"),  # a tumour between aorta and chest wall
        ("lung-dx-a0002", "dicom", "right"),  # a tumour at the hilum
    ],
)
def test_of_real_chests_those_with_a_large_tumour_lack_something(sample_data, name, source, side):
    ct = resample(read_scan(sample_data / "chest-ct" / name, source)[0], spacing_mm=2.0)
    parts, _ = missing_parts(segment_lungs(ct)[0], ct.spacing_zyx_mm)
    assert {part.side for part in parts} == ({side} if side else set())
    assert all(part.volume_ml >= SMALLEST_ML for part in parts)
