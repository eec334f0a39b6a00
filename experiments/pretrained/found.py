"""Real nodules where they were found, not implanted: `lungline predict` with the packaged models on sample scans."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungline.detection.candidates import Candidate, read_candidates
from lungline.nodules.annotations import read_annotations

_BESIDE_MM = 4.0  # along z, half a slice of lung-dx-a0002


@dataclass(frozen=True)
class Found:
    """A case, the rank of the first candidate on it (None: not among those kept), and what the call took."""

    case: str
    rank: int | None
    score: float | None
    candidates: int
    seconds: float
    cpu_seconds: float


def cases(samples: Path) -> Iterator[tuple[str, Path, Callable[[Candidate], bool]]]:
    """Name, scan and whether a candidate lies on the known nodule or tumour."""
    for number, nodule in enumerate(read_annotations(samples / "luna16-format" / "annotations.csv"), start=1):
        centre, radius = np.array(nodule.centre_xyz_mm), nodule.diameter_mm / 2
        yield (
            f"LUNA-16 nodule {number}, {nodule.diameter_mm:.1f} mm",
            samples / "luna16-format" / f"{nodule.scan}.mhd",
            lambda c, centre=centre, radius=radius: bool(np.linalg.norm(np.array(c.centroid_xyz_mm) - centre) < radius),
        )
    boxes = tumour_boxes(samples / "chest-ct" / "lung-dx-a0002-boxes.csv")
    yield "lung-dx-a0002, tumour boxes", samples / "chest-ct" / "lung-dx-a0002", lambda c: in_boxes(c, boxes)


def tumour_boxes(path: Path) -> list[tuple[float, float, float, float, float]]:
    """Middle x, y and half widths in mm, and z, of each box; the image is 0.646 mm a pixel."""
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    pixel = _pixel_mm(rows)
    return [
        (float(row["centerX"]), float(row["centerY"]), pixel * (int(row["xmax"]) - int(row["xmin"])) / 2,
         pixel * (int(row["ymax"]) - int(row["ymin"])) / 2, float(row["sliceZ"]))
        for row in rows
    ]  # fmt: skip


def _pixel_mm(rows: Sequence[dict[str, str]]) -> float:
    """Pixel size from two boxes whose middles are known in pixels and in mm."""
    middles = np.array([(int(row["xmin"]) + int(row["xmax"])) / 2 for row in rows])
    mm = np.array([float(row["centerX"]) for row in rows])
    return float((mm.max() - mm.min()) / (middles[mm.argmax()] - middles[mm.argmin()]))


def in_boxes(candidate: Candidate, boxes: Sequence[tuple[float, float, float, float, float]]) -> bool:
    """Whether a candidate's centroid lies in a box of the slice at its height."""
    x, y, z = candidate.centroid_xyz_mm
    return any(abs(x - bx) <= w and abs(y - by) <= h and abs(z - bz) <= _BESIDE_MM for bx, by, w, h, bz in boxes)


def predict(samples: Path, out: Path) -> list[Found]:
    """Call `lungline predict` on each case, with the models of the package."""
    answers = []
    for number, (name, scan, is_on_it) in enumerate(cases(samples)):
        folder = out / f"case{number}"
        shutil.rmtree(folder, ignore_errors=True)
        started, used = time.perf_counter(), _cpu_seconds()
        words = [sys.executable, "-m", "lungline.cli", "predict", str(scan), "--out", str(folder)]
        subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": str(os.cpu_count())})
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - used
        (table,) = (folder / "candidates").glob("*.csv")
        candidates = read_candidates(table)
        first = next((c for c in candidates if is_on_it(c)), None)
        rank, score = (None, None) if first is None else (first.rank, first.score)
        answers.append(Found(name, rank, score, len(candidates), seconds, cpu_seconds))
    return answers


def _cpu_seconds() -> float:
    """What finished children of this process have computed."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
