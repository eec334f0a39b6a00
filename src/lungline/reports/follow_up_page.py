"""The page of a follow-up: a table of nodules by scans, with a picture of each and a chart of its volume."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.follow_up_table import FollowedNodule
from lungline.nodules.growth import Change
from lungline.nodules.matching import Chain, Transform
from lungline.reports.html import render

_WIDTH_MM, _PIXELS = 40.0, 96
_LUNG_HU = (-1350.0, 150.0)  # centre -600, width 1500
_CHART = (190.0, 96.0)  # width and height of the part of a chart that holds its points
LIMITS = (
    "Volumes are those of the detector's segmentations, which vary with noise, dose, kernel, slice thickness and "
    "breathing: a change below the share that is named may be none, and between scans that were made differently more "
    "is needed. Gone means that the detector did not find it again, missed that it did so later, new that it had not "
    "found it before: look at the pictures. Not imaged: the scan does not show the place. Lung-RADS v2022: growing is "
    "by more than 1.5 mm of mean diameter within 12 months, slowly growing not that, but over more. Scans are "
    "registered as rigid bodies."
)
STATES = {
    "found": "found",
    "new": "new",
    "missed": "missed",
    "gone": "gone",
    "not-yet": "not found yet",
    "not-imaged": "not imaged",
}
TRENDS = {"growth": "has grown", "shrinkage": "has shrunk", "within-error": "no change beyond the error"}


@dataclass(frozen=True)
class Point:
    """A volume on a chart, in units of the chart: right and down, and where the ends of its error lie."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """Volume of one nodule over time."""

    title: str
    points: list[Point]
    most_mm3: float  # at the top; 0 lies at the bottom
    ends: tuple[str, str]  # words below its left and right edge


def follow_up_page(
    result: Mapping[str, Any],
    followed: Sequence[tuple[Chain, FollowedNodule]],
    scans: Sequence[Volume],
    transforms: Sequence[Transform],
) -> str:
    """The page as text.

    Parameters
    ----------
    result : mapping
        What `follow-up` wrote.
    followed : sequence of (Chain, FollowedNodule)
    scans : sequence of Volume
        HU of each.
    transforms : sequence of Transform
        From each scan to the next.
    """
    days = [scan["days"] for scan in result["scans"]]
    order = {"dates": "the dates in their headers", "given": "the order in which they were named"}
    facts = {
        "Ordered by": order[result["ordered_by"]],
        "Days": "unknown: name them with --days" if None in days else ", ".join(map(str, days)),
        "Overlap of the lungs": ", ".join(f"{scan['overlap']:.2f}" for scan in result["scans"][1:]) + " (1 is perfect)",
        "Paired within": f"{result['tolerance_mm']:g} mm",
    }
    return render(
        "follow_up_page.html",
        title=f"Lung nodules: follow-up of {len(scans)} scans",
        facts=facts,
        notes=result["notes"],
        limits=LIMITS,
        scans=result["scans"],
        rows=[(row, _pictures(chain, scans, transforms), chart_of(row, days)) for chain, row in followed],
        pixels=_PIXELS,
        chart_size=_CHART,
        states=STATES,
        trends=TRENDS,
        in_days=in_days,
    )


def in_days(change: Change) -> str:
    """The doubling time of a change in words, with its interval; nothing where the days are unknown."""
    if change.doubling_days is None or change.doubling_days_if_more is None or change.doubling_days_if_less is None:
        return ""

    def word(days: float) -> str:
        return "unchanged" if math.isinf(days) else f"{'doubles' if days > 0 else 'halves'} in {abs(days):.0f} days"

    most, least = change.doubling_days_if_more, change.doubling_days_if_less
    if most * least > 0 and math.isfinite(most + least):
        low, high = sorted((abs(most), abs(least)))
        return f"{word(change.doubling_days)} ({low:.0f} to {high:.0f})"
    return f"{word(change.doubling_days)} (at most: {word(most)}; at least: {word(least)})"


def chart_of(row: FollowedNodule, days: Sequence[int | None]) -> Chart:
    """The volumes over the days since the first scan, or over the scans where the days are unknown.

    The ends of an error stand where half of the smallest change that is growth reaches, on a scale of logarithms.
    """
    known = [float(day) for day in days if day is not None]
    timed = len(known) == len(days) and known[-1] > 0
    times = known if timed else [float(k) for k in range(len(days))]
    seen = [(times[k], cell) for k, cell in enumerate(row.cells) if cell.seen is not None]
    volumes = [(time, cell.seen.volume_mm3, cell.volume_error_factor) for time, cell in seen if cell.seen]
    most = max(volume * factor for _, volume, factor in volumes)
    width, height = _CHART

    def down(volume: float) -> float:
        return round(height * (1 - volume / most), 2)

    points = [
        Point(round(width * time / times[-1], 2), down(volume), down(volume / factor), down(volume * factor))
        for time, volume, factor in volumes
    ]
    words = ", ".join(f"{volume:.0f}" for _, volume, _ in volumes)
    ends = ("day 0", f"day {times[-1]:.0f}") if timed else ("scan 1", f"scan {len(days)}")
    return Chart(f"Volume of nodule {row.nodule} over time, mm³: {words}", points, most, ends)


def _pictures(chain: Chain, scans: Sequence[Volume], transforms: Sequence[Transform]) -> list[str]:
    """The place of a nodule in each scan, PNG as base64; cut in the directions of the first."""
    window = _window(chain.places_xyz_mm[0])
    centre, pictures = chain.places_xyz_mm[0], []
    for k, ct in enumerate(scans):
        if k:
            window, centre = transforms[k - 1].apply(window), transforms[k - 1].apply(centre)
        pictures.append(_picture(ct, window + chain.places_xyz_mm[k] - centre))
    return pictures


def _window(centre_xyz_mm: ArrayLike) -> NDArray[np.float64]:
    """World points (rows, columns, 3) of an axial square, seen from the feet: y to the back runs down."""
    step = (np.arange(_PIXELS) - (_PIXELS - 1) / 2) * _WIDTH_MM / _PIXELS
    points = np.zeros((_PIXELS, _PIXELS, 3))
    points[..., 0], points[..., 1] = step, step[:, None]
    return points + np.asarray(centre_xyz_mm)


def _picture(ct: Volume, points_xyz_mm: NDArray[np.float64]) -> str:
    index = np.moveaxis(geometry.world_to_voxel(ct.affine, points_xyz_mm), -1, 0)
    hu = ndimage.map_coordinates(ct.array.astype(np.float32, copy=False), index, order=1, cval=-1024)
    file = io.BytesIO()
    imsave(file, hu, cmap="gray", vmin=_LUNG_HU[0], vmax=_LUNG_HU[1], format="png")
    return base64.b64encode(file.getvalue()).decode("ascii")
