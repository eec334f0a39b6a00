"""Goals 4 and 5: reading scans, and reading slices of the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmarks.speed import literal
from benchmarks.speed.measure import Check, Comparison, cpu_seconds, interleave
from benchmarks.speed.simulated_adult import Scene
from lungline.imaging.intensity import mask_outside
from lungline.readers.metaimage import read_metaimage
from lungline.readers.scan import read_scan
from lungline.storage import hdf5

_SLICES_AN_AXIS = 24


def reading(scene: Scene) -> list[Comparison]:
    """Goal 4: with all that is checked of a scan, in the child process in which a stage reads it."""
    found = []
    for compressed, name, at_least in ((False, "plain", 3.0), (True, "RLE", 5.0)):
        folder = scene.dicom(compressed=compressed)
        found.append(
            _compare(
                scene,
                f"read DICOM, {name}, {scene.shape_zyx[0]} slices",
                ("pydicom, a slice at a time", lambda folder=folder: literal.read_dicom(folder)),
                ("read_scan", lambda folder=folder: read_scan(folder, "dicom")[0].array),
                at_least,
            )
        )
    mhd = scene.scratch / "scan.mhd"
    image = sitk.GetImageFromArray(scene.ct.array)
    image.SetSpacing([float(s) for s in scene.ct.spacing_zyx_mm[::-1]])
    sitk.WriteImage(image, str(mhd))
    found.append(
        _compare(
            scene,
            "read .mhd and .raw",
            ("SimpleITK", lambda: sitk.GetArrayFromImage(sitk.ReadImage(str(mhd)))),
            ("read_metaimage", lambda: read_metaimage(mhd).array),
            None,
        )
    )
    real = scene.samples / "chest-ct" / "ricord1a-001012" if scene.samples else None
    if real is not None and real.is_dir():
        found.append(
            _compare(
                scene,
                "read a real series, JPEG lossless",
                ("SimpleITK's series reader", lambda: _by_simpleitk(_names(real))),
                ("read_scan", lambda: read_scan(real, "dicom")[0].array),
                None,
            )
        )
    return found


def _compare(
    scene: Scene,
    what: str,
    theirs: tuple[str, Callable[[], NDArray]],
    ours: tuple[str, Callable[[], NDArray]],
    at_least: float | None,
) -> Comparison:
    taken, wanted, found = interleave(theirs[1], ours[1], scene.pairs)
    checks = (Check("voxels that differ", float(np.count_nonzero(wanted != found)), "==", 0),)
    return Comparison(4, what, theirs[0], ours[0], taken, at_least, checks)


def _names(folder: Path) -> tuple[str, ...]:
    return sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))


def _by_simpleitk(names: tuple[str, ...]) -> NDArray[np.int16]:
    """As our HU: nothing below -1024."""
    array = sitk.GetArrayFromImage(sitk.ReadImage(names))
    return np.maximum(array, -1024).astype(np.int16)


def cache(scene: Scene) -> list[Comparison]:
    """Goal 5: slices through the lungs, along each axis, from a file that is held open."""
    masked, box = mask_outside(scene.fine, scene.mask), scene.box
    whole, boxed = scene.scratch / "gzip.h5", scene.scratch / "blosc.h5"
    literal.write_gzip(whole, masked.array)
    field = hdf5.volume_field(masked.crop(box), "HU", "CT inside the lung mask")
    hdf5.write_file(boxed, hdf5.Header("masked_ct_hu", "cache_volume"), {"ct": field})
    exact = np.array_equal(hdf5.read_array(boxed, "ct"), masked.array[box])
    found = []
    with h5py.File(whole) as file, hdf5.open_field(boxed, "ct").file as own:
        for axis, name in enumerate(("axial", "coronal", "sagittal")):
            places = np.linspace(box[axis].start, box[axis].stop - 1, _SLICES_AN_AXIS).astype(int)

            def read(field: h5py.Dataset, first: int, axis: int = axis, places: NDArray = places) -> list[NDArray]:
                return [field[(slice(None),) * axis + (int(place) - first,)] for place in places]

            started = cpu_seconds()
            read(own["ct"], box[axis].start)
            each_ms = 1000 * (cpu_seconds() - started) / len(places)
            taken, _, _ = interleave(
                lambda read=read: read(file["ct"], 0),
                lambda read=read, first=box[axis].start: read(own["ct"], first),
                scene.pairs,
            )
            checks = (
                Check("CPU a slice, ms", each_ms, "<=", 2.5),
                Check("size, share of the raw volume", boxed.stat().st_size / masked.array.nbytes, "<=", 1 / 6),
                Check("the same bits", float(exact), "==", 1),
            )
            what = f"{_SLICES_AN_AXIS} {name} slices of the cache"
            found.append(
                Comparison(5, what, "whole volume, gzip 4, cubes of 32", "lung box, Blosc lz4", taken, 4, checks)
            )
    return found
