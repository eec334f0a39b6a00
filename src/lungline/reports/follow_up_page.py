"""The page of a follow-up: what became of each nodule, with a picture of it in both scans."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.registration import RigidTransform
from lungline.imaging.volume import Volume
from lungline.nodules.matching import FollowUpRow
from lungline.reports.html import render

_WIDTH_MM, _PIXELS = 40.0, 96
_LUNG_HU = (-1350.0, 150.0)  # centre -600, width 1500
LIMITS = (
    "Volumes are those of the detector's segmentations, which vary with noise, dose, kernel, slice thickness and "
    "breathing, so a change below 25 % is not taken as growth (BTS guideline, Thorax 2015), and between scans that "
    "were made differently more is needed. Gone means that the detector did not find it again, new that it had not "
    "found it before: look at both pictures. Not imaged: the other scan does not show the place. "
    "Scans are registered as rigid bodies."
)


def follow_up_page(
    result: Mapping[str, Any], rows: Sequence[FollowUpRow], before: Volume, after: Volume, transform: RigidTransform
) -> str:
    """The page as text.

    Parameters
    ----------
    result : mapping
        What `follow-up` wrote.
    rows : sequence of FollowUpRow
    before, after : Volume
        HU of the two scans.
    transform : RigidTransform
        From the first to the second.
    """
    days = "unknown: name them with --days" if result["days"] is None else str(result["days"])
    facts = {
        "Before": result["before"]["scan"],
        "After": result["after"]["scan"],
        "Days between": days,
        "Overlap of the lungs": f"{result['overlap']:.2f} (1 is perfect)",
        "Paired within": f"{result['tolerance_mm']:g} mm",
    }
    return render(
        "follow_up_page.html",
        title="Lung nodules: follow-up of two scans",
        facts=facts,
        notes=result["notes"],
        limits=LIMITS,
        rows=[(row, _pictures(row, before, after, transform)) for row in rows],
        pixels=_PIXELS,
    )


def _pictures(
    row: FollowUpRow, before: Volume, after: Volume, transform: RigidTransform
) -> list[tuple[str, int | None, str]]:
    """The place of a nodule in both scans: when, rank there, PNG as base64."""
    here = np.array([row.x_mm_before, row.y_mm_before, row.z_mm_before], dtype=np.float64)  # None becomes NaN
    there = np.array([row.x_mm_after, row.y_mm_after, row.z_mm_after], dtype=np.float64)
    centre = transform.apply_inverse(there) if row.x_mm_before is None else here
    window = _window(centre)
    moved = (
        transform.apply(window) if row.x_mm_after is None else transform.apply(window) + there - transform.apply(centre)
    )
    return [("before", row.rank_before, _picture(before, window)), ("after", row.rank_after, _picture(after, moved))]


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
