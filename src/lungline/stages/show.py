"""Show one of our files: what it says about itself, its fields, and a small picture in the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from lungline.codes import CODES
from lungline.errors import CorruptFileError, LunglineError
from lungline.escape import visible
from lungline.io import hdf5
from lungline.io.peek import safetensors_header
from lungline.reporting.show import describe_field, describe_header, thumbnail


def run(file: Path, *, png: Path | None = None, plain: bool = False) -> None:
    """Print FILE (.h5, .csv, .json, .md or .safetensors), and draw an .h5 file here or as PNG.

    PLAIN uses letters instead of 24-bit colour, as does any output that is not a terminal.
    """
    if not file.is_file():
        raise LunglineError(f"{file}: no such file.")
    if file.suffix in (".csv", ".json", ".md"):
        print(visible(file.read_text(encoding="utf-8", errors="surrogateescape"), keep="\n\t"), end="")
    elif file.suffix == ".safetensors":
        tensors, about = safetensors_header(file)
        _print(f"{key:<11} {value}" for key, value in about.items())
        _print(f"tensor      {name}: {dtype} {tuple(shape)}" for name, (dtype, shape) in tensors.items())
    else:
        try:
            _show_hdf5(file, png, plain or not sys.stdout.isatty())
        except CorruptFileError as error:
            raise LunglineError(str(error)) from error  # looking at a file never sets it aside


def _print(lines: Iterable[str]) -> None:
    """Lines whose words may come from others: a terminal must not obey them."""
    print("\n".join(map(visible, lines)))


def _show_hdf5(file: Path, png: Path | None, plain: bool) -> None:
    fields = {name: hdf5.read_field(file, name) for name in hdf5.field_names(file)}
    _print(describe_header(hdf5.read_header(file), CODES))
    columns = min(shutil.get_terminal_size().columns, 120)
    for name, field in fields.items():
        _print(describe_field(name, field))
        picture = thumbnail(field, columns, plain=plain)
        if picture:
            print("\n".join(picture))
    if png is not None:
        from lungline.reporting.canvas import save_png
        from lungline.reporting.field_figure import draw_fields

        save_png(draw_fields(fields, file.name), png)
