"""Show a scan or one of our files: header, fields, and a picture of them as PNG."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lungline.errors import CorruptFileError, LunglineError
from lungline.escape import visible
from lungline.qc_flags import FLAGS
from lungline.readers.only_scan import only_scan, read_listed
from lungline.readers.sniff import safetensors_header
from lungline.readers.zips import is_inside
from lungline.reports.file_view import describe_field, describe_header
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header

_PIECE = 1 << 20  # characters of a text that are held at once


def run(file: Path, *, png: Path | None = None) -> None:
    """Print FILE (.h5, .csv, .json, .md or .safetensors, or a scan), and render an .h5 file or a scan as PNG.

    A scan is a folder of DICOM files, .mhd, .mha, .nii, .nii.gz, or a zip with one of these.
    """
    if not file.exists() and not is_inside(file):
        raise LunglineError(f"{file}: no such file or folder. Check its name, and the folder that you are in.")
    if file.suffix in (".csv", ".json", ".md"):
        with open(file, encoding="utf-8", errors="surrogateescape") as text:
            while piece := text.read(_PIECE):
                print(visible(piece, keep="\n\t"), end="")
    elif file.suffix == ".safetensors":
        tensors, about = safetensors_header(file)
        _print(f"{key:<11} {value}" for key, value in about.items())
        _print(f"tensor      {name}: {dtype} {tuple(shape)}" for name, (dtype, shape) in tensors.items())
    elif file.suffix == ".h5":
        try:
            fields = {name: hdf5.read_field(file, name) for name in hdf5.field_names(file)}
            _draw(hdf5.read_header(file), fields, file.name, png)
        except CorruptFileError as error:
            raise LunglineError(str(error)) from error  # looking at a file never quarantines it
    else:
        _draw(*_raw(file), file.name, png)


def _print(lines: Iterable[str]) -> None:
    """Lines whose words may come from others: a terminal must not obey them."""
    print("\n".join(map(visible, lines)))


def _raw(path: Path) -> tuple[Header, dict[str, Field]]:
    """A scan as `ingest` would read it."""
    try:
        found = only_scan(path)
    except LunglineError:
        if path.is_dir() or is_inside(path):
            raise
        known = ".h5, .csv, .json, .md, .safetensors or a scan (DICOM, .mhd, .mha, .nii, .nii.gz, .zip)"
        raise LunglineError(f"{path}: expected {known}. It is none of these.") from None
    ct, flags = read_listed(found, path)
    header = Header("ct_hu", "ingest", tuple(flags), {"source": found.row.source})
    return header, {"ct": hdf5.volume_field(ct, "HU", "CT as scanned")}


def _draw(header: Header, fields: Mapping[str, Field], name: str, png: Path | None) -> None:
    _print(describe_header(header, FLAGS))
    for key, field in fields.items():
        _print(describe_field(key, field))
    if png is not None:
        from lungline.reports.plotting import save_png
        from lungline.reports.scan_figures import render_fields

        save_png(render_fields(fields, name), png)
