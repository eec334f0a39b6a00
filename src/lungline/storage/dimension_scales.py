"""Names of the axes of a field and where its voxels lie along them, as netCDF-4 says it: xarray opens files by that.

The readers of this package do not look at it: where a field lies is said by its affine.
"""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lungline.imaging.geometry import Affine

_TOWARDS = {"z": "the head", "y": "the back", "x": "the patient's left"}
_NO_COORDINATES = "This is a netCDF dimension but not a netCDF variable.{:10d}"  # words of that format


def is_scale(file: h5py.File, name: str) -> bool:
    """Whether what a file holds under a name is the scale of an axis, and no field."""
    return (
        isinstance(file.get(name, getlink=True), h5py.HardLink) and file[name].attrs.get("CLASS") == b"DIMENSION_SCALE"
    )


def attach_scales(dataset: h5py.Dataset, axes: str, affine: Affine | None) -> None:
    """Name the axes of a field ("zyx" or "candidate,channel,z,y,x") by scales at the top of its file.

    Where the field has an affine, a scale holds the distance of each slice, row or column from the origin of the
    scanner, along that axis, in mm: the world coordinate, where the axis is one of the world's.
    """
    names = axes.split(",") if "," in axes or len(axes) != dataset.ndim else list(axes)
    if len(names) != dataset.ndim:
        return
    for k, name in enumerate(names):
        along_mm = None if affine is None or dataset.ndim != 3 else _along_mm(affine, k, dataset.shape[k])
        dataset.dims[k].attach_scale(_scale(dataset.file, name, dataset.shape[k], along_mm))


def _along_mm(affine: Affine, axis: int, count: int) -> NDArray[np.float64]:
    step = np.asarray(affine)[:3, axis]
    spacing = np.linalg.norm(step)
    along: NDArray[np.float64] = np.asarray(affine)[:3, 3] @ step / spacing + spacing * np.arange(count)
    return along


def _scale(file: h5py.File, name: str, count: int, along_mm: NDArray[np.float64] | None) -> h5py.Dataset:
    """A scale that says this: one that is there, or a new one."""
    wanted = name
    for number in range(2, 99):
        if wanted not in file:
            return _new_scale(file, wanted, name, count, along_mm)
        if _says(file, wanted, count, along_mm):
            return file[wanted]
        wanted = f"{name}_{number}"
    raise ValueError("a file with so many grids")


def _says(file: h5py.File, name: str, count: int, along_mm: NDArray[np.float64] | None) -> bool:
    there = file[name]
    if not is_scale(file, name) or there.shape != (count,):
        return False
    return bool(np.array_equal(there[()], along_mm)) if along_mm is not None else there.dtype.byteorder == ">"


def _new_scale(file: h5py.File, name: str, axis: str, count: int, along_mm: NDArray[np.float64] | None) -> h5py.Dataset:
    filters: dict[str, Any] = {"chunks": (count,), "fletcher32": True} if count and along_mm is not None else {}
    if along_mm is None:
        scale = file.create_dataset(name, shape=(count,), dtype=">f4", track_times=False)
        scale.make_scale(_NO_COORDINATES.format(count))
        return scale
    scale = file.create_dataset(name, data=along_mm, track_times=False, **filters)
    scale.make_scale(name)
    scale.attrs.update(units="mm", long_name=f"distance along {axis}, towards {_TOWARDS.get(axis, 'its end')}")
    return scale
