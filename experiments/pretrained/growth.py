"""Known growth of real nodules as `lungline follow-up` measures it with the weights in the package.

    python -m experiments.pretrained.growth [--results results/pretrained] [--scans 4]

Takes implanted test scans of a finished `config/pretrained.yaml` (real nodules in a chest that nothing was trained on)
and makes a later scan of each: nodules of 8 mm and more are magnified, together with what lies around them, by 0, 25,
50 or 100 % of their volume; the patient lies a little otherwise; noise is added. What the volume has become is counted
in the readers' outlines, which are moved in the same way.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from experiments.pretrained.implanted import scans_of
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.readers.scan import read_scan
from lungline.storage import hdf5
from lungline.synthetic.writers import write_mhd
from tests.repository import REPOSITORY

LEAST_MM, GROWTH, NOISE_HU, DAYS = 8.0, (1.0, 1.25, 1.5, 2.0), 10.0, 90
TURN_DEG, SHIFT_MM = (3.0, 1.0), (3.4, -2.1, 5.3)  # about z and x; along x, y, z
_SLAB = 16


@dataclass(frozen=True)
class Grown:
    """A nodule before: its middle (z, y, x) in voxels of 1 mm, how far its outline reaches, its growth."""

    number: int
    centre_zyx: NDArray[np.float64]
    reach: float
    factor: float


@dataclass(frozen=True)
class Followed:
    """What became of a nodule, and what follow-up says of it: its state, and both changes of volume as ratios."""

    scan: str
    diameter_mm: float
    true_ratio: float
    state: str
    ratio: float | None

    @property
    def error(self) -> float | None:
        return None if self.ratio is None else self.ratio / self.true_ratio - 1


def grown(numbers: NDArray[np.uint8], rng: np.random.Generator) -> list[Grown]:
    """The nodules that are to grow: 8 mm and more, and far enough from one another to be magnified alone."""
    found: list[Grown] = []
    for number in range(1, int(numbers.max(initial=0)) + 1):
        voxels = np.argwhere(numbers == number)
        if len(voxels) < np.pi / 6 * LEAST_MM**3:
            continue
        centre = voxels.mean(axis=0)
        reach = float(np.linalg.norm(voxels - centre, axis=1).max()) + 1
        found.append(Grown(number, centre, reach, float(rng.choice(GROWTH))))
    return [
        one
        for one in found
        if all(
            other is one or np.linalg.norm(one.centre_zyx - other.centre_zyx) > edge(one) + edge(other)
            for other in found
        )
    ]


def edge(nodule: Grown) -> float:
    """How far from a nodule's middle nothing is moved any more."""
    return 2 * nodule.reach * nodule.factor ** (1 / 3) + 4


def sources(points_zyx: NDArray[np.float64], nodules: Sequence[Grown]) -> NDArray[np.float64]:
    """Where in the earlier scan each point (3, ...) of the later one lies: nearer to a nodule's middle if it has grown.

    Out to the nodule's own reach everything is magnified alike; from there to `edge` less and less.
    """
    moved = points_zyx.copy()
    for nodule in nodules:
        away = points_zyx - nodule.centre_zyx.reshape(3, *[1] * (points_zyx.ndim - 1))
        distance = np.sqrt((away**2).sum(axis=0))
        magnified, end = nodule.reach * nodule.factor ** (1 / 3), edge(nodule)
        inside, between = distance < magnified, (distance >= magnified) & (distance < end)
        share = np.ones_like(distance)
        share[inside] = nodule.reach / magnified
        beyond = nodule.reach + (distance[between] - magnified) * (end - nodule.reach) / (end - magnified)
        share[between] = beyond / distance[between]
        near = inside | between
        moved[:, near] = (points_zyx - away)[:, near] + (away * share)[:, near]
    return moved


def later(
    hu: NDArray, numbers: NDArray, nodules: Sequence[Grown], rng: np.random.Generator
) -> tuple[NDArray, list[int]]:
    """HU (Z, Y, X) of the later scan, and the volume in mm3 of each nodule in it."""
    z, x = np.radians(TURN_DEG)
    about_z = np.array([[1, 0, 0], [0, np.cos(z), -np.sin(z)], [0, np.sin(z), np.cos(z)]])
    about_x = np.array([[np.cos(x), -np.sin(x), 0], [np.sin(x), np.cos(x), 0], [0, 0, 1]])
    turn, middle = about_z @ about_x, (np.array(hu.shape) - 1) / 2
    out, outlines = np.empty(hu.shape, np.float32), np.zeros(hu.shape, np.uint8)
    for first in range(0, hu.shape[0], _SLAB):
        last = min(first + _SLAB, hu.shape[0])
        points = np.stack(np.mgrid[first:last, : hu.shape[1], : hu.shape[2]]).astype(np.float64)
        turned = np.tensordot(turn, points - middle.reshape(3, 1, 1, 1), axes=1)
        turned += (middle + np.array(SHIFT_MM[::-1])).reshape(3, 1, 1, 1)
        places = sources(turned, nodules)
        ndimage.map_coordinates(hu, places, out[first:last], order=1, mode="nearest")
        for nodule in nodules:
            low, high = nodule.centre_zyx - edge(nodule), nodule.centre_zyx + edge(nodule)
            if (places[0].max() >= low[0]) and (places[0].min() <= high[0]):
                own = ndimage.map_coordinates((numbers == nodule.number).astype(np.float32), places, order=1)
                outlines[first:last][own >= 0.5] = nodule.number
    out += rng.normal(0, NOISE_HU, hu.shape).astype(np.float32)
    return np.rint(np.clip(out, -1024, 3071)).astype(np.int16), [int((outlines == n.number).sum()) for n in nodules]


def follow(results: Path, scan: str, out: Path, seed: int) -> list[Followed]:
    """One scan: make the later one, call `lungline follow-up`, find each nodule in its table."""
    (raw,) = (results / "implanted" / "luna16").glob(f"subset*/{scan}.mhd")
    numbers = hdf5.read_array(raw.with_suffix(".h5"), "nodules")
    ct = read_scan(raw, "mhd")[0]
    rng = np.random.default_rng([seed, int(scan[-3:])])
    nodules = grown(numbers, rng)
    hu, volumes = later(ct.array, numbers, nodules, rng)
    after = out / scan / "later.mhd"
    after.parent.mkdir(parents=True, exist_ok=True)
    write_mhd(after, Volume(hu, ct.affine))
    words = ["follow-up", str(raw), str(after), "--out", str(out / scan / "follow-up"), "--days", str(DAYS)]
    subprocess.run([sys.executable, "-m", "lungline.cli", *words], check=True, stdout=subprocess.DEVNULL)
    with open(out / scan / "follow-up" / "follow-up.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    found = []
    for nodule, volume in zip(nodules, volumes, strict=True):
        before = int((numbers == nodule.number).sum())
        diameter = (6 * before / np.pi) ** (1 / 3)
        centre = geometry.voxel_to_world(ct.affine, nodule.centre_zyx)
        state, ratio = state_of(rows, centre, diameter / 2)
        found.append(Followed(scan, round(float(diameter), 1), volume / before, state, ratio))
    return found


def state_of(rows: Sequence[dict[str, str]], centre_xyz_mm: NDArray, radius_mm: float) -> tuple[str, float | None]:
    """State in the later scan, and ratio of volumes, of the nodule whose earlier place lies nearest, on this one."""
    places = [
        (np.linalg.norm([float(row[f"{axis}_mm"]) for axis in "xyz"] - centre_xyz_mm), row["nodule"])
        for row in rows
        if row["scan"] == "1" and row["x_mm"]
    ]
    near = min(places, key=lambda place: place[0], default=None)
    if near is None or near[0] > radius_mm:
        return "not found", None
    after = next(row for row in rows if row["nodule"] == near[1] and row["scan"] == "2")
    change = after["volume_change_percent_since_previous"]
    return after["state"], 1 + float(change) / 100 if change else None


def table(found: Sequence[Followed]) -> str:
    """Markdown: a line per nodule, and how many were followed, and how well."""
    text = ["| scan | mm | grown by | follow-up says | |", "|---|---|---|---|---|"]
    for one in found:
        said = "" if one.ratio is None else f"{one.ratio - 1:+.0%}"
        off = "" if one.error is None else f"{one.error:+.0%} off"
        text.append(f"| {one.scan} | {one.diameter_mm} | {one.true_ratio - 1:+.0%} | {one.state} {said} | {off} |")
    errors = np.array([one.error for one in found if one.error is not None])
    if len(errors):
        parts = ", ".join(f"{int((np.abs(errors) <= most).sum())} within {most:.0%}" for most in (0.1, 0.25))
        text += [
            "",
            f"{len(errors)} of {len(found)} paired; of these {parts}; median {np.median(np.abs(errors)):.0%} off.",
        ]
    return "\n".join(text) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pretrained.growth", description=__doc__)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "pretrained")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "pretrained" / "benchmark" / "growth")
    parser.add_argument("--scans", type=int, default=4, help="test scans that are followed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found: list[Followed] = []
    for scan in scans_of(options.results, "test")[: options.scans]:
        found += follow(options.results, scan, options.out, options.seed)
        (options.out / "figures.json").write_text(
            json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8"
        )
    (options.out / "table.md").write_text(table(found), encoding="utf-8")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
