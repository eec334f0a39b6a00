"""The drawn chest: what a radiologist and a lung segmentation would find in it."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from numpy.typing import NDArray

from lungline.imaging.geometry import world_to_voxel
from lungline.imaging.volume import Volume
from lungline.synthetic.cohort import FIRST_TEST_INDEX, ScanPlan, plan_scan
from lungline.synthetic.phantom import INFLATED_LUNG_HU, TABLE_1_HU, simulate_scan_hu
from lungline.synthetic.rendering import add_noise, ball_distance, coverage, make_grid, paint, paint_capsule
from lungline.synthetic.seeds import random_stream


@pytest.fixture(scope="module")
def plan() -> ScanPlan:
    return plan_scan("dsb17", 1, 3, 0.45)


@pytest.fixture(scope="module")
def ct(plan: ScanPlan) -> Volume:
    return simulate_scan_hu(plan)


def at(plan: ScanPlan, ct: Volume, life_xyz_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """Voxel at a point of the body that is given in life size."""
    world = np.asarray(plan.body_xyz_mm) + plan.anatomy.scale * np.asarray(life_xyz_mm)
    z, y, x = np.rint(world_to_voxel(ct.affine, world)).astype(int)
    return int(z), int(y), int(x)


def mean_hu(plan: ScanPlan, ct: Volume, life_xyz_mm: tuple[float, float, float]) -> float:
    z, y, x = at(plan, ct, life_xyz_mm)
    return float(ct.array[z, y - 1 : y + 2, x - 1 : x + 2].mean())


def test_the_same_seed_draws_the_same_voxels(plan: ScanPlan, ct: Volume) -> None:
    assert np.array_equal(simulate_scan_hu(plan).array, ct.array)


@pytest.mark.parametrize("index", [1, 4, 7, 9])
@pytest.mark.parametrize("scale", [0.3, 0.45])
def test_lungs_are_two_unequal_pieces_and_the_windpipe_a_third(index: int, scale: float) -> None:
    plan = plan_scan("dsb17", index, 3, scale)
    ct = simulate_scan_hu(plan)
    pieces = cc3d.connected_components(ct.array < -320, connectivity=6)
    size = np.bincount(pieces.ravel())
    inside = [p for p in np.argsort(-size) if p and not _touches_a_side(pieces == p)]
    right, left = inside[:2]
    windpipe = pieces[(-1, *at(plan, ct, (0, 8, 222))[1:])]
    centre_x = world_to_voxel(ct.affine, plan.body_xyz_mm)[2]
    assert np.nonzero(pieces == right)[2].mean() < centre_x < np.nonzero(pieces == left)[2].mean()
    assert 1.02 * size[left] < size[right] < 1.5 * size[left]
    litres = size[[right, left]].sum() * abs(np.linalg.det(ct.affine[:3, :3])) / 1e6 / scale**3
    assert 2 < litres < 8
    assert windpipe not in (0, right, left), "the windpipe opens at the top slice, apart from the lungs"
    assert not np.isin([right, left], pieces[-1]).any()


def _touches_a_side(piece: NDArray[np.bool_]) -> bool:
    return bool(piece[:, [0, -1]].any() or piece[:, :, [0, -1]].any() or piece[0].any())


def test_the_windpipe_is_open_air_at_the_top_slice(plan: ScanPlan, ct: Volume) -> None:
    _, y, x = at(plan, ct, (0, 8, 222))
    assert ct.array[-1, y, x] < -900
    assert ct.array[-1, y, x + round(25 * plan.anatomy.scale / plan.spacing_zyx_mm[2])] > -200


def test_tissues_have_the_hu_of_table_1(plan: ScanPlan, ct: Volume) -> None:
    anatomy = plan.anatomy
    where = {
        "muscle": (0.0, -anatomy.body_mm * anatomy.depth_ratio + anatomy.fat_mm + 5, 200.0),
        "liver": (-60.0, 0.0, 20.0),
        "bone": (0.0, 66.0, 108.0),
        "fat": (anatomy.body_mm - 2 - anatomy.fat_mm / 2, 0.0, 200.0),
    }
    for substance, point in where.items():
        low, high = TABLE_1_HU[substance]
        assert low - 20 <= mean_hu(plan, ct, point) <= high + 20, substance
    assert abs(mean_hu(plan, ct, (16.0, -30.0, 88.0)) - anatomy.contrast_hu) < 20
    z, y, _ = at(plan, ct, (0.0, 0.0, 200.0))
    assert abs(float(ct.array[z, y, :3].mean()) + 1000) < 20


def test_lungs_are_inflated_and_heavier_at_the_back(plan: ScanPlan, ct: Volume) -> None:
    z, y, x = at(plan, ct, (-70, 5, 110))
    block = ct.array[z - 8 : z + 8, :, x - 8 : x + 8].astype(float)
    block[block > -700] = np.nan  # vessels
    reach = round(45 * plan.anatomy.scale / plan.spacing_zyx_mm[1])
    front, back = (float(np.nanmean(block[:, row - 4 : row + 4])) for row in (y - reach, y + reach))
    assert INFLATED_LUNG_HU[0] - 20 < front < back - 8 < back < INFLATED_LUNG_HU[1] + 20


def test_noise_has_its_strength_and_is_correlated_between_neighbours() -> None:
    noise = np.zeros((20, 64, 64), dtype=np.float32)
    add_noise(noise, random_stream("noise"), 20.0)
    assert noise.std() == pytest.approx(20, rel=0.03)
    neighbours = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    assert neighbours == pytest.approx(0.5, abs=0.03)


def test_partial_volume_makes_a_drawn_ball_as_large_as_it_should_be() -> None:
    grid = make_grid((16, 40, 44), (2.0, 0.7, 0.6), (-15.3, -13.2, -13.1))
    volume = np.full(grid.shape_zyx, -1000, dtype=np.float32)
    paint(volume, grid, [-8] * 3, [8] * 3, ball_distance((0.2, -0.3, 0.1), 6.0), 0.0)
    drawn = float((volume + 1000).sum() / 1000) * 2.0 * 0.7 * 0.6
    assert drawn == pytest.approx(4 / 3 * np.pi * 6.0**3, rel=0.02)


def test_coverage_is_half_on_the_surface() -> None:
    share = coverage(np.array([-2.0, -0.25, 0.0, 0.25, 2.0], dtype=np.float32), 1.0)
    assert share.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_rod_tapers_and_one_outside_the_grid_draws_nothing() -> None:
    grid = make_grid((30, 30, 60), (0.8, 0.8, 0.8), (0, 0, 0))
    volume = np.zeros(grid.shape_zyx, dtype=np.float32)
    paint_capsule(volume, grid, np.array([8.0, 12, 12]), np.array([40.0, 12, 12]), 4.0, 1.0, 1.0)
    area = volume.sum(axis=(0, 1)) * 0.8**2
    assert area[12] == pytest.approx(np.pi * (4 - 3 * (9.6 - 8) / 32) ** 2, rel=0.06)
    assert area[12] > area[30] > area[48] > 0
    before = volume.copy()
    paint_capsule(volume, grid, np.array([200.0, 0, 0]), np.array([220.0, 0, 0]), 4.0, 1.0, 1.0)
    assert np.array_equal(volume, before)


def test_malignant_nodules_have_a_haze_that_benign_ones_lack() -> None:
    """The mean HU of the shell just outside the body: lung for a benign nodule, clearly more for a malignant one."""
    shell: dict[bool, list[float]] = {True: [], False: []}
    for index in range(8):
        plan = plan_scan("dsb17", FIRST_TEST_INDEX + index, 4, 0.45)
        ct = simulate_scan_hu(plan)
        grid = np.stack(np.meshgrid(*map(np.arange, ct.shape_zyx), indexing="ij"), axis=-1)
        for nodule in plan.nodules:
            if nodule.pleural or "part-solid" in nodule.kind:
                continue
            centre = world_to_voxel(ct.affine, plan.world_xyz_mm(nodule))
            distance = np.linalg.norm((grid - centre) * plan.spacing_zyx_mm, axis=-1) - nodule.radius_mm
            shell[nodule.malignant].append(float(ct.array[(distance > 1.0) & (distance < 2.0)].mean()))
    assert np.median(shell[True]) > np.median(shell[False]) + 80
