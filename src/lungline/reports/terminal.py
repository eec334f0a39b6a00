"""Small pictures made of characters, for a terminal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHADES = " .:-=+*#%@"


def to_grey(image: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    """0..255 of an image (rows, columns) of any dtype; values outside low..high and NaN are clipped (NaN to 0)."""
    scaled = (np.nan_to_num(image.astype(np.float64), nan=low) - low) / ((high - low) or 1.0)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def shrink(image: NDArray, rows: int, columns: int) -> NDArray:
    """The image (any shape) brought to (rows, columns) by taking the nearest pixels."""
    take = [
        np.minimum(((np.arange(n) + 0.5) * size / n).astype(int), size - 1)
        for n, size in zip((rows, columns), image.shape, strict=True)
    ]
    return image[np.ix_(*take)]


def as_text(grey: NDArray[np.uint8], columns: int, *, height_to_width: float, plain: bool) -> list[str]:
    """Lines of characters that show an image (rows, columns) of 0..255.

    Parameters
    ----------
    columns : int
        Width in characters.
    height_to_width : float
        Of the picture as it should look; a character is taken to be twice as high as wide.
    plain : bool
        ASCII shades, one pixel a character; otherwise half blocks in 24-bit colour, two pixels a character.
    """
    lines = max(1, round(columns * height_to_width / 2))
    if plain:
        steps = shrink(grey, lines, columns).astype(int) * len(SHADES) // 256
        return ["".join(SHADES[s] for s in row) for row in steps]
    pixels = shrink(grey, 2 * lines, columns)
    return [
        "".join(f"\x1b[38;2;{t};{t};{t}m\x1b[48;2;{b};{b};{b}m▀" for t, b in zip(top, bottom, strict=True)) + "\x1b[0m"
        for top, bottom in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True)
    ]


def side_by_side(pictures: list[list[str]], widths: list[int], gap: str = "  ") -> list[str]:
    """Pictures of characters next to each other, tops aligned; `widths` are their widths in characters."""
    height = max(map(len, pictures))
    padded = [p + [" " * w] * (height - len(p)) for p, w in zip(pictures, widths, strict=True)]
    return [gap.join(parts).rstrip() for parts in zip(*padded, strict=True)]
