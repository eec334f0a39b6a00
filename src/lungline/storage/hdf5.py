"""The intermediate files: self-describing HDF5 with checksums, written atomically.

A file holds named fields (arrays with axes, unit and, where they lie in space, an affine) and a header:
quantity, stage, status, flags, parameters, provenance. Every chunk carries a fletcher32 checksum, all
metadata are checksummed (HDF5 1.10 format), nothing depends on the clock, so the same content gives the
same bytes. A quarantined scan is a file without fields whose header says why.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from lungline import NOTICE, __version__, limits
from lungline.errors import CorruptFileError
from lungline.imaging.geometry import Affine
from lungline.imaging.volume import Volume
from lungline.storage.checksums import check, checksummed_path
from lungline.storage.dimension_scales import attach_scales, is_scale

# With HDF5_PLUGIN_PATH set, HDF5 may have found a filter there before hdf5plugin brings its own; one of hdf5plugin's
# that is loaded so cannot write.
hdf5plugin.register(("blosc",), force=True)

FORMAT = "lungline"
FORMAT_VERSION = 2  # 1: before the names of the glossary
CHUNK = 32  # voxels a chunk edge: slices along all three axes cost the same
_FILTERS: dict[str, Mapping[str, Any]] = {
    "blosc": hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.BITSHUFFLE),
    "gzip": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
}
_MOST_FIELD_BYTES = limits.MAX_FIELD_BYTES
_AFFINE = "affine_zyx_to_lps_xyz_mm"
_LIBVER = ("v110", "v110")  # the oldest format whose metadata carry checksums

Status = Literal["ok", "warned", "quarantined"]
Compression = Literal["blosc", "gzip"]


@dataclass(frozen=True)
class Flag:
    """A QC flag of a scan, e.g. W_TILT, and what was found (never an identifier)."""

    flag: str
    detail: str = ""


@dataclass(frozen=True)
class Header:
    """What a file says about itself: what it holds ("ct_hu", "lung_mask", ...), and by which stage.

    `flags` are the `W_` warnings and `Q_` quarantine reasons gathered so far along the chain; `parameters` and
    `provenance` are JSON: the settings of the stage; hashes of inputs and code.
    """

    quantity: str
    stage: str
    flags: tuple[Flag, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        if any(c.flag.startswith("Q_") for c in self.flags):
            return "quarantined"
        return "warned" if any(c.flag.startswith("W_") for c in self.flags) else "ok"


@dataclass(frozen=True)
class Field:
    """One named array of a file, with one sentence for whoever opens it."""

    array: NDArray
    #: One letter or word per axis, e.g. "zyx" or "candidate,channel,z,y,x".
    axes: str
    #: "HU", "mm", "1" (a pure number), "voxel".
    unit: str
    description: str
    #: (4, 4), voxel index (z, y, x) to world (x, y, z) mm, LPS, of a field that lies in space.
    affine: Affine | None = None


def volume_field(volume: Volume, unit: str, description: str) -> Field:
    """The field of a volume, affine included."""
    return Field(volume.array, "zyx", unit, description, volume.affine)


def write_file(path: Path, header: Header, fields: Mapping[str, Field], *, compression: Compression = "blosc") -> None:
    """Write one file and its checksum, whole or not at all; same content, same bytes."""
    with checksummed_path(path) as temporary, h5py.File(temporary, "w", libver=_LIBVER) as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["lungline_version"] = __version__
        file.attrs["notice"] = NOTICE
        file.attrs["quantity"] = header.quantity
        file.attrs["stage"] = header.stage
        file.attrs["status"] = header.status
        file.attrs["flags"] = json.dumps([[c.flag, c.detail] for c in header.flags])
        file.attrs["parameters"] = json.dumps(dict(header.parameters), sort_keys=True)
        file.attrs["provenance"] = json.dumps(dict(header.provenance), sort_keys=True)
        for name, item in fields.items():
            attach_scales(_write_field(file, name, item, compression), item.axes, item.affine)


def _write_field(file: h5py.File, name: str, item: Field, compression: Compression) -> h5py.Dataset:
    array = np.ascontiguousarray(item.array)
    stored = array.view(np.uint8) if array.dtype == bool else array
    filters: dict[str, Any] = {}
    if stored.size:  # an empty array has no chunk
        chunks = (1,) * max(0, stored.ndim - 3) + tuple(min(CHUNK, n) for n in stored.shape[-3:])
        filters = {"chunks": chunks, "fletcher32": True, **_FILTERS[compression]}
    dataset = file.create_dataset(name, data=stored, track_times=False, **filters)
    boolean = bool(array.dtype == bool)
    dataset.attrs.update(axes=item.axes, unit=item.unit, description=item.description, boolean=boolean)
    if item.affine is not None:
        dataset.attrs[_AFFINE] = np.asarray(item.affine, dtype=np.float64)
    return dataset


@contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open one of our files for reading; `CorruptFileError` if it is not one or is damaged.

    Its checksum is checked first. Links, external storage and virtual fields are refused by `_dataset`: every field
    lives inside the file.
    """
    path = Path(path)
    check(path)
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise CorruptFileError(f"{path}: not a lungline file. Expected the attribute format='lungline'.")
            if (version := int(file.attrs.get("format_version", 0))) != FORMAT_VERSION:
                raise CorruptFileError(
                    f"{path}: written by another lungline. Expected format_version {FORMAT_VERSION}. Found {version}. "
                    "Delete the file and run the workflow again."
                )
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        found = f"{path}: damaged or unreadable ({type(error).__name__})."
        raise CorruptFileError(f"{found} Delete the file and run the workflow again.") from error


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise CorruptFileError(f"{file.filename}: no field '{name}'. It holds {sorted(file)}.")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise CorruptFileError(f"{file.filename}: field '{name}' is not stored inside the file.")
    if dataset.nbytes > _MOST_FIELD_BYTES:
        raise CorruptFileError(f"{file.filename}: field '{name}' claims {dataset.nbytes} bytes, more than any of ours.")
    return dataset


def open_field(path: Path, name: str) -> h5py.Dataset:
    """A field of one of our files to read parts of, for long; the caller closes its `file`."""
    with open_file(path):
        pass  # whether it is ours and sound
    return _dataset(h5py.File(path, "r"), name)


def read_header(path: Path) -> Header:
    """The header alone; cheap."""
    with open_file(path) as file:
        attrs = file.attrs
        return Header(
            quantity=str(attrs["quantity"]),
            stage=str(attrs["stage"]),
            flags=tuple(Flag(flag, detail) for flag, detail in json.loads(attrs["flags"])),
            parameters=json.loads(attrs["parameters"]),
            provenance=json.loads(attrs["provenance"]),
        )


def field_names(path: Path) -> list[str]:
    """Names of the fields, sorted; empty for a quarantined scan."""
    with open_file(path) as file:
        return sorted(name for name in file if not is_scale(file, name))


def read_field(path: Path, name: str) -> Field:
    """One field, whole."""
    with open_file(path) as file:
        dataset = _dataset(file, name)
        attrs = dataset.attrs
        array = dataset[()]
        return Field(
            array=array.view(bool) if attrs["boolean"] else array,
            axes=str(attrs["axes"]),
            unit=str(attrs["unit"]),
            description=str(attrs["description"]),
            affine=np.array(attrs[_AFFINE]) if _AFFINE in attrs else None,
        )


def read_array(path: Path, name: str) -> NDArray:
    """The array of one field, whole."""
    return read_field(path, name).array


def read_volume(path: Path, name: str) -> Volume:
    """One field that lies in space, as a `Volume`."""
    item = read_field(path, name)
    if item.affine is None:
        raise CorruptFileError(f"{path}: field '{name}' has no affine, so it does not lie in space.")
    return Volume(item.array, item.affine)


@contextmanager
def volume_on_disk(path: Path, name: str) -> Iterator[Volume]:
    """As `read_volume`, of numbers, for the block: voxels are read when a part of them is asked for."""
    grid = read_grid(path, name)
    with closing(open_field(path, name).file) as file:
        yield Volume(file[name], grid[1])


def read_grid(path: Path, name: str) -> tuple[tuple[int, ...], Affine]:
    """Shape and affine of one field that lies in space, without reading it."""
    with open_file(path) as file:
        dataset = _dataset(file, name)
        if _AFFINE not in dataset.attrs:
            raise CorruptFileError(f"{path}: field '{name}' has no affine, so it does not lie in space.")
        return tuple(dataset.shape), np.array(dataset.attrs[_AFFINE])
