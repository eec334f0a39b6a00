"""How much of a mass that is no air the search region holds, and how often a chest without one is flagged.

    python -m tests.conformance.missing_lung [--masses 8] [--tumour IMAGE LABEL]...

The chests are the sample data's, and further ones given as IMAGE with the contours of a tumour (LABEL, both in a format
of SimpleITK). Each is also read mirrored, so that the heart lies on the right. Into each, masses of tissue are planted
at random places on the lungs' surface, one at a time. Printed: the flag, and the share of the mass that is searched
without and with what is found missing.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from lungline.errors import Quarantine
from lungline.imaging.geometry import make_affine
from lungline.imaging.lung_shape import MissingPart, missing_parts
from lungline.imaging.lungs import add_margin, segment_lungs
from lungline.imaging.morphology import Mask, erode
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.readers.scan import read_scan
from tests.repository import sample_folder

_RADII_MM = (20.0, 45.0)
_TISSUE_HU, _NOISE_HU = 40.0, 15.0
_SPACING_MM = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.missing_lung", description=__doc__)
    parser.add_argument("--masses", type=int, default=8, help="planted in each chest and in its mirror image")
    parser.add_argument("--tumour", nargs=2, action="append", default=[], type=Path, metavar=("IMAGE", "LABEL"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("chest,mass,mass ml,flag,told ml,share searched without,share searched with")
    for name, ct, tumour in _chests(options.tumour):
        for mirrored in (False, True):
            turned, label = (
                (ct, name) if not mirrored else (ct.with_array(ct.array[:, :, ::-1].copy()), f"{name} mirrored")
            )
            lungs = segment_lungs(turned)[0]
            contour = np.zeros_like(lungs) if tumour is None else tumour[:, :, ::-1] if mirrored else tumour
            _print(label, "as it is", turned, lungs, contour)
            rng = np.random.default_rng([options.seed, mirrored])
            for k in range(options.masses):
                _plant(label, k, turned, lungs, rng)
    return 0


def _chests(tumours: list[tuple[Path, Path]]) -> Iterator[tuple[str, Volume, Mask | None]]:
    folder = sample_folder()
    for path in sorted((folder / "chest-ct").iterdir()) if folder else []:
        if path.is_dir() or path.suffix == ".mhd":
            ct = read_scan(path, "dicom" if path.is_dir() else "mhd")[0]
            yield path.stem, resample(ct, spacing_mm=_SPACING_MM), None
    for image, label in tumours:
        ct, contour = (_read(path) for path in (image, label))
        inside = contour.with_array(((contour.array == 1) * 1000).astype(np.int16))
        yield image.stem, resample(ct, spacing_mm=_SPACING_MM), resample(inside, spacing_mm=_SPACING_MM).array > 500


def _read(path: Path) -> Volume:
    image = sitk.ReadImage(str(path))
    array = np.maximum(sitk.GetArrayFromImage(image), -1024).astype(np.int16)
    return Volume(array, make_affine(image.GetSpacing()[::-1], image.GetOrigin()))


def _plant(label: str, k: int, ct: Volume, lungs: Mask, rng: np.random.Generator) -> None:
    surface = np.argwhere(lungs & ~erode(lungs, _SPACING_MM, ct.spacing_zyx_mm))
    centre, radius = rng.choice(surface), rng.uniform(*_RADII_MM)
    far = sum((axis - c) ** 2 for axis, c in zip(np.ogrid[tuple(slice(n) for n in lungs.shape)], centre, strict=True))
    mass = lungs & (far * _SPACING_MM**2 <= radius**2)
    hu = ct.array.copy()
    hu[mass] = rng.normal(_TISSUE_HU, _NOISE_HU, np.count_nonzero(mass))
    changed = ct.with_array(hu)
    try:
        _print(label, f"planted {k}", changed, segment_lungs(changed)[0], mass)
    except Quarantine as error:
        print(f"{label},planted {k},{_ml(mass):.0f},{error.flag},,,")


def _print(label: str, what: str, ct: Volume, lungs: Mask, mass: Mask) -> None:
    parts, place = missing_parts(lungs, ct.spacing_zyx_mm)
    told = sum(part.volume_ml for part in parts)
    shares = [np.mean(add_margin(region, ct)[mass]) if mass.any() else np.nan for region in (lungs, lungs | place)]
    print(f"{label},{what},{_ml(mass):.0f},{_sides(parts)},{told:.0f},{shares[0]:.3f},{shares[1]:.3f}", flush=True)


def _sides(parts: list[MissingPart]) -> str:
    return " ".join(sorted({part.side for part in parts})) or "-"


def _ml(mask: Mask) -> float:
    return float(np.count_nonzero(mask) * _SPACING_MM**3 / 1000)


if __name__ == "__main__":
    sys.exit(main())
