"""Draw the whole chest: body, table, bones, organs, lungs with vessels and airways, and what lies in them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume
from lungline.synthetic.anatomy import SIDES, SPINE_RADIUS_MM, SPINE_XY_MM, Anatomy
from lungline.synthetic.cohort import ScanPlan
from lungline.synthetic.phantom_nodules import Nodule, paint_nodule, paint_scars
from lungline.synthetic.rendering import (
    Array,
    Grid,
    add_noise,
    ball_distance,
    blend,
    coverage,
    ellipsoid_distance,
    interpolate,
    make_grid,
    paint,
    paint_capsule,
)
from lungline.synthetic.seeds import random_stream
from lungline.synthetic.trees import Tree, grow_tree

#: What is simulated of Table 1 of Zhang et al. 2017: lowest and highest HU.
TABLE_1_HU = {
    "air": (-1000, -1000),
    "fat": (-120, -90),
    "lymph node": (10, 20),
    "blood": (30, 45),
    "muscle": (35, 55),
    "liver": (40, 60),
    "bone": (700, 3000),
}
#: Table 1 gives one figure for the lung, -500 HU, which is lung tissue. A lung held in full inspiration is nearer
#: to -850 HU, heavier towards the back, and that is what a screening CT shows and what the phantom shows.
INFLATED_LUNG_HU = (-880.0, -820.0)
AIR_HU, FAT_HU, NODE_HU, BLOOD_HU, MUSCLE_HU, LIVER_HU, _ = ((low + high) / 2 for low, high in TABLE_1_HU.values())
BONE_HU = TABLE_1_HU["bone"][0] + 100.0
#: Radius of the airways where they enter a lung. Thinner than a voxel, so that a threshold does not join the two
#: lungs through the windpipe of a chest that is smaller than its voxels deserve.
NARROW_MM = 0.1


def simulate_scan_hu(plan: ScanPlan) -> Volume:
    """The CT as the scanner would have stored it: int16 HU (Z, Y, X) in LPS order, -1024..3071, with its affine."""
    x, y, z = (o - b for o, b in zip(plan.origin_xyz_mm, plan.body_xyz_mm, strict=True))
    grid = make_grid(plan.shape_zyx, plan.spacing_zyx_mm, (z, y, x))
    rng = random_stream(plan.seed, plan.dataset, plan.index, "drawing")
    hu = simulate_chest(grid, plan.anatomy, plan.nodules, rng)
    np.rint(hu, out=hu)
    np.clip(hu, -1024, 3071, out=hu)
    return Volume(hu.astype(np.int16), make_affine(plan.spacing_zyx_mm, plan.origin_xyz_mm))


def simulate_chest(grid: Grid, anatomy: Anatomy, nodules: Sequence[Nodule], rng: np.random.Generator) -> Array:
    """HU (Z, Y, X) float32 of one chest on a grid of the body's frame; `rng` decides vessels, airways, scars, noise."""
    volume = _body(grid, anatomy)
    _add_abdomen(volume, grid, anatomy)
    _add_heart(volume, grid, anatomy)
    _add_bones(volume, grid, anatomy)
    for side in SIDES:
        _add_lung(volume, grid, anatomy, side, rng)
    for side in SIDES:
        own = [nodule for nodule in nodules if nodule.side == side]
        _add_vessels(volume, grid, anatomy, side, own, rng)
        _add_airways(volume, grid, anatomy, side, own, rng)
    _add_trachea(volume, grid, anatomy)
    paint_scars(volume, grid, rng, anatomy, nodules)
    for nodule in nodules:
        paint_nodule(volume, grid, nodule)
    add_noise(volume, rng, float(rng.uniform(15, 25)))
    return volume


def _body(grid: Grid, anatomy: Anatomy) -> Array:
    """Air, table, skin, fat, muscle and the fat of the mediastinum: the same in every slice."""
    s = anatomy.scale
    x, y, _ = grid.mesh((slice(0, 1), slice(None), slice(None)))
    width = grid.spacing_zyx_mm[2]
    a, b = anatomy.body_mm * s, anatomy.body_mm * anatomy.depth_ratio * s
    slice_hu = np.full(grid.shape_zyx[1:], AIR_HU, dtype=np.float32)

    table_y = b + 1.0 * s
    table = np.abs(y - table_y - 12 * s - 0.0006 / s * x**2) - 9 * s + 0 * x
    table = np.maximum(table, np.abs(x) - 0.8 * a)
    blend(slice_hu, coverage(table, width), -100.0)  # a shell of carbon fibre
    blend(slice_hu, coverage(table + 2.5, width), -900.0)  # filled with foam

    body = (((np.abs(x) / a) ** 2.2 + (np.abs(y) / b) ** 2.2) ** (1 / 2.2) - 1) * b
    blend(slice_hu, coverage(body, width), MUSCLE_HU)  # the skin
    blend(slice_hu, coverage(body + 2 * s, width), FAT_HU)
    blend(slice_hu, coverage(body + (2 + anatomy.fat_mm) * s, width), MUSCLE_HU)
    mediastinum = (np.hypot(x / (52 * s), (y - 4 * s) / (84 * s)) - 1) * 52 * s
    blend(slice_hu, coverage(mediastinum, width), FAT_HU)
    return np.broadcast_to(slice_hu, grid.shape_zyx).copy()


def _add_abdomen(volume: Array, grid: Grid, anatomy: Anatomy) -> None:
    """Liver under the right dome, stomach (with a bubble of gas in some) and spleen under the left one."""
    s = anatomy.scale
    x, y, z = grid.mesh((slice(None), slice(None), slice(None)))
    cavity = (np.hypot(x / (124 * s), (y - 4 * s) / (84 * s)) - 1) * 90 * s
    middle = np.maximum(np.abs(x) - 8 * s, 0)
    for side, hu in zip(SIDES, (LIVER_HU, BLOOD_HU), strict=True):
        here = (grid.x < 0) if side == "right" else (grid.x >= 0)
        columns = slice(int(np.argmax(here)), int(len(here) - np.argmax(here[::-1])))
        top = anatomy.diaphragm_height(side, x[columns], y) - 2.5 * s
        below = z[z[:, 0, 0] <= top.max() + 2]
        rows = slice(0, len(below))
        organ = np.maximum(below - top, np.maximum(cavity, 3 * s - middle)[:, columns])
        blend(volume[rows, :, columns], coverage(organ, grid.spacing_zyx_mm[2]), hu)
    if anatomy.gas_mm:
        radius = anatomy.gas_mm * s
        dome = float(anatomy.diaphragm_height("left", 58 * s, -26 * s))
        centre = np.array([58 * s, -26 * s, dome - radius * 0.7 - 9 * s])
        shape = ellipsoid_distance(centre, radius * np.array([1.3, 1.0, 0.7]), np.eye(3))
        paint(volume, grid, centre - 1.4 * radius - 1, centre + 1.4 * radius + 1, shape, AIR_HU)


def _add_heart(volume: Array, grid: Grid, anatomy: Anatomy) -> None:
    """The heart, the aorta and the great vessels, filled with blood (and contrast in some patients)."""
    s, hu = anatomy.scale, anatomy.contrast_hu
    reach = anatomy.heart_mm * s
    centre = np.array([16, -30, 88]) * s
    paint(volume, grid, centre - reach - 1, centre + reach + 1, anatomy.heart_distance, hu)
    arch = np.array([[16, -24, 120], [10, -22, 150], [14, 6, 164], [20, 34, 150], [22, 40, 110], [20, 40, -5]]) * s
    for start, end in pairwise(arch):
        paint_capsule(volume, grid, start, end, 11 * s, 11 * s, hu)
    cava = np.array([[-16, -22, 120], [-16, -24, 226]]) * s
    paint_capsule(volume, grid, cava[0], cava[1], 8 * s, 8 * s, hu)
    for side in SIDES:
        paint_capsule(volume, grid, np.array([6, -16, 118]) * s, anatomy.hilum_xyz_mm(side), 10 * s, 9 * s, hu)


def _add_bones(volume: Array, grid: Grid, anatomy: Anatomy) -> None:
    """Spine with discs and canal, sternum, and ribs that slope down to the front."""
    s, width = anatomy.scale, grid.spacing_zyx_mm[2]
    x, y, z = grid.mesh((slice(None), slice(None), slice(None)))
    sx, sy = SPINE_XY_MM[0] * s, SPINE_XY_MM[1] * s
    vertebra = np.hypot(x - sx, (y - sy) * 1.15) - SPINE_RADIUS_MM * s
    process = np.maximum(np.abs(x - sx) - 4 * s, np.abs(y - sy - 34 * s) - 13 * s)
    canal = np.hypot(x - sx, y - sy - 26 * s) - 8 * s
    bone = coverage(np.minimum(vertebra, process), width)
    period = 24 * s
    disc = coverage(np.abs((grid.z + period / 2) % period - period / 2) - 2.5 * s, grid.spacing_zyx_mm[0])
    hu = BONE_HU + disc * (90.0 - BONE_HU)
    bony = np.flatnonzero(bone.any(axis=0))
    tall = np.flatnonzero(bone.any(axis=1))
    part = (slice(None), slice(tall[0], tall[-1] + 1), slice(bony[0], bony[-1] + 1))
    blend(volume[part], np.repeat(bone[part[1:]][None], len(volume), 0), hu[:, None, None])
    blend(volume[part], np.repeat(coverage(canal, width)[part[1:]][None], len(volume), 0), 15.0)
    breast = np.array([0, -97, 120]) * s
    sternum = ellipsoid_distance(breast, np.array([17, 6, 70]) * s, np.eye(3))
    paint(volume, grid, breast - np.array([18, 8, 72]) * s, breast + np.array([18, 8, 72]) * s, sternum, BONE_HU)

    ring = (np.hypot(x / (137 * s), (y - 4 * s) / (95 * s)) - 1) * 110 * s
    shell = np.nonzero((np.abs(ring) < 6 * s + width) & (np.hypot(x, (y + 95 * s)) > 42 * s))
    front = (4 * s - grid.y[shell[0]]) / (95 * s)
    height = z[:, :, 0] + 22 * s * (front + 1)
    rib = np.hypot(ring[shell], 0.75 * ((height + period / 2) % period - period / 2)) - 4.5 * s
    share = coverage(rib.astype(np.float32), max(width, 0.5 * grid.spacing_zyx_mm[0]))
    volume[:, shell[0], shell[1]] += share * (BONE_HU - volume[:, shell[0], shell[1]])


def _add_lung(volume: Array, grid: Grid, anatomy: Anatomy, side: str, rng: np.random.Generator) -> None:
    """Aerated parenchyma, heavier towards the back, with a coarse texture."""
    low, high = anatomy.lung_box_mm(side)
    step = max(2.0, 5.0 * anatomy.scale)
    x, y, z = (np.arange(a - step, b + 2 * step, step, dtype=np.float32) for a, b in zip(low, high, strict=True))
    axes, y = (z, y, x), y[:, None]
    distance = anatomy.lung_distance(side, x, y, z[:, None, None])
    slopes = np.gradient(distance, step)
    distance /= np.clip(np.sqrt(sum(slope**2 for slope in slopes)), 0.3, 3.0)
    texture = rng.normal(0, 12, distance.shape).astype(np.float32)
    parenchyma = texture + np.float32(anatomy.lung_hu) + (y - 5 * anatomy.scale) * np.float32(0.25 / anatomy.scale)
    box = grid.box(low, high)
    share = coverage(interpolate(distance, axes, grid, box), grid.spacing_zyx_mm[2])
    hu = interpolate(np.clip(parenchyma, INFLATED_LUNG_HU[0] - 30, INFLATED_LUNG_HU[1] + 40), axes, grid, box)
    blend(volume[box], share, hu)


def _add_vessels(
    volume: Array, grid: Grid, anatomy: Anatomy, side: str, nodules: Sequence[Nodule], rng: np.random.Generator
) -> None:
    """An arterial and a venous tree; some forks are thickened, which makes them look like small nodules."""
    tips = round(60 * (anatomy.scale / 0.45) ** 1.5)  # a larger lung shows more vessels of the same calibre
    for shift in ((0, -4, 6), (0, 6, -8)):
        tree = grow_tree(rng, anatomy, side, nodules, tips=tips, tip_radius_mm=0.45, root_shift_mm=shift)
        _paint_tree(volume, grid, tree, 0.0, BLOOD_HU)
        for k in rng.permutation(len(tree.junctions))[:3]:
            centre, radius = tree.junctions[k][0], 1.5 * tree.junctions[k][1]
            paint(volume, grid, centre - radius - 1, centre + radius + 1, ball_distance(centre, radius), 40.0)


def _add_airways(
    volume: Array, grid: Grid, anatomy: Anatomy, side: str, nodules: Sequence[Nodule], rng: np.random.Generator
) -> None:
    """Bronchi inside a lung: a wall, and a lumen that at the hilum is narrower than a voxel of a scaled chest."""
    s = anatomy.scale
    hilum = anatomy.hilum_xyz_mm(side)
    paint(volume, grid, hilum - 15 * s, hilum + 15 * s, ball_distance(hilum, 13 * s), NODE_HU)
    tree = grow_tree(rng, anatomy, side, nodules, tips=9, tip_radius_mm=0.55 + 0.6 * s)
    _paint_tree(volume, grid, tree, 0.8, MUSCLE_HU)
    _paint_tree(volume, grid, tree, 0.0, AIR_HU)
    paint(volume, grid, hilum - 10 * s, hilum + 10 * s, ball_distance(hilum, 9 * s), NODE_HU)


def _paint_tree(volume: Array, grid: Grid, tree: Tree, wall_mm: float, hu: float) -> None:
    for start, end, r0, r1 in tree.pieces:
        paint_capsule(volume, grid, start, end, r0 + wall_mm, r1 + wall_mm, hu)


def _add_trachea(volume: Array, grid: Grid, anatomy: Anatomy) -> None:
    """Windpipe from above the top slice to its fork, and the main bronchi, wrapped in tissue, to the hila."""
    s = anatomy.scale
    top, fork = np.array([0, 8, 240]) * s, np.array([0, 14, 134]) * s
    pipes: list[tuple[NDArray, NDArray, float, float, float]] = [(top, fork, 9 * s, 8.5 * s, 2.2 * s)]
    for side in SIDES:
        hilum = anatomy.hilum_xyz_mm(side)
        last = fork + 0.75 * (hilum - fork)
        pipes.append((fork, last, 7 * s, 5.5 * s, max(6 * s, 2.7)))
        pipes.append((last, hilum, NARROW_MM, NARROW_MM, 2 * s))
    for start, end, r0, r1, wall in pipes:
        paint_capsule(volume, grid, start, end, r0 + wall, r1 + wall, MUSCLE_HU)
    for start, end, r0, r1, _ in pipes:
        paint_capsule(volume, grid, start, end, r0, r1, AIR_HU)
