"""The page of a follow-up: what became of each nodule, with a picture of it in both scans."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.registration import Motion
from lungline.imaging.volume import Volume
from lungline.nodules.matching import FollowUpRow
from lungline.reports.html import document

_WIDTH_MM, _PIXELS = 40.0, 96
_LUNG_HU = (-1350.0, 150.0)  # centre -600, width 1500
_HEADS = ("Before", "After", "What became of it", "Volume", "Longest axial", "Place")
_WORDS = {"paired": "in both", "new": "new", "gone": "gone", "not-imaged": "not imaged"}
LIMITS = (
    "Volumes are those of the detector's outlines. An outline moves with noise, dose, kernel, slice thickness and "
    "breathing, so a change below 25 % is not taken as growth (BTS guideline, Thorax 2015), and between scans that "
    "were made differently more is needed. Gone means that the detector did not find it again, new that it had not "
    "found it before: look at both pictures. Not imaged: the other scan does not show the place. "
    "Scans are laid on one another as rigid bodies."
)


def follow_up_page(
    result: Mapping[str, Any], rows: Sequence[FollowUpRow], before: Volume, after: Volume, motion: Motion
) -> str:
    """The page as text.

    Parameters
    ----------
    result : mapping
        What `follow-up` wrote.
    rows : sequence of FollowUpRow
    before, after : Volume
        HU of the two scans.
    motion : Motion
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
    body = ["<section><h2>Two scans</h2><dl>"]
    body += [f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in facts.items()]
    body += ["</dl>", *(f'<div class="code">{escape(note)}</div>' for note in result["notes"]), "</section>"]
    body.append(f'<section class="long"><h2>Nodules</h2><p class="faint">{LIMITS}</p>')
    if rows:
        head = "".join(f'<th scope="col">{name}</th>' for name in _HEADS)
        lines = "".join(_row(row, before, after, motion) for row in rows)
        body.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div></section>'
        )
    else:
        body.append("<p>Nothing was found in either scan that looks like a nodule.</p></section>")
    return document("Lung nodules: follow-up of two scans", body)


def _row(row: FollowUpRow, before: Volume, after: Volume, motion: Motion) -> str:
    here = np.array([row.x_mm_before, row.y_mm_before, row.z_mm_before], dtype=np.float64)  # None becomes NaN
    there = np.array([row.x_mm_after, row.y_mm_after, row.z_mm_after], dtype=np.float64)
    centre = motion.back(there) if row.x_mm_before is None else here
    window = _window(centre)
    moved = motion.forth(window) if row.x_mm_after is None else motion.forth(window) + there - motion.forth(centre)
    cells = (
        _picture(before, window, "before", row.rank_before),
        _picture(after, moved, "after", row.rank_after),
        _change(row),
        _both(row.volume_mm3_before, row.volume_mm3_after, ".0f", "mm³"),
        _both(row.longest_axial_mm_before, row.longest_axial_mm_after, ".1f", "mm"),
        f"{row.side}, {row.third} third",
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _change(row: FollowUpRow) -> str:
    change, days = row.volume_change_percent, row.doubling_days
    said = "" if change is None else f"<br>volume {change:+.0f} %".replace("-", "−")
    doubles = "" if days is None else f"<br><small>doubles in {days:.0f} days</small>"
    return f'<span class="tag">{_WORDS[row.state]}</span>{said}{doubles}'


def _both(before: float | None, after: float | None, style: str, unit: str) -> str:
    first, last = ("–" if value is None else f"{value:{style}}" for value in (before, after))
    return f"{first} → {last} {unit}"


def _window(centre_xyz_mm: ArrayLike) -> NDArray[np.float64]:
    """World points (rows, columns, 3) of an axial square, seen from the feet: y to the back runs down."""
    step = (np.arange(_PIXELS) - (_PIXELS - 1) / 2) * _WIDTH_MM / _PIXELS
    points = np.zeros((_PIXELS, _PIXELS, 3))
    points[..., 0], points[..., 1] = step, step[:, None]
    return points + np.asarray(centre_xyz_mm)


def _picture(ct: Volume, points_xyz_mm: NDArray[np.float64], when: str, rank: int | None) -> str:
    index = np.moveaxis(geometry.world_to_voxel(ct.affine, points_xyz_mm), -1, 0)
    hu = ndimage.map_coordinates(ct.array.astype(np.float32, copy=False), index, order=1, cval=-1024)
    file = io.BytesIO()
    imsave(file, hu, cmap="gray", vmin=_LUNG_HU[0], vmax=_LUNG_HU[1], format="png")
    text = base64.b64encode(file.getvalue()).decode("ascii")
    found = "not found" if rank is None else f"candidate {rank}"
    picture = f'<img class="thumb" width="{_PIXELS}" height="{_PIXELS}" src="data:image/png;base64,{text}"'
    return f'{picture} alt="{when}, axial, {found}"><small>{found}</small>'
