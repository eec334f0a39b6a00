"""The fields of a file as one picture."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from lungline.imaging.volume import Volume
from lungline.reports.canvas import new_figure, text_figure
from lungline.reports.file_view import mosaic, window
from lungline.reports.slice_views import NAMES, cut, draw_plane
from lungline.storage.hdf5 import Field


def draw_fields(fields: Mapping[str, Field], title: str) -> Figure:
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
            image = draw_plane(panel, plane, NAMES[axis], cmap="gray", vmin=low, vmax=high)
        part.colorbar(image, ax=panels, shrink=0.8)
    return figure
