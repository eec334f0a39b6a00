"""How many nodules follow-up pairs rightly when the patient lies and breathes otherwise: rigid and deformable.

    python -m experiments.pairing [--moves 3] [--out results/pairing] [--commit COMMIT]

Takes two real chests of the sample data, implants real nodules of LIDC-IDRI patients, and makes later scans of each:
the patient is turned and shifted, and breathes less deep by a smooth field that moves the base of the lungs by 10 or
20 mm (and, beyond what is usual, by 30), their apex by 1 mm, spine and chest wall hardly; the lungs are denser, and
noise is added; the mask of the lungs moves with them. Marks stand for a detector: each nodule is found with a chance of
85 % in each scan, its centroid off by 1 mm, beside five marks a scan on nothing, which have no partner. With --commit
the table also becomes docs/results/pairing.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from experiments.figures import RESULTS, markdown
from lungline.evaluation.intervals import wilson
from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box
from lungline.imaging.lungs import segment_lungs
from lungline.imaging.registration import RigidTransform, prepared, register_lungs
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.nodules.matching import pair_points
from lungline.readers.scan import read_scan
from lungline.synthetic.blending import SourceNodule
from lungline.synthetic.implant import implant
from lungline.synthetic.recipients import Chest
from lungline.synthetic.source_nodules import read_nodule, read_nodule_rows
from tests.repository import REPOSITORY

CHESTS = ("lidc-idri-0002.mhd", "nsclc-radiogenomics-r01-001.mhd")
BASE_MM, APEX_MM = (10.0, 20.0, 30.0), 1.0
NODULES, FOUND, FALSE_MARKS, OFF_MM, TOLERANCE_MM = 24, 0.85, 5, 1.0, 12.0
MOST_TURN_DEG, MOST_SHIFT_MM, NOISE_HU, DENSER_HU = 5.0, 10.0, 15.0, 20.0
KINDS = ("rigid", "deformable")
#: Demons: by how much its grid of 2 mm is shrunk, and iterations, coarse to fine; blur of its field in voxels.
LEVELS, SMOOTH, OUTSIDE_HU = ((3, 80), (2, 60)), 1.5, 200.0
LUNG = 128  # what the label of a voxel in the lungs has more
MARGIN = 20  # mm around the lungs that take part
_SLAB = 16


@dataclass(frozen=True, eq=False)
class Move:
    """How the patient lies and breathes in the later scan: a point of it (z, y, x) shows which of the earlier one."""

    turn: NDArray[np.float64]  # (3, 3)
    shift: NDArray[np.float64]  # voxels of 1 mm
    middle: NDArray[np.float64]
    base_mm: float
    free: NDArray[np.float32]  # (Z, Y, X): 1 in the lungs, 0 far from them: what moves with the breath
    ends: tuple[float, float]  # base and apex of the lungs, voxels

    @classmethod
    def drawn(cls, lungs: NDArray[np.bool_], base_mm: float, rng: np.random.Generator) -> Move:
        """A move at random, with a breath that lifts the base by so much."""
        turn = Rotation.from_euler("zyx", rng.uniform(-MOST_TURN_DEG, MOST_TURN_DEG, 3), degrees=True).as_matrix()
        free = ndimage.gaussian_filter(lungs.astype(np.float32), 10)
        z = np.flatnonzero(lungs.any(axis=(1, 2)))
        middle, shift = (np.array(lungs.shape) - 1) / 2, rng.uniform(-MOST_SHIFT_MM, MOST_SHIFT_MM, 3)
        return cls(turn, shift, middle, base_mm, np.minimum(2 * free, 1), (float(z[0]), float(z[-1])))

    def earlier(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where in the earlier scan each point (3, ...) of the later one lies."""
        wide = (3, *[1] * (points.ndim - 1))
        still = np.tensordot(self.turn, points - self.middle.reshape(wide), axes=1)
        still += (self.middle + self.shift).reshape(wide)
        height = np.clip((still[0] - self.ends[0]) / (self.ends[1] - self.ends[0]), 0, 1)
        by = APEX_MM + (self.base_mm - APEX_MM) * (1 - height) ** 1.5
        by *= ndimage.map_coordinates(self.free, still, order=1)
        still[0] -= by  # the base has risen: what is here lay lower
        still[1] += 0.3 * by  # and the front has sunk
        return still


def later(hu: NDArray[np.float32], labels: NDArray, move: Move, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """HU and labels (Z, Y, X) of the later scan: numbers of the nodules, and `LUNG` more in the lungs."""
    out, outlines = np.empty(hu.shape, np.float32), np.empty(hu.shape, np.uint8)
    for first in range(0, hu.shape[0], _SLAB):
        last = min(first + _SLAB, hu.shape[0])
        grid = np.stack(np.mgrid[first:last, : hu.shape[1], : hu.shape[2]]).astype(np.float64)
        places = move.earlier(grid)
        out[first:last] = ndimage.map_coordinates(hu, places, order=1, mode="constant", cval=-1000.0)
        outlines[first:last] = ndimage.map_coordinates(labels, places, order=0)
    out[out < -500] += DENSER_HU
    out += rng.normal(0, NOISE_HU, hu.shape)
    return np.clip(out, -1024, 3071).astype(np.int16), outlines


def cases(folder: Path, moves: int, seed: int) -> Iterator[tuple[str, float, list[Any]]]:
    """Each chest in each of its moves: what is to be registered, and where each nodule lies in both scans."""
    rows = read_nodule_rows(folder / "lidc-nodules")
    for number, name in enumerate(CHESTS):
        read = resample(read_scan(folder / "chest-ct" / name, "mhd")[0])
        whole = segment_lungs(read)[0]
        z, y, x = (slice(max(part.start - MARGIN, 0), part.stop - 1 + MARGIN) for part in bounding_box(whole))
        read, lungs = read.crop((z, y, x)), whole[z, y, x]
        hu = read.array.astype(np.float32)
        chest = Chest(hu, lungs, lungs, read.affine, float(read.spacing_zyx_mm[0]))
        for k in range(moves):
            rng = np.random.default_rng([seed, number, k])
            chosen = [rows[i] for i in rng.choice(len(rows), NODULES, replace=False)]
            made = implant(chest, [source(folder, row) for row in chosen], [], rng)
            move = Move.drawn(lungs, BASE_MM[k % len(BASE_MM)], rng)
            labels = made.numbers + LUNG * lungs.astype(np.uint8)
            hu_later, labels = later(made.hu, labels, move, rng)
            numbers = labels % LUNG
            scans = [read.with_array(made.hu.astype(np.int16)), read.with_array(hu_later)]
            masks = [read.with_array(lungs), read.with_array(labels >= LUNG)]
            found = np.intersect1d(np.unique(made.numbers), np.unique(numbers))[1:]
            places = [
                geometry.voxel_to_world(read.affine, ndimage.center_of_mass(array > 0, array, found))
                for array in (made.numbers, numbers)
            ]
            yield name.removesuffix(".mhd"), move.base_mm, [*scans, *masks, *places, rng]


def source(folder: Path, row: Any) -> SourceNodule:
    """A nodule on a 1 mm grid."""
    ct, mask = read_nodule(folder / "lidc-nodules", row)
    about = (row.name, row.patient, row.malignant, row.diameter_mm)
    return SourceNodule(*about, resample(ct).array, resample(mask).array >= 0.5, float(ct.spacing_zyx_mm[0]))


@dataclass(frozen=True)
class Deformed:
    """A rigid transform after a displacement in the world of the first scan."""

    rigid: RigidTransform
    displacement: sitk.DisplacementFieldTransform

    def apply(self, points_xyz_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points (n, 3) of the first scan lie in the second."""
        return self.rigid.apply([self.displacement.TransformPoint(point) for point in points_xyz_mm.tolist()])


def deform(rigid: RigidTransform, first: Volume, first_lungs: Volume, second: Volume, second_lungs: Volume) -> Deformed:
    """The transform that fits the lungs of the first scan to the second's, from a rigid one on.

    Demons (Thirion, Med. Image Anal. 2, 1998, 243) with symmetric forces, on what lies inside the lungs alone: lungs
    slide along the chest wall, which a smooth field cannot. On one thread, so it gives the same field each time.
    """
    fixed, fixed_lungs = prepared(first, first_lungs)
    moving, moving_lungs = prepared(second, second_lungs)
    start = sitk.AffineTransform(rigid.matrix[:3, :3].ravel().tolist(), rigid.matrix[:3, 3].tolist())
    moving = sitk.Resample(moving, fixed, start, sitk.sitkLinear, -1000.0)
    moving_lungs = sitk.Resample(moving_lungs, fixed, start, sitk.sitkNearestNeighbor, 0)
    inside = [sitk.Mask(hu, lungs, OUTSIDE_HU) for hu, lungs in ((fixed, fixed_lungs), (moving, moving_lungs))]
    method = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    method.SetNumberOfThreads(1)
    method.SetStandardDeviations(SMOOTH)
    field = sitk.Image()
    for shrink, iterations in LEVELS:
        a, b = (sitk.BinShrink(image, [shrink] * 3) for image in inside)
        method.SetNumberOfIterations(iterations)
        coarse = [sitk.Resample(field, a, sitk.Transform(), sitk.sitkLinear, 0.0)] if field.GetNumberOfPixels() else []
        field = method.Execute(a, b, *coarse)
    return Deformed(rigid, sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)))


def marks(
    places_xyz_mm: NDArray[np.float64], lungs: Volume, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[int]]:
    """What a detector might mark: points (n, 3), and which nodule each is; -1: none."""
    seen = np.flatnonzero(rng.random(len(places_xyz_mm)) < FOUND)
    inside = np.argwhere(lungs.array)
    nothing = geometry.voxel_to_world(lungs.affine, inside[rng.integers(len(inside), size=FALSE_MARKS)])
    points = np.concatenate([places_xyz_mm[seen] + rng.normal(0, OFF_MM, (len(seen), 3)), nothing])
    return points, [*seen.tolist(), *[-1] * FALSE_MARKS]


def judge(moved: NDArray, who: Sequence[int], young: NDArray, who_young: Sequence[int]) -> dict[str, int]:
    """How the nodules that are marked in both scans were paired, and how many other marks got a partner."""
    pairs = dict(pair_points(moved, young, TOLERANCE_MM))
    both = [i for i, nodule in enumerate(who) if nodule >= 0 and nodule in who_young]
    right = sum(i in pairs and who_young[pairs[i]] == who[i] for i in both)
    paired = sum(i in pairs for i in both)
    alone = [i for i in range(len(who)) if i not in both]
    return {
        "both": len(both),
        "right": right,
        "wrong": paired - right,
        "not": len(both) - paired,
        "alone": len(alone),
        "alone_paired": sum(i in pairs for i in alone),
    }


def run(folder: Path, moves: int, seed: int) -> list[dict[str, Any]]:
    """A line per chest, move and kind of registration."""
    lines = []
    for chest, base_mm, (before, after, lungs, young_lungs, places, young_places, rng) in cases(folder, moves, seed):
        old, who = marks(places, lungs, rng)
        young, who_young = marks(young_places, young_lungs, rng)
        start = _cpu_s()
        rigid = register_lungs(before, lungs, after, young_lungs, seed=seed)
        between = _cpu_s()
        deformed = deform(rigid, before, lungs, after, young_lungs)
        spent = (between - start, _cpu_s() - start)
        low = places[:, 2] < np.quantile(geometry.voxel_to_world(lungs.affine, np.argwhere(lungs.array))[:, 2], 1 / 3)
        for kind, transform, seconds in zip(KINDS, (rigid, deformed), spent, strict=True):
            off = np.linalg.norm(transform.apply(places) - young_places, axis=1)
            line = {"chest": chest, "base_mm": base_mm, "kind": kind, "cpu_s": round(seconds, 1)}
            line |= judge(transform.apply(old), who, young, who_young)
            print(json.dumps(line), np.percentile(off, (50, 100)).round(1), flush=True)
            lines.append(line | {"off_mm": off.round(2).tolist(), "lower": low.tolist()})
    return lines


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How nodules were paired and how far off they lay, as a table of docs/results."""
    rows: dict[str, Any] = {}
    for base in (*BASE_MM, None):
        for kind in KINDS:
            own = [one for one in lines if one["kind"] == kind and base in (None, one["base_mm"])]
            if not own:
                continue
            names = ("both", "right", "wrong", "not", "alone", "alone_paired")
            total = {name: sum(one[name] for one in own) for name in names}
            off, low = (np.concatenate([one[name] for one in own]) for name in ("off_mm", "lower"))
            label = f"{kind}, {'all' if base is None else f'base moved by {base:g} mm'}"
            rows[f"{kind}_{'all' if base is None else f'{base:g}'}"] = {
                "label": label,
                **{name: _share(total[name], total["both"]) for name in ("right", "wrong", "not")},
                "alone": _share(total["alone_paired"], total["alone"]),
                "off": _off(off),
                "lower": _off(off[low.astype(bool)]),
                "cpu": f"{np.median([one['cpu_s'] for one in own]):.0f}",
            }
    columns = {
        "right": "paired rightly",
        "wrong": "wrongly",
        "not": "not paired",
        "alone": "marks without a partner that got one",
        "off": "off, mm: median, most",
        "lower": "in the lower third",
        "cpu": "CPU s",
    }
    return {"head": "registration", "columns": columns, "rows": rows}


def _off(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.1f}" for value in np.percentile(values, (50, 100)))


def _share(hits: int, n: int) -> str:
    one = wilson(hits, n)
    return f"{hits} of {n}: {100 * one.value:.0f} % ({100 * one.low:.0f} to {100 * one.high:.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pairing", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("LUNGLINE_SAMPLE_DATA", "../shared/data"))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "pairing")
    parser.add_argument("--moves", type=int, default=3, help="later scans of each chest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commit", help="of this repository; writes docs/results/pairing.json")
    options = parser.parse_args()
    lines = run(Path(options.data), options.moves, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "figures.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
    if options.commit:
        about = {"command": f"python -m experiments.pairing --moves {options.moves}", "commit": options.commit}
        about["taken_from"] = "results/pairing/figures.json"
        content = {"about": about, "tables": {"pairs": table(lines)}}
        (RESULTS / "pairing.json").write_text(
            json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    print(markdown(table(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
