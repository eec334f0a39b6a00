"""Text that describes one of our files."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungline import NOTICE
from lungline.imaging import geometry
from lungline.storage.hdf5 import Field, Header


def describe_header(header: Header, explain: Mapping[str, Any]) -> list[str]:
    """The header of a file as text; `explain` gives meaning and remedy of a flag."""
    lines = [
        f"quantity    {header.quantity}",
        f"stage       {header.stage}",
        f"status      {header.status}",
    ]
    for flag in header.flags:
        known = explain.get(flag.flag)
        found = f" [{flag.detail}]" if flag.detail else ""
        lines.append(f"flag        {flag.flag}{found}: {f'{known.meaning}. {known.remedy}' if known else 'unknown'}")
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
