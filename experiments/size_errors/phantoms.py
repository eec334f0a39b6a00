"""Random oblique ellipsoids and readers' masks: how often sizes are right where the answer is known.

    python -m experiments.size_errors.phantoms [--count 20]

Ellipsoids of 40 and -600 HU are scanned with pixels of 0.7 mm (blur 1.2 mm, noise 20 HU); their label map on the grid
of 1 mm is right, or its border lies 0.5 mm outside. Prints, by size and slice thickness, the share of axes within half
of the voxel's longest edge and of volumes within 3 %: of the label map, which the table gives, and of the surface
where HU are half way (`outlines.py`). Then, where the sample data are, the mean diameter of the readers' masks of
LIDC-IDRI against the diameter in `nodules.csv`, and both volumes of a nodule whose label map is the readers' mask.

The table keeps the label map's volume. The surface half way is no better: blur makes that of an ellipsoid of 6 mm too
small, and readers draw outside it.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lungline.imaging import geometry
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import size_candidates
from lungline.nodules.outlines import outline
from lungline.nodules.sizes import axes_of, volume_of
from lungline.synthetic.source_nodules import read_nodule, read_nodule_rows
from tests.repository import sample_folder

SIZES_MM, SLICES_MM, PIXEL_MM, WRONG_MM = (6.0, 8.0, 12.0, 20.0), (0.6, 1.2, 2.4, 4.8), 0.7, (0.0, 0.5)
_FINE_MM, _LUNG_HU, _BLUR_MM, _NOISE_HU = 0.35, -860.0, 0.5, 20.0


def surface_volume(depth: Volume) -> float:
    """Volume inside a depth of 0 (`outline`), mm3, by linear interpolation to about a third of a millimetre."""
    parts = np.maximum(1, np.rint(depth.spacing_zyx_mm / _FINE_MM)).astype(int)
    places = [(np.arange(n * part) + 0.5) / part - 0.5 for n, part in zip(depth.shape_zyx, parts, strict=True)]
    fine = depth.array
    for axis, place in enumerate(places):
        low = np.clip(np.floor(place).astype(int), 0, depth.shape_zyx[axis] - 1)
        high, share = np.minimum(low + 1, depth.shape_zyx[axis] - 1), np.clip(place - low, 0, 1)
        share = np.expand_dims(share, [other for other in range(3) if other != axis])
        fine = np.take(fine, low, axis) * (1 - share) + np.take(fine, high, axis) * share
    return float(np.count_nonzero(fine > 0) * np.prod(depth.spacing_zyx_mm / parts))


def ellipsoid(diameter_mm: float, slice_mm: float, hu: float, wrong_mm: float, seed: int) -> tuple[NDArray, NDArray]:
    """Long and short axis, mm, and volume of an ellipsoid: true, and measured, the volume also of the surface."""
    rng = np.random.default_rng([seed, int(10 * diameter_mm), int(10 * slice_mm)])
    semi = np.array([1, rng.uniform(0.75, 1), rng.uniform(0.65, 0.95)])
    semi *= diameter_mm / 2 / np.prod(semi) ** (1 / 3)
    turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    form = turn @ np.diag(semi**-2.0) @ turn.T
    slices, pixels = max(1, round(slice_mm / 0.3)), 2
    shape = np.ceil((1.6 * diameter_mm + 14) / np.array([slice_mm, PIXEL_MM, PIXEL_MM])).astype(int)
    fine = geometry.make_affine((slice_mm / slices, _FINE_MM, _FINE_MM))
    centre = geometry.voxel_to_world(fine, shape * [slices, pixels, pixels] / 2 + rng.uniform(-1, 1, 3))

    def inside(affine: NDArray, shape_zyx: NDArray) -> NDArray:
        away = geometry.voxel_to_world(affine, np.moveaxis(np.indices(shape_zyx), 0, -1)) - centre
        return np.asarray(np.sqrt(np.einsum("...i,ij,...j->...", away, form, away)))

    drawn = np.where(inside(fine, shape * [slices, pixels, pixels]) <= 1, hu, _LUNG_HU)
    drawn = ndimage.gaussian_filter(drawn, [0, _BLUR_MM / _FINE_MM, _BLUR_MM / _FINE_MM])
    drawn = drawn.reshape(shape[0], slices, shape[1], pixels, shape[2], pixels).mean(axis=(1, 3, 5))
    first = geometry.voxel_to_world(fine, [(slices - 1) / 2, (pixels - 1) / 2, (pixels - 1) / 2])
    affine = geometry.make_affine((slice_mm, PIXEL_MM, PIXEL_MM), first)
    scan = Volume((drawn + rng.normal(0, _NOISE_HU, drawn.shape)).astype(np.float32), affine)
    ct = resample(scan)
    labels = (inside(ct.affine, np.array(ct.shape_zyx)) <= 1 + 2 * wrong_mm / diameter_mm).astype(np.uint8)
    (found,) = size_candidates(ct, labels, [1], scan)
    narrow, wide = np.linalg.eigvalsh(form[:2, :2])
    true = np.array([2 * narrow**-0.5, 2 * wide**-0.5, 4 / 3 * np.pi * np.prod(semi)])
    surface = surface_volume(outline(scan, ct.with_array(labels > 0)))
    return true, np.array([found.axes.long_mm, found.axes.short_mm, found.volume_mm3, surface])


def readers_masks() -> str:
    """Mean diameter, and diameter of the ball of the same volume, of readers' masks against `nodules.csv`."""
    samples = sample_folder()
    if samples is None or not (samples / "lidc-nodules").is_dir():
        return "no lidc-nodules: set LUNGLINE_SAMPLE_DATA to the folder that holds it."
    rows, volumes = [], []
    for row in read_nodule_rows(samples / "lidc-nodules"):
        ct, mask = read_nodule(samples / "lidc-nodules", row)
        label = resample(mask).array > 0.5
        if label.any():
            (found,) = size_candidates(resample(ct), label.astype(np.uint8), [1], ct)
            ball = (6 * volume_of(mask.array > 0.5, mask.affine) / np.pi) ** (1 / 3)
            alone = axes_of(mask.array > 0.5, mask.affine).mean_mm
            surface = surface_volume(outline(ct, resample(ct).with_array(label)))
            volumes.append(np.array([label.sum(), surface]) / volume_of(mask.array > 0.5, mask.affine) - 1)
            rows.append(np.array([found.axes.mean_mm, alone, ball]) - row.diameter_mm)
    outlined, alone, ball = np.median(rows, axis=0)
    counted, surface = 100 * np.median(volumes, axis=0)
    return (
        f"{len(rows)} nodules, median difference from nodules.csv: mean diameter of the outline {outlined:+.2f} mm, of "
        f"the mask {alone:+.2f} mm; of the ball with the mask's volume {ball:+.2f} mm. Volume against the mask's: "
        f"counted on the grid of 1 mm {counted:+.1f} %, of the surface half way {surface:+.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="ellipsoids for each size, thickness and HU")
    count = parser.parse_args().count
    words = ("diameter, mm", "slices, mm", "border of the label map", "axes within half a voxel")
    print(f"| {' | '.join(words)} | volumes within 3 %: label map | surface |")
    print("|---|---|---|---|---|---|")
    for diameter_mm in SIZES_MM:
        for slice_mm in SLICES_MM:
            for wrong_mm in WRONG_MM:
                made = [
                    ellipsoid(diameter_mm, slice_mm, hu, wrong_mm, seed)
                    for seed in range(count)
                    for hu in (40.0, -600.0)
                ]
                true, found = (np.array(part) for part in zip(*made, strict=True))
                axes = np.abs(found[:, :2] - true[:, :2]) <= 0.5 * max(slice_mm, PIXEL_MM)
                volumes = np.abs(found[:, 2:] / true[:, 2:] - 1) <= 0.03
                border = f"{wrong_mm} mm outside" if wrong_mm else "right"
                shares = [f"{100 * share:.0f} %" for share in (axes.mean(), *volumes.mean(axis=0))]
                print(f"| {diameter_mm:.0f} | {slice_mm} | {border} | {' | '.join(shares)} |", flush=True)
    print(readers_masks())


if __name__ == "__main__":
    main()
