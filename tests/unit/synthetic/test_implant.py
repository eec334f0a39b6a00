import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn.functional import binary_cross_entropy_with_logits

from lungline.config.networks import UNetSpec
from lungline.detection.unet import UNet
from lungline.evaluation.auc import auc
from lungline.imaging import geometry
from lungline.imaging.intensity import scale_hu
from lungline.imaging.volume import overlap
from lungline.synthetic.blending import Blend, blend_in, close_ends, match, noise_of, weight_of
from lungline.synthetic.implant import ImplantedScan, implant
from lungline.synthetic.recipients import Chest, without_lesions, zoomed
from unit.synthetic.small_chest import round_nodule, small_chest

NODULES = [round_nodule(9, 1), round_nodule(6, 2, name="Q_R_1", malignant=0), round_nodule(12, 3, name="R_R_1")]


def implanted(seed: int, chest: Chest | None = None, distractors: int = 0) -> ImplantedScan:
    return implant(chest or small_chest(5), NODULES, NODULES[:1] * distractors, np.random.default_rng(seed))


def test_the_same_seed_inserts_the_same_and_another_something_else() -> None:
    one, again, other = implanted(1), implanted(1), implanted(2)
    assert np.array_equal(one.hu, again.hu)
    assert one.nodules == again.nodules
    assert not np.array_equal(one.hu, other.hu)


def test_hu_stay_as_they_were_away_from_what_was_implanted() -> None:
    chest = small_chest(5)
    scan = implanted(1, chest)
    away = ndimage.distance_transform_edt(scan.numbers == 0)
    assert np.array_equal(scan.hu[away > 13], chest.hu[away > 13])
    assert not np.array_equal(scan.hu, chest.hu)


def test_every_nodule_lies_where_its_voxels_are_numbered_and_in_the_lungs() -> None:
    chest = small_chest(5)
    scan = implanted(1, chest)
    assert len(scan.nodules) == len(NODULES)
    for number, nodule in enumerate(scan.nodules, start=1):
        voxels = np.argwhere(scan.numbers == number)
        assert geometry.voxel_to_world(chest.affine, voxels.mean(axis=0)) == pytest.approx(nodule.centre_xyz_mm)
        assert chest.lungs[tuple(voxels.T)].mean() >= 0.7
        assert scan.hu[tuple(voxels.T)].mean() > -300  # it is what it was: soft tissue
        assert {n.name: n.malignant for n in NODULES}[nodule.source] == nodule.malignant


def test_distractors_are_no_nodules() -> None:
    with_it, without = implanted(1, distractors=4), implanted(1)
    assert with_it.nodules == without.nodules
    assert np.array_equal(with_it.numbers, without.numbers)
    assert not np.array_equal(with_it.hu, without.hu)


def test_a_nodule_without_a_place_is_left_out() -> None:
    chest = small_chest(5)
    nowhere = Chest(chest.hu, chest.lungs, np.zeros_like(chest.lungs), chest.affine, 1.0)
    assert implanted(1, nowhere).nodules == ()


def test_known_lesions_take_no_nodule_and_are_cut_out_of_what_is_trained_on() -> None:
    chest = small_chest(5)
    z, y, x = 26, 32, 36
    chest.hu[z - 3 : z + 4, y - 3 : y + 4, x - 3 : x + 4] = 50.0
    sphere = [*geometry.voxel_to_world(chest.affine, (z, y, x)), 8.0]
    kept, cut = (without_lesions(chest, [sphere], cut_out=cut) for cut in (False, True))
    assert not kept.usable[z, y, x]
    assert kept.usable[z, y, x + 20]
    assert np.array_equal(kept.hu, chest.hu)
    assert cut.hu[z, y, x] == pytest.approx(-900)
    assert chest.hu[z, y, x] == 50.0  # the caller's own array


def test_a_nodule_that_ends_with_its_volume_gets_round_ends() -> None:
    nodule = round_nodule(10)
    flat = nodule.mask[2:8]
    closed = close_ends(type(nodule)("a", "a", 0, 10.0, nodule.hu[2:8], flat, 1.0))
    areas = closed.mask.sum(axis=(1, 2))
    assert np.array_equal(closed.mask[4:10], flat)
    assert areas[3] < areas[4]
    assert list(areas[:4]) == sorted(areas[:4])
    assert areas[0] == 0


def test_a_weight_is_one_in_the_nodule_and_zero_at_the_ends_of_its_volume() -> None:
    mask = round_nodule(10).mask
    weight = weight_of(mask, Blend(4.0, 1.0))
    assert np.all(weight[mask] == 1)
    assert weight[:, 0].max() == weight[:, :, -1].max() == 0
    assert np.all(weight[ndimage.distance_transform_edt(~mask) > 4] == 0)


def test_a_sharp_piece_is_blurred_for_thick_slices_and_gets_the_noise_of_the_scan() -> None:
    nodule, chest = round_nodule(9, 4), small_chest(5, noise_hu=60.0)
    quiet = np.where(nodule.mask, 30.0, -840.0).astype(np.float32)
    grain = chest.grain_like(quiet.shape, np.random.default_rng(0))
    seen = match(quiet, thickness_mm=(1.0, 5.0), noise_hu=(0.0, chest.noise_hu), receiving_grain=grain)
    thin = np.pad(quiet[3:6], ((8, 8), (0, 0), (0, 0)), constant_values=-840.0)  # three slices of it
    blurred = match(thin, thickness_mm=(1.0, 5.0), noise_hu=(0.0, 0.0), receiving_grain=np.zeros_like(thin))
    assert blurred.max() < -200 < thin.max()
    assert noise_of(seen) == pytest.approx(chest.noise_hu, rel=0.35)


def test_a_zoomed_chest_keeps_its_voxels_in_step() -> None:
    chest = small_chest(5)
    larger = zoomed(chest, np.random.default_rng(3))
    assert larger.hu.shape == larger.lungs.shape == larger.usable.shape != chest.hu.shape
    inside = ndimage.binary_erosion(larger.lungs, iterations=3)
    assert larger.hu[inside].mean() == pytest.approx(
        chest.hu[ndimage.binary_erosion(chest.lungs, iterations=3)].mean(), abs=15
    )


def learned_by(volumes: list[tuple[np.ndarray, np.ndarray]]) -> UNet:
    """A tiny detector after a short training on (HU, marks)."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = UNet(UNetSpec(slices=3, base_channels=4, levels=2, dropout=0.0, norm="group"))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        images, marks = [], []
        for _ in range(8):
            hu, mark = volumes[rng.integers(len(volumes))]
            z = rng.choice(np.flatnonzero(mark[1:-1].any(axis=(1, 2)))) + 1
            images.append(scale_hu(hu[z - 1 : z + 2]))
            marks.append(mark[z : z + 1].astype(np.float32))
        logits = network(torch.from_numpy(np.stack(images)))
        loss = binary_cross_entropy_with_logits(logits, torch.from_numpy(np.stack(marks)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def told_apart(network: UNet, hu: np.ndarray, marks: np.ndarray, lungs: np.ndarray) -> float:
    """AUC of the detector's answers in marked voxels of the lungs against the others."""
    scaled = scale_hu(hu)
    slices = np.stack([scaled[z - 1 : z + 2] for z in range(1, len(hu) - 1)])
    with torch.inference_mode():
        logits = network(torch.from_numpy(slices))[:, 0].numpy()
    inside = ndimage.binary_erosion(lungs, iterations=2)[1:-1]
    value = auc(marks[1:-1][inside].astype(np.int64), logits[inside].astype(np.float64)).value
    assert value is not None
    return value


def blended_nothing(seed: int) -> tuple[np.ndarray, np.ndarray, Chest]:
    """A chest with distractors alone, and the voxels that it changed."""
    chest = small_chest(100 + seed)
    scan = implant(chest, [], [round_nodule(9, 9 + i) for i in range(8)], np.random.default_rng(seed))
    changed = np.abs(scan.hu - chest.hu) > 1
    return scan.hu, ndimage.binary_opening(ndimage.binary_closing(changed)), chest


def pasted_crudely(seed: int) -> tuple[np.ndarray, np.ndarray, Chest]:
    """The same without care: smooth tissue with a hard edge."""
    chest, rng = small_chest(200 + seed), np.random.default_rng(seed)
    hu, marks = chest.hu.copy(), np.zeros(chest.hu.shape, dtype=bool)
    ball = round_nodule(9).mask
    for voxel in rng.permutation(np.argwhere(chest.depth_mm > 10))[:8]:
        first = voxel - np.array(ball.shape) // 2
        blend_in(hu, np.full(ball.shape, -800, dtype=np.float32), ball.astype(np.float32), first)
        there, own = overlap(hu.shape, ball.shape, first)
        marks[there] |= ball[own]
    return hu, marks, chest


def test_a_detector_that_is_taught_blended_nothing_finds_nothing() -> None:
    """Else it would learn the seam: what was blended in could be told by how, not by what it is."""
    found = {}
    for made in (blended_nothing, pasted_crudely):
        network = learned_by([made(seed)[:2] for seed in range(4)])
        hu, marks, chest = made(9)
        found[made.__name__] = told_apart(network, hu, marks, chest.lungs)
    assert found["pasted_crudely"] > 0.85  # it would find a seam
    assert found["blended_nothing"] < 0.65
