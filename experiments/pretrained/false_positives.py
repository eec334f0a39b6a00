"""What is taken for a nodule in the lungs of the test chest: distinct places, how often, and a picture of each.

    python -m experiments.pretrained.false_positives [--results results/pretrained]

The implanted test scans share the lungs of one chest, so the same vessel is seen in all of them: marks within 6 mm of
one another are one place. Writes false_positives.csv and false_positives.png; what each place is, a person says.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.pretrained.implanted import KEPT, OURS, rank_all, scans_of, without_lesions
from lungline import NOTICE
from lungline.evaluation.free_response import ScanMarks
from lungline.evaluation.marks import scan_marks
from lungline.imaging import geometry
from lungline.nodules.annotations import read_annotations
from lungline.storage import hdf5
from tests.repository import REPOSITORY

_SAME_PLACE_MM = 6.0
_HALF_MM = 24


@dataclass
class Place:
    """Where marks lie that hit nothing: in which scans, and their scores."""

    point_xyz_mm: NDArray[np.float64]
    scans: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def weight(self) -> float:
        return float(np.sum(self.scores))


def places(marks: dict[str, ScanMarks], min_score: float) -> list[Place]:
    """Distinct places of false positives with a score of `min_score`, those with most and strongest marks first."""
    found: list[Place] = []
    for scan, own in marks.items():
        points, scores = np.asarray(own.points_xyz_mm).reshape(-1, 3), np.asarray(own.scores)
        for point, score in zip(points, scores, strict=True):
            known = [*own.nodules, *own.excluded]
            if score < min_score or any(np.linalg.norm(point - f.centre_xyz_mm) < f.diameter_mm / 2 for f in known):
                continue
            near = [place for place in found if np.linalg.norm(place.point_xyz_mm - point) < _SAME_PLACE_MM]
            place = near[0] if near else Place(point)
            if not near:
                found.append(place)
            place.scans.append(scan)
            place.scores.append(float(score))
    return sorted(found, key=lambda place: -place.weight)


def draw(found: Sequence[Place], results: Path, output: Path) -> None:
    """Two planes of each place, axial and coronal, 48 mm wide, from the first scan that shows it."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    columns = 6
    rows = -(-len(found) // columns)
    figure, axes = plt.subplots(rows, 2 * columns, figsize=(2 * columns * 1.6, rows * 1.75), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, place in enumerate(found):
        ct = hdf5.read_volume(results / "cache_volume" / f"{place.scans[0]}.h5", "ct")
        z, y, x = np.rint(geometry.world_to_voxel(ct.affine, place.point_xyz_mm)).astype(int) + _HALF_MM
        padded = np.pad(ct.array, _HALF_MM, constant_values=-1000)
        near = [slice(c - _HALF_MM, c + _HALF_MM) for c in (z, y, x)]
        row, column = divmod(number, columns)
        planes = (padded[z, near[1], near[2]], padded[near[0], y, near[2]][::-1])
        for axis, plane in zip(axes[row, 2 * column : 2 * column + 2], planes, strict=True):
            axis.imshow(plane, cmap="gray", vmin=-1000, vmax=400)
            axis.plot(_HALF_MM, _HALF_MM, "o", mfc="none", mec="red", ms=16, mew=0.6)
        axes[row, 2 * column].set_title(f"{number + 1}: {len(place.scans)} x {np.mean(place.scores):.2f}", fontsize=8)
    figure.suptitle(NOTICE, fontsize=8)
    figure.tight_layout(pad=0.3)
    figure.savefig(output, dpi=70)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pretrained.false_positives", description=__doc__)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "pretrained")
    parser.add_argument("--min-score", type=float, default=0.2, help="smallest score of a mark")
    options = parser.parse_args()
    out = options.results / "benchmark"
    out.mkdir(parents=True, exist_ok=True)
    luna16 = options.results / "implanted" / "luna16"
    marks = scan_marks(
        scans_of(options.results, "test"),
        rank_all(options.results, OURS, out / "ranked"),
        read_annotations(luna16 / "annotations.csv"),
        read_annotations(luna16 / "annotations_excluded.csv", measured=False),
    )
    found = places(without_lesions(marks, marks, KEPT), options.min_score)
    with open(out / "false_positives.csv", "w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(["place", "x_mm", "y_mm", "z_mm", "scans", "mean_score"])
        for number, place in enumerate(found, start=1):
            row = [*(f"{c:.1f}" for c in place.point_xyz_mm), len(place.scans), f"{np.mean(place.scores):.3f}"]
            table.writerow([number, *row])
    draw(found[:36], options.results, out / "false_positives.png")
    print(f"{len(found)} places, {sum(len(place.scans) for place in found)} marks in {len(marks)} scans: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
