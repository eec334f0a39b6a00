"""Goals 1 to 3 and 7: resampling, dilation, the way from DICOM to what the networks read, the strongest candidates."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed.measure import Check, Comparison, dice, interleave, peak_mib
from benchmarks.speed.simulated_adult import THRESHOLD, SimulatedAdult
from lungline.detection.candidates import extract_candidates
from lungline.imaging.intensity import bounding_box, mask_outside
from lungline.imaging.lungs import add_margin, segment_lungs
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.readers.scan import read_scan
from lungline.storage import hdf5
from tests import literal

_COUNT = 20


def resampling(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 1."""
    ct = adult.ct
    resample(ct)  # its matrices are cached
    taken, _, fine = interleave(lambda: literal.zoom(ct), lambda: resample(ct), adult.pairs)
    error = float(np.abs(fine.array - literal.spline_at_our_places(ct, fine.shape_zyx)).max())
    checks = (
        Check("largest difference from scipy's spline, HU", error, "<=", 0.001),
        Check("memory beyond the scan, MiB", peak_mib(lambda: resample(ct)), "<=", 350),
    )
    size = f"{'x'.join(map(str, ct.shape_zyx))} to 1 mm"
    cubic = Comparison(1, f"resample, cubic, {size}", "scipy zoom, order 3", "resample", taken, 40, checks)
    voxels = torch.from_numpy(ct.array.astype(np.float32))[None, None]

    def trilinear() -> torch.Tensor:
        return torch.nn.functional.interpolate(voxels, size=fine.shape_zyx, mode="trilinear")

    taken, _, _ = interleave(trilinear, lambda: resample(ct), adult.pairs)
    return [cubic, Comparison(1, f"resample, {size}", "torch trilinear (not cubic)", "resample", taken, 1.5)]


def dilation(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 2."""
    lungs, fine = adult.lungs, adult.fine
    taken, wanted, found = interleave(
        lambda: literal.dilate(lungs, 5), lambda: add_margin(lungs, fine, 5.0), adult.pairs
    )
    checks = (Check("voxels that differ", float(np.count_nonzero(wanted != found)), "==", 0),)
    return [Comparison(2, "dilate the lungs by 5 mm", "scipy dilation by ball(5)", "add_margin", taken, 80, checks)]


def preparation(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 3: in one process, without the files between the stages."""
    folder, target = adult.dicom(compressed=False), adult.scratch / "cache.h5"

    def ours() -> NDArray[np.bool_]:
        fine = resample(read_scan(folder, "dicom")[0])
        mask = add_margin(segment_lungs(fine)[0], fine)
        box = bounding_box(mask)
        field = hdf5.volume_field(mask_outside(fine.crop(box), mask[box]), "HU", "CT inside the lung mask")
        hdf5.write_file(target, hdf5.Header("masked_ct_hu", "cache_volume"), {"ct": field})
        return mask

    def theirs() -> NDArray[np.bool_]:
        shape, affine = adult.fine.shape_zyx, adult.fine.affine
        scanned = Volume(literal.read_dicom(folder), adult.ct.affine)
        fine = Volume(literal.spline_at_our_places(scanned, shape).astype(np.float32), affine)
        with literal.slow_shapes():
            lungs = segment_lungs(fine)[0]
        mask = literal.dilate(lungs, 5)
        literal.write_gzip(adult.scratch / "literal.h5", np.where(mask, np.rint(fine.array), -1000).astype(np.int16))
        return mask

    assert adult.mask.any()  # its own parts are made before the clock runs
    taken, wanted, found = interleave(theirs, ours, adult.pairs)
    checks = (
        Check("Dice of the masks", dice(wanted, found), ">=", 0.9999),
        Check("peak memory, share of the literal way's", peak_mib(ours) / peak_mib(theirs), "<=", 0.5),
    )
    what, their_way = "DICOM to masked HDF5, in one process", "pydicom, scipy, skimage, gzip"
    return [Comparison(3, what, their_way, "read, resample, segment, cache", taken, 40, checks)]


def candidates(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 7. The literal way sees the whole volume; ours the lung box, as the detector writes it."""
    whole = adult.probability
    boxed = whole.crop(adult.box)
    boxed = Volume(np.ascontiguousarray(boxed.array), boxed.affine)
    first = [part.start for part in adult.box]
    taken, wanted, found = interleave(
        lambda: literal.strongest(whole.array.astype(np.float64), THRESHOLD, _COUNT),
        lambda: extract_candidates(boxed, threshold=THRESHOLD, count=_COUNT)[0],
        adult.pairs,
    )
    sums, places = [], []
    for one, (total, place) in zip(found, wanted, strict=True):
        sums.append(abs(one.sum_probability - total))
        places.append(np.abs(np.add((one.z, one.y, one.x), first) - place).max())
    checks = (
        Check("largest difference of a sum", float(max(sums)), "<=", 1e-6),
        Check("of a centroid, voxels", float(max(places)), "<=", 1e-6),
    )
    what = f"the {_COUNT} strongest candidates"
    return [Comparison(7, what, "skimage label, regionprops", "extract_candidates", taken, 10, checks)]
