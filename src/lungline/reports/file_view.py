"""A file of ours in words and as a small picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungline import NOTICE
from lungline.imaging import geometry
from lungline.imaging.intensity import WINDOW_HU
from lungline.imaging.volume import Volume
from lungline.reports import terminal
from lungline.storage.hdf5 import Field, Header


def describe_header(header: Header, explain: Mapping[str, Any]) -> list[str]:
    """What a file says about itself; `explain` gives meaning and remedy of a code."""
    lines = [
        f"quantity    {header.quantity}",
        f"stage       {header.stage}",
        f"status      {header.status}",
    ]
    for code in header.codes:
        known = explain.get(code.code)
        found = f" [{code.detail}]" if code.detail else ""
        lines.append(f"code        {code.code}{found}: {f'{known.meaning}. {known.remedy}' if known else 'unknown'}")
    for title, content in (("parameters", header.parameters), ("provenance", header.provenance)):
        lines += [f"{title:<11} {key} = {_short(value)}" for key, value in sorted(content.items())]
    return [*lines, f"notice      {NOTICE}"]


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)


def describe_field(name: str, field: Field) -> list[str]:
    """Shape, type, unit, place and values of one field."""
    array = field.array
    lines = [
        f"field       {name}: {field.description}",
        f"            shape {tuple(array.shape)} ({field.axes}), {array.dtype}, unit {field.unit}",
    ]
    if field.affine is not None:
        spacing = geometry.spacing_zyx_mm(field.affine)
        lines.append(
            f"            spacing (z, y, x) {_numbers(spacing)} mm, origin (x, y, z) {_numbers(field.affine[:3, 3])} mm"
        )
    return [*lines, f"            {statistics(array)}"]


def statistics(array: NDArray) -> str:
    """Minimum, mean and maximum of the finite values, and how many are not."""
    if array.dtype == bool:
        return f"{int(array.sum())} of {array.size} true"
    finite = array[np.isfinite(array)]
    missing = f", {array.size - finite.size} not finite" if finite.size < array.size else ""
    if not finite.size:
        return f"no finite value{missing}"
    return f"min {finite.min():.6g}, mean {finite.mean(dtype=np.float64):.6g}, max {finite.max():.6g}{missing}"


def _numbers(values: NDArray) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def window(field: Field) -> tuple[float, float]:
    """The values drawn black and white: the usual window of HU, else the smallest and largest."""
    if field.unit == "HU":
        return WINDOW_HU
    finite = field.array[np.isfinite(field.array)] if field.array.dtype != bool else field.array
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def mosaic(patches: NDArray, columns: int = 5) -> NDArray:
    """The middle slices of cubes (n, channels, z, y, x) as one image: a cube's channels side by side."""
    middle = patches[:, :, patches.shape[2] // 2].astype(np.float32)  # (n, channels, y, x)
    tiles = np.concatenate(np.moveaxis(middle, 1, 0), axis=-1)  # (n, y, channels * x)
    absent = -len(tiles) % columns
    tiles = np.concatenate([tiles, np.zeros((absent, *tiles.shape[1:]), tiles.dtype)])
    rows = [np.concatenate(list(tiles[k : k + columns]), axis=1) for k in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def thumbnail(field: Field, columns: int, *, plain: bool) -> list[str]:
    """The three middle slices of a volume, or the mosaic of cubes, in characters; nothing for other fields."""
    low, high = window(field)
    if field.array.ndim == 5 and field.array.size:
        image = mosaic(field.array)
        grey = terminal.to_grey(image, low, high)
        return terminal.as_text(grey, columns, height_to_width=image.shape[0] / image.shape[1], plain=plain)
    if field.affine is None or field.array.ndim != 3:
        return []
    from lungline.reports.slice_views import cut

    volume = Volume(field.array, field.affine)
    planes = [cut(volume, axis, volume.shape_zyx[axis] // 2) for axis in range(3)]
    total = sum(plane.width_mm for plane in planes)
    widths = [max(4, int((columns - 4) * plane.width_mm / total)) for plane in planes]
    pictures = [
        terminal.as_text(
            terminal.to_grey(plane.image, low, high),
            width,
            height_to_width=plane.height_mm / plane.width_mm,
            plain=plain,
        )
        for plane, width in zip(planes, widths, strict=True)
    ]
    return terminal.side_by_side(pictures, widths)
