"""Goals 1 to 3: resampling, dilation, and the whole way from DICOM to what the networks read."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed import literal
from benchmarks.speed.measure import Check, Comparison, dice, interleave, peak_mib
from benchmarks.speed.simulated_adult import Scene
from lungline.imaging.intensity import bounding_box, mask_outside
from lungline.imaging.lungs import add_margin, segment_lungs
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.readers.scan import read_scan
from lungline.storage import hdf5


def resampling(scene: Scene) -> list[Comparison]:
    """Goal 1."""
    ct = scene.ct
    resample(ct)  # its matrices are cached
    taken, _, fine = interleave(lambda: literal.zoom(ct), lambda: resample(ct), scene.pairs)
    error = float(np.abs(fine.array - literal.spline_at_our_places(ct, fine.shape_zyx)).max())
    memory = peak_mib(lambda: resample(ct))
    checks = (
        Check("largest difference from scipy's spline, HU", error, "<=", 0.001),
        Check("memory beyond the scan, MiB", memory, "<=", 350),
    )
    size = f"{'x'.join(map(str, ct.shape_zyx))} to 1 mm"
    cubic = Comparison(1, f"resample, cubic, {size}", "scipy zoom, order 3", "resample", taken, 40, checks)
    voxels = torch.from_numpy(ct.array.astype(np.float32))[None, None]

    def trilinear() -> torch.Tensor:
        return torch.nn.functional.interpolate(voxels, size=fine.shape_zyx, mode="trilinear")

    taken, _, _ = interleave(trilinear, lambda: resample(ct), scene.pairs)
    return [cubic, Comparison(1, f"resample, {size}", "torch trilinear (not cubic)", "resample", taken, 1.5)]


def dilation(scene: Scene) -> list[Comparison]:
    """Goal 2."""
    lungs, fine = scene.lungs, scene.fine
    taken, wanted, found = interleave(
        lambda: literal.dilate(lungs, 5), lambda: add_margin(lungs, fine, 5.0), scene.pairs
    )
    checks = (Check("voxels that differ", float(np.count_nonzero(wanted != found)), "==", 0),)
    return [Comparison(2, "dilate the lungs by 5 mm", "scipy dilation by ball(5)", "add_margin", taken, 80, checks)]


def preparation(scene: Scene) -> list[Comparison]:
    """Goal 3: in one process, without the files between the stages."""
    folder, target = scene.dicom(compressed=False), scene.scratch / "cache.h5"

    def ours() -> NDArray[np.bool_]:
        fine = resample(read_scan(folder, "dicom")[0])
        mask = add_margin(segment_lungs(fine)[0], fine)
        box = bounding_box(mask)
        masked = mask_outside(fine.crop(box), mask[box])
        field = hdf5.volume_field(masked, "HU", "CT inside the lung mask")
        hdf5.write_file(target, hdf5.Header("masked_ct_hu", "cache_volume"), {"ct": field})
        return mask

    def theirs() -> NDArray[np.bool_]:
        shape, affine = scene.fine.shape_zyx, scene.fine.affine
        scanned = Volume(literal.read_dicom(folder), scene.ct.affine)
        fine = Volume(literal.spline_at_our_places(scanned, shape).astype(np.float32), affine)
        with literal.slow_shapes():
            lungs = segment_lungs(fine)[0]
        mask = literal.dilate(lungs, 5)
        literal.write_gzip(scene.scratch / "literal.h5", np.where(mask, np.rint(fine.array), -1000).astype(np.int16))
        return mask

    assert scene.mask.any()  # the scene's own parts are made before the clock runs
    taken, wanted, found = interleave(theirs, ours, scene.pairs)
    checks = (
        Check("Dice of the masks", dice(wanted, found), ">=", 0.9999),
        Check("peak memory, share of the literal way's", peak_mib(ours) / peak_mib(theirs), "<=", 0.5),
    )
    return [
        Comparison(
            3,
            "DICOM to masked HDF5, in one process",
            "pydicom, scipy, skimage, gzip",
            "read, resample, segment, cache",
            taken,
            40,
            checks,
        )
    ]
