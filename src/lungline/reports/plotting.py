"""What all figures share: the drawing surface, and slices of a volume as radiologists look at them, in millimetres.

A picture's coordinates are mm along the array axes: where these run along the world's axes, they are world
coordinates; in an oblique volume they are the same distances in the turned frame. Axial slices are seen from
the feet (the patient's right on the left), coronal ones from the front, sagittal ones from the patient's left.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lungline import NOTICE
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.storage.checksums import checksummed_path

DPI = 120

NAMES = ("axial", "coronal", "sagittal")
_IN_PLANE = ((2, 1), (2, 0), (1, 0))  # array axes that run to the right and along the vertical
_LETTERS = (("R", "L", "A", "P"), ("R", "L", "H", "F"), ("A", "P", "H", "F"))  # left, right, top, bottom


@dataclass(frozen=True)
class Plane:
    """One slice, ready to be drawn.

    Attributes
    ----------
    image : (rows, columns)
        First row on top, first column on the left.
    extent_mm : left, right, bottom, top
        Outer edges of the outer pixels, mm along the array axes.
    axis : 0, 1 or 2
        Array axis (z, y, x) that the slice is at right angles to.
    """

    image: NDArray
    extent_mm: tuple[float, float, float, float]
    axis: int

    @property
    def width_mm(self) -> float:
        return abs(self.extent_mm[1] - self.extent_mm[0])

    @property
    def height_mm(self) -> float:
        return abs(self.extent_mm[3] - self.extent_mm[2])


def plot_mm(affine: geometry.Affine, points_xyz_mm: ArrayLike) -> NDArray[np.float64]:
    """Coordinates (..., 3) in mm along the array axes (z, y, x) of world points (..., 3) as (x, y, z) mm."""
    return np.asarray(np.asarray(points_xyz_mm, dtype=np.float64) @ geometry.direction(affine))


def on_plane(axis: int, points_mm: ArrayLike) -> NDArray[np.float64]:
    """The two picture coordinates (..., 2), horizontal and vertical, of points of `plot_mm`."""
    return np.asarray(points_mm)[..., list(_IN_PLANE[axis])]


def cut(volume: Volume, axis: int, index: int) -> Plane:
    """The slice `index` across array axis 0 (axial), 1 (coronal) or 2 (sagittal)."""
    image = np.take(volume.array, index, axis=axis)
    return _plane(image, volume.affine, volume.shape_zyx, axis)


def project(volume: Volume, axis: int = 0) -> Plane:
    """The sum of a volume along an array axis."""
    image = volume.array.sum(axis=axis, dtype=np.float64)
    return _plane(image, volume.affine, volume.shape_zyx, axis)


def _plane(image: NDArray, affine: geometry.Affine, shape_zyx: tuple[int, ...], axis: int) -> Plane:
    first = plot_mm(affine, geometry.voxel_to_world(affine, (-0.5, -0.5, -0.5)))
    last = plot_mm(affine, geometry.voxel_to_world(affine, np.array(shape_zyx) - 0.5))
    right, down = _IN_PLANE[axis]
    if axis == 0:
        return Plane(image, (first[right], last[right], last[down], first[down]), axis)
    return Plane(image[::-1], (first[right], last[right], first[down], last[down]), axis)  # the head is on top


def nearest_index(volume: Volume, axis: int, point_xyz_mm: ArrayLike) -> int:
    """Index of the slice across `axis` that lies nearest to a world point; the outermost for one outside."""
    index = geometry.world_to_voxel(volume.affine, point_xyz_mm)[axis]
    return int(np.clip(np.rint(index), 0, volume.shape_zyx[axis] - 1))


def plot_plane(axes: Axes, plane: Plane, title: str = "", **look: Any) -> Any:
    """Plot a slice in true proportion, with mm on its axes and the patient's sides on its edges.

    Parameters
    ----------
    look
        Passed to `imshow`: `cmap`, `vmin`, `vmax`.

    Returns
    -------
    AxesImage
    """
    image = axes.imshow(plane.image, extent=plane.extent_mm, origin="upper", interpolation="nearest", **look)
    names = [f"{'zyx'[k]}, mm" for k in _IN_PLANE[plane.axis]]
    axes.set_xlabel(names[0], fontsize=7, labelpad=1)
    axes.set_ylabel(names[1], fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6)
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=8)
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"), (0.5, 0.98, "center", "top"))
    for letter, (x, y, ha, va) in zip(_LETTERS[plane.axis], (*places, (0.5, 0.02, "center", "bottom")), strict=True):
        axes.text(x, y, letter, ha=ha, va=va, transform=axes.transAxes, color="gold", fontsize=8, fontweight="bold")
    return image


def new_figure(width_inch: float, height_inch: float, title: str = "", note: str = "") -> Figure:
    """An empty figure without a window, with a title above, and the notice (and a note) in small print below."""
    figure = Figure(figsize=(width_inch, height_inch), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=11)
    figure.supxlabel(f"{note}  {NOTICE}".strip(), fontsize=6, color="0.35")
    return figure


def text_figure(title: str, lines: Sequence[str]) -> Figure:
    """A figure that says in words why there is no picture."""
    figure = new_figure(7, 1.6 + 0.25 * len(lines), title)
    axes = figure.add_subplot()
    axes.axis("off")
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", wrap=True, transform=axes.transAxes)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, without date or software in it."""
    with checksummed_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def as_svg(figure: Figure, name: str) -> str:
    """A figure as an element of an HTML page: words stay words, no background, the same text for the same content."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lungline"}):
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    return f'<svg role="img" aria-label="{name}"{text[text.index("<svg") + 4 :]}'
