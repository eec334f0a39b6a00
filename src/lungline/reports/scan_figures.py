"""Figures 1 to 5 of the paper of one scan, the page that explains them, and a picture of the fields of a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lungline import NOTICE
from lungline.detection.candidates import Candidate
from lungline.imaging import geometry
from lungline.imaging.intensity import WINDOW_HU
from lungline.imaging.volume import Volume
from lungline.qc_flags import format_flag
from lungline.reports.network_figure import Row, render_unet
from lungline.reports.plotting import (
    NAMES,
    cut,
    nearest_index,
    new_figure,
    on_plane,
    plot_mm,
    plot_plane,
    project,
    text_figure,
)
from lungline.storage.hdf5 import Field, Flag

#: A figure, or the reason why it is not drawn.
Drawn = Mapping[str, Figure | str]

CAPTIONS = {
    "figure1": "Figure 1: axial, coronal and sagittal slice through the strongest candidate (or the middle), in HU.",
    "figure2": "Figure 2: the slice with the largest annotated nodule, outlined, and the mask of the annotations.",
    "figure3": "Figure 3: a slice, its lung mask with the margin, and what the networks see of it.",
    "figure4": "Figure 4: the U-Net as built, for an input of 128 x 128.",
    "figure5": "Figure 5: a slice, its nodule probability with all centroids projected, and the sum along z.",
    "not_used": "This scan could not be used.",
}
GREY = {"cmap": "gray", "vmin": WINDOW_HU[0], "vmax": WINDOW_HU[1]}


@dataclass(frozen=True)
class Subject:
    """What the figures of one scan are drawn from.

    Attributes
    ----------
    scan : str
    ct : Volume
        Resampled HU, the whole chest.
    lungs, mask : Volume
        bool: the lungs, and the lungs with their margin.
    cached : Volume
        HU that the networks see: the box of the mask, -1000 HU outside.
    probability : Volume
        Of a nodule, on the grid of `cached`.
    candidates : sequence of Candidate
    nodules : Volume or None
        bool, annotated nodules, on the grid of `cached`; None where there are no annotations.
    """

    scan: str
    ct: Volume
    lungs: Volume
    mask: Volume
    cached: Volume
    probability: Volume
    candidates: Sequence[Candidate]
    nodules: Volume | None = None

    @cached_property
    def focus_xyz_mm(self) -> NDArray[np.float64]:
        """Where to look: the strongest candidate, else the middle of the lung box."""
        if self.candidates:
            return np.array(self.candidates[0].centroid_xyz_mm)
        middle = (np.array(self.cached.shape_zyx) - 1) / 2
        return geometry.voxel_to_world(self.cached.affine, middle)

    @cached_property
    def centroids_mm(self) -> NDArray[np.float64]:
        """Candidates' centroids (n, 3) in picture coordinates (z, y, x)."""
        points = [candidate.centroid_xyz_mm for candidate in self.candidates]
        return plot_mm(self.cached.affine, np.array(points).reshape(-1, 3))


def render_scan(subject: Subject, layers: Sequence[Row], slices: int) -> Drawn:
    """Figures 1 to 5 by name."""
    drawn: dict[str, Figure | str] = {
        "figure1": render_three_planes(subject.ct, subject.focus_xyz_mm, subject.scan),
        "figure3": render_masked_slice(subject),
        "figure4": render_unet(layers, slices),
        "figure5": render_candidates(subject),
    }
    if subject.nodules is None:
        drawn["figure2"] = "not drawn: this scan has no annotations."
    elif not subject.nodules.array.any():
        drawn["figure2"] = "not drawn: no annotated nodule lies in this scan's lung box."
    else:
        drawn["figure2"] = render_nodule_slice(subject)
    return dict(sorted(drawn.items()))


def render_unusable(scan: str, flags: Sequence[Flag]) -> Drawn:
    """The reason why a scan was quarantined, as a picture of words."""
    return {"not_used": text_figure(f"{scan}: quarantined", [format_flag(flag.flag, flag.detail) for flag in flags])}


def page(scan: str, figures: Drawn, flags: Sequence[Flag]) -> str:
    """A README of the folder with the figures."""
    lines = [f"# Figures of {scan}", "", NOTICE, ""]
    for name, figure in figures.items():
        lines.append(
            f"- {name}, {figure}" if isinstance(figure, str) else f"- [{name}.png]({name}.png): {CAPTIONS[name]}"
        )
    if flags:
        lines += ["", "What the scan carries:", "", *(f"- {format_flag(flag.flag, flag.detail)}" for flag in flags)]
    return "\n".join(lines) + "\n"


def render_three_planes(ct: Volume, point_xyz_mm: NDArray, scan: str = "") -> Figure:
    """Figure 1: the axial, coronal and sagittal slice through a point, with a colour bar."""
    widths = np.array(ct.shape_zyx) * ct.spacing_zyx_mm
    figure = new_figure(
        11, _height(11, widths[1:].max() / widths[[2, 2, 1]].sum()), f"Three orthogonal slices {scan}".strip()
    )
    panels = figure.subplots(1, 3, width_ratios=[widths[2], widths[2], widths[1]])
    cross = plot_mm(ct.affine, point_xyz_mm)
    for axis, panel in enumerate(panels):
        plane = cut(ct, axis, nearest_index(ct, axis, point_xyz_mm))
        image = plot_plane(panel, plane, f"{NAMES[axis]}, {'zyx'[axis]} = {cross[axis]:.1f} mm", **GREY)
        x, y = on_plane(axis, cross)
        panel.axvline(x, color="deepskyblue", linewidth=0.5)
        panel.axhline(y, color="deepskyblue", linewidth=0.5)
    figure.colorbar(image, ax=panels, shrink=0.8, label="HU")
    return figure


def render_nodule_slice(subject: Subject) -> Figure:
    """Figure 2: the slice with the largest area of annotated nodule, and its mask. Needs `subject.nodules`."""
    nodules = subject.nodules
    assert nodules is not None
    area = nodules.array.sum(axis=(1, 2))
    index = int(area.argmax())
    inside = np.argwhere(nodules.array[index]).mean(axis=0)
    centre_xyz_mm = geometry.voxel_to_world(nodules.affine, (index, *inside))
    plane = cut(subject.ct, 0, nearest_index(subject.ct, 0, centre_xyz_mm))
    figure = new_figure(9, _height(9, plane.height_mm / plane.width_mm / 2), f"Slice and nodule mask {subject.scan}")
    left, right = figure.subplots(1, 2)
    plot_plane(left, plane, "CT, HU", **GREY)
    mask = cut(nodules, 0, index)
    plot_plane(right, mask, "annotated nodules", cmap="gray", vmin=0, vmax=1)
    right.set_facecolor("black")
    _contour(left, nodules, index, "red")
    for panel in (left, right):
        panel.set_xlim(plane.extent_mm[:2])
        panel.set_ylim(plane.extent_mm[2:])
    return figure


def render_masked_slice(subject: Subject) -> Figure:
    """Figure 3: a slice, its lung mask, and what is kept of it."""
    plane = cut(subject.ct, 0, nearest_index(subject.ct, 0, subject.focus_xyz_mm))
    height = _height(12, plane.height_mm / plane.width_mm / 3)
    figure = new_figure(12, height, f"Slice, lung mask, masked slice {subject.scan}")
    panels = figure.subplots(1, 3)
    index = nearest_index(subject.lungs, 0, subject.focus_xyz_mm)
    plot_plane(panels[0], plane, "CT, HU", **GREY)
    shades = subject.mask.with_array(subject.mask.array.astype(np.uint8) + subject.lungs.array)
    plot_plane(panels[1], cut(shades, 0, index), "lungs (white), margin (grey)", cmap="gray", vmin=0, vmax=2)
    kept = cut(subject.cached, 0, nearest_index(subject.cached, 0, subject.focus_xyz_mm))
    plot_plane(panels[2], kept, "what the networks see", **GREY)
    panels[2].set_facecolor("black")
    for panel in panels:
        panel.set_xlim(plane.extent_mm[:2])
        panel.set_ylim(plane.extent_mm[2:])
    return figure


def render_candidates(subject: Subject) -> Figure:
    """Figure 5: a slice, the probability in it with all centroids projected, and the probability summed along z."""
    index = nearest_index(subject.cached, 0, subject.focus_xyz_mm)
    plane = cut(subject.cached, 0, index)
    height = _height(12, plane.height_mm / plane.width_mm / 3)
    figure = new_figure(12, height, f"Nodule probability and {len(subject.candidates)} candidates {subject.scan}")
    panels = figure.subplots(1, 3)
    heat = cut(subject.probability, 0, index).image.astype(np.float32)
    plot_plane(panels[0], plane, "CT in the lung mask, HU", **GREY)
    plot_plane(panels[1], plane, "probability in this slice, centroids of all", **GREY)
    overlay = panels[1].imshow(
        heat, extent=plane.extent_mm, origin="upper", interpolation="nearest", cmap="hot", vmin=0, vmax=1,
        alpha=np.clip(heat * 2, 0, 1).astype(float),
    )  # fmt: skip
    summed = project(subject.probability)
    total = plot_plane(panels[2], summed, "probability summed along z", cmap="magma")
    for panel in panels[1:]:
        _mark(panel, subject)
    figure.colorbar(overlay, ax=panels[1], shrink=0.7)
    figure.colorbar(total, ax=panels[2], shrink=0.7)
    return figure


def _height(width_inch: float, height_of_widths: float) -> float:
    """Height of a figure whose tallest panel is so high, as a share of the widths of all panels side by side."""
    return 1.1 + 0.85 * width_inch * height_of_widths


def _mark(axes: Axes, subject: Subject) -> None:
    """Circles of the candidates' diameters at their centroids, with their ranks, seen along z."""
    points = on_plane(0, subject.centroids_mm)
    axes.scatter(points[:, 0], points[:, 1], s=12, facecolors="none", edgecolors="cyan", linewidths=0.8)
    for candidate, point in zip(subject.candidates, points, strict=True):
        axes.annotate(str(candidate.rank), point, xytext=(3, 3), textcoords="offset points", color="cyan", fontsize=6)


def _contour(axes: Axes, mask: Volume, index: int, colour: str) -> None:
    """The edge of a mask's axial slice, drawn over a picture."""
    shown = mask.array[index].astype(float)
    rows = plot_mm(mask.affine, geometry.voxel_to_world(mask.affine, [(index, y, 0) for y in range(shown.shape[0])]))
    columns = plot_mm(mask.affine, geometry.voxel_to_world(mask.affine, [(index, 0, x) for x in range(shown.shape[1])]))
    axes.contour(columns[:, 2], rows[:, 1], shown, levels=[0.5], colors=colour, linewidths=0.8)


def render_fields(fields: Mapping[str, Field], title: str) -> Figure:
    """A row for each field: three middle slices of a volume, or the mosaic of cubes."""
    shown = {name: field for name, field in fields.items() if field.array.ndim in (3, 5) and field.array.size}
    shown = {name: field for name, field in shown.items() if field.array.ndim == 5 or field.affine is not None}
    if not shown:
        return text_figure(title, ["no field that can be drawn"])
    figure = new_figure(11, 4.2 * len(shown), title)
    rows = figure.subfigures(len(shown), 1, squeeze=False)
    for part, (name, field) in zip(rows[:, 0], shown.items(), strict=True):
        part.suptitle(f"{name}, unit {field.unit}", fontsize=9)
        low, high = window(field)
        if field.array.ndim == 5:
            axes = part.subplots()
            image = axes.imshow(mosaic(field.array), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.axis("off")
            part.colorbar(image, ax=axes, shrink=0.8)
            continue
        volume = Volume(field.array, field.affine)  # type: ignore[arg-type]
        panels = part.subplots(1, 3)
        for axis, panel in enumerate(panels):
            plane = cut(volume, axis, volume.shape_zyx[axis] // 2)
            image = plot_plane(panel, plane, NAMES[axis], cmap="gray", vmin=low, vmax=high)
        part.colorbar(image, ax=panels, shrink=0.8)
    return figure


def window(field: Field) -> tuple[float, float]:
    """The values drawn black and white: the usual window of HU, else the smallest and largest."""
    if field.unit == "HU":
        return WINDOW_HU
    finite = field.array[np.isfinite(field.array)] if field.array.dtype != bool else field.array
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def mosaic(patches: NDArray, columns: int = 5) -> NDArray:
    """The middle slices of cubes (n, channels, z, y, x) as one image: a cube's channels side by side."""
    from skimage.util import montage  # here, since only a file of cubes needs it

    middle = patches[:, :, patches.shape[2] // 2].astype(np.float32)  # (n, channels, y, x)
    tiles = np.concatenate(np.moveaxis(middle, 1, 0), axis=-1)  # (n, y, channels * x)
    return np.asarray(montage(tiles, fill=0, grid_shape=(-(-len(tiles) // columns), columns)))
