"""Goals 4 and 5: reading scans, and reading slices of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmarks.speed.measure import Check, Comparison, interleave, timed
from benchmarks.speed.simulated_adult import SimulatedAdult
from lungline.imaging.intensity import mask_outside
from lungline.readers.metaimage import read_metaimage
from lungline.readers.scan import read_scan
from lungline.storage import hdf5
from tests import literal

_SLICES_AN_AXIS = 24
Way = tuple[str, Callable[[], NDArray]]


def reading(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 4: with all that is checked of a scan, in the child process in which a stage reads it."""
    found = []
    for what, theirs, ours, at_least in _readers(adult):
        taken, wanted, read = interleave(theirs[1], ours[1], adult.pairs)
        checks = (Check("voxels that differ", float(np.count_nonzero(wanted != read)), "==", 0),)
        found.append(Comparison(4, what, theirs[0], ours[0], taken, at_least, checks))
    return found


def _readers(adult: SimulatedAdult) -> Iterator[tuple[str, Way, Way, float | None]]:
    """What is read, the two ways, and the ratio asked for."""

    def ours(folder: Path) -> Way:
        return "read_scan", lambda: read_scan(folder, "dicom")[0].array

    for compressed, name, at_least in ((False, "plain", 3.0), (True, "RLE", 5.0)):
        folder = adult.dicom(compressed=compressed)
        theirs = "pydicom, a slice at a time", lambda folder=folder: literal.read_dicom(folder)
        yield f"read DICOM, {name}, {adult.shape_zyx[0]} slices", theirs, ours(folder), at_least
    mhd = adult.scratch / "scan.mhd"
    image = sitk.GetImageFromArray(adult.ct.array)
    image.SetSpacing([float(s) for s in adult.ct.spacing_zyx_mm[::-1]])
    sitk.WriteImage(image, str(mhd))
    by_itk = "SimpleITK", lambda: sitk.GetArrayFromImage(sitk.ReadImage(str(mhd)))
    yield "read .mhd and .raw", by_itk, ("read_metaimage", lambda: read_metaimage(mhd).array), None
    real = adult.samples / "chest-ct" / "ricord1a-001012" if adult.samples else None
    if real is not None and real.is_dir():

        def by_series() -> NDArray[np.int16]:
            """As our HU: nothing below -1024."""
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(real))
            return np.maximum(sitk.GetArrayFromImage(sitk.ReadImage(names)), -1024).astype(np.int16)

        yield "read a real series, JPEG lossless", ("SimpleITK's series reader", by_series), ours(real), None


def cache(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 5: slices through the lungs, along each axis, from a file that is held open."""
    masked, box = mask_outside(adult.fine, adult.mask), adult.box
    whole, boxed = adult.scratch / "gzip.h5", adult.scratch / "blosc.h5"
    literal.write_gzip(whole, masked.array)
    field = hdf5.volume_field(masked.crop(box), "HU", "CT inside the lung mask")
    hdf5.write_file(boxed, hdf5.Header("masked_ct_hu", "cache_volume"), {"ct": field})
    exact = np.array_equal(hdf5.read_array(boxed, "ct"), masked.array[box])
    size = boxed.stat().st_size / masked.array.nbytes
    found = []
    with h5py.File(whole) as file, hdf5.open_field(boxed, "ct").file as own:
        for axis, name in enumerate(("axial", "coronal", "sagittal")):
            places = np.linspace(box[axis].start, box[axis].stop - 1, _SLICES_AN_AXIS).astype(int)

            def read(field: h5py.Dataset, first: int, axis: int = axis, places: NDArray = places) -> list[NDArray]:
                return [field[(slice(None),) * axis + (int(place) - first,)] for place in places]

            def ours(read: Callable = read, first: int = box[axis].start) -> list[NDArray]:
                return read(own["ct"], first)

            each_ms = 1000 * timed(ours)[0].cpu_s / len(places)
            taken, _, _ = interleave(lambda read=read: read(file["ct"], 0), ours, adult.pairs)
            checks = (
                Check("CPU a slice, ms", each_ms, "<=", 2.5),
                Check("size, share of the raw volume", size, "<=", 1 / 6),
                Check("the same bits", float(exact), "==", 1),
            )
            what, their_way = f"{_SLICES_AN_AXIS} {name} slices of the cache", "whole volume, gzip 4, cubes of 32"
            found.append(Comparison(5, what, their_way, "lung box, Blosc lz4", taken, 4, checks))
    return found
