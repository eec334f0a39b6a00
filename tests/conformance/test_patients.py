"""The patient decides, not the picture: which bodies are read as a chest and which are refused, by kind and variation.

Every body is made here, of ellipsoids in millimetres, written as DICOM, and goes through `ingest`, `resample` and
`segment_lungs` as a user's scan does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lungline.stages import ingest, resample, segment_lungs
from lungline.storage import hdf5
from scans import write_dicom

AIR, SOFT, FAT, BONE, LUNG, FOAM = -1000.0, 45.0, -100.0, 500.0, -850.0, -900.0
Points = tuple[np.ndarray, np.ndarray, np.ndarray]


def egg(at: Points, centre, radii) -> np.ndarray:
    """World points (z, y, x) that lie in an ellipsoid; a radius of None is an endless axis."""
    parts = [((a - c) / r) ** 2 for a, c, r in zip(at, centre, radii, strict=True) if r]
    return sum(parts) <= 1


def paint(at: Points, hu: np.ndarray, where: np.ndarray, value: float) -> None:
    hu[np.broadcast_to(where, hu.shape)] = value


def trunk(at: Points, hu: np.ndarray, *, size=1.0, lungs=("right", "left"), lung_hu=LUNG, waist=1.0) -> None:
    """A trunk whose lungs lie about z = 0, with bowel gas below them; `size` 1 is an adult."""
    at = tuple(a / size for a in at)
    paint(at, hu, egg(at, (-250, 0, 0), (700, 115 * waist, 180 * waist)), FAT)
    paint(at, hu, egg(at, (-250, 0, 0), (690, 108, 172)), SOFT)
    paint(at, hu, egg(at, (0, 80, 0), (None, 18, 18)), BONE)
    for side, x in (("right", -80), ("left", 80)):
        if side in lungs:
            paint(at, hu, egg(at, (0, 0, x), (125, 76, 58)), lung_hu)
    paint(at, hu, egg(at, (140, 0, 0), (110, 9, 9)), AIR)
    for x in (-90, -30, 40, 100):
        paint(at, hu, egg(at, (-280, -40, x), (60, 24, 24)), AIR)
        paint(at, hu, egg(at, (-370, -30, x), (40, 20, 20)), -450)  # stool with gas in it


def table(at: Points, hu: np.ndarray) -> None:
    """A shell of carbon fibre around foam."""
    _, y, x = at
    paint(at, hu, (np.abs(y - 150) < 22) & (np.abs(x) < 220), -120)
    paint(at, hu, (np.abs(y - 150) < 19) & (np.abs(x) < 217), FOAM)


def head(at: Points, hu: np.ndarray) -> None:
    """A head on a cushion of foam, with sinuses, nose and mastoid cells."""
    _, y, x = at
    paint(at, hu, (np.abs(y - 60) < 60) & (np.abs(x) < 130), FOAM)
    paint(at, hu, egg(at, (0, 0, 0), (120, 95, 75)), SOFT)
    paint(at, hu, egg(at, (0, 0, 0), (112, 87, 67)), 900)
    paint(at, hu, egg(at, (0, 0, 0), (106, 81, 61)), 35)
    for side in (-1, 1):
        paint(at, hu, egg(at, (-40, -55, 28 * side), (18, 17, 14)), AIR)
        paint(at, hu, egg(at, (-40, 30, 55 * side), (14, 10, 8)), -700)
    paint(at, hu, egg(at, (-45, -60, 0), (30, 26, 8)), AIR)


def phantom(at: Points, hu: np.ndarray) -> None:
    """A drum of water with rods, of which one is like lung, on foam."""
    _, y, x = at
    paint(at, hu, (np.abs(y - 90) < 60) & (np.abs(x) < 200), FOAM)
    paint(at, hu, egg(at, (0, 0, 0), (None, 110, 110)), 0)
    for x_mm, value in ((-70, -850), (70, -1000), (0, 900)):
        paint(at, hu, egg(at, (0, 0, x_mm), (None, 15, 15)), value)


def arm(at: Points, hu: np.ndarray) -> None:
    paint(at, hu, egg(at, (0, 0, 0), (None, 45, 40)), FAT)
    paint(at, hu, egg(at, (0, 0, 0), (None, 38, 34)), SOFT)
    paint(at, hu, egg(at, (0, 0, 0), (None, 11, 11)), 1200)
    paint(at, hu, egg(at, (0, 0, 0), (None, 6, 6)), -60)


def dry_bone(at: Points, hu: np.ndarray) -> None:
    paint(at, hu, egg(at, (0, 0, 0), (None, 20, 20)), 1300)
    paint(at, hu, egg(at, (0, 0, 0), (None, 13, 13)), -700)  # marrow dried out


def made(
    folder: Path,
    draw: Callable[[Points, np.ndarray], None],
    shape=(60, 100, 100),
    spacing=(5.0, 4.0, 4.0),
    centre=(0.0, 0.0, 0.0),
    noise=15.0,
) -> Path:
    """DICOM of a body, seen in a picture of this shape (z, y, x) around `centre`."""
    at = tuple(c + s * (np.arange(n) - (n - 1) / 2) for c, s, n in zip(centre, spacing, shape, strict=True))
    points = np.ix_(*at)
    hu = np.full(shape, AIR, dtype=np.float32)
    draw(points, hu)
    hu += np.random.default_rng(0).normal(0, noise, shape)
    origin = [at[2][0], at[1][0], at[0][0]]
    return write_dicom(folder, np.clip(np.rint(hu), -1024, 3071).astype(np.int16), spacing_kji=spacing, origin=origin)


def read(tmp_path: Path, raw: Path, spacing_mm: float) -> tuple[list[str], float]:
    """Flags of a scan after its lungs were looked for, and the lungs' ml (0 where it is refused)."""
    ingest.run(raw, tmp_path / "i.h5", source="dicom")
    resample.run(tmp_path / "i.h5", tmp_path / "r.h5", spacing_mm=spacing_mm)
    segment_lungs.run(
        tmp_path / "r.h5",
        tmp_path / "s.h5",
        threshold_hu=-320.0,
        margin_mm=5.0,
        plausible_ml_low=1000.0,
        plausible_ml_high=9000.0,
    )
    header = hdf5.read_header(tmp_path / "s.h5")
    quality = header.provenance.get("quality", {"volume_ml": 0.0})
    return [code.flag for code in header.flags], quality["volume_ml"]


ADULT_ML = 2 * 4 / 3 * np.pi * 125 * 76 * 58 / 1000
WHOLE_TRUNK = {"shape": (190, 125, 125), "centre": (-330, 0, 0)}

READ = {
    "a chest that fills the picture": (trunk, {}, {}, ADULT_ML, []),
    "PET/CT from skull to thigh": (trunk, {}, WHOLE_TRUNK, ADULT_ML, []),
    "PET/CT in a field of 700 mm": (
        trunk, {}, {"shape": (190, 140, 140), "spacing": (5, 5, 5), "centre": (-330, 0, 0)}, ADULT_ML, [],
    ),
    "radiotherapy planning, a small adult in 800 mm": (
        trunk, {"size": 0.8}, {"shape": (90, 160, 160), "spacing": (5, 5, 5)}, 0.8**3 * ADULT_ML, [],
    ),
    "a patient of 200 kg": (trunk, {"waist": 1.6}, {"shape": (90, 130, 160), "spacing": (5, 4.5, 4.5)}, ADULT_ML, []),
    "a child in the field of an adult": (trunk, {"size": 0.55}, {}, 0.55**3 * ADULT_ML, ["W_LUNG_VOLUME"]),
    "an infant in the field of an adult": (
        trunk, {"size": 0.35}, {"shape": (40, 200, 200), "spacing": (4, 2.5, 2.5)}, 0.35**3 * ADULT_ML,
        ["W_LUNG_VOLUME"],
    ),
    "one lung after pneumonectomy": (trunk, {"lungs": ("left",)}, {}, ADULT_ML / 2, ["W_ONE_LUNG"]),
    "one lung in a whole trunk": (trunk, {"lungs": ("right",)}, WHOLE_TRUNK, ADULT_ML / 2, ["W_ONE_LUNG"]),
    "emphysema of -975 HU": (trunk, {"lung_hu": -975.0}, {}, ADULT_ML, ["W_LUNG_GAS"]),
    "emphysema of -960 HU in a whole trunk": (trunk, {"lung_hu": -960.0}, WHOLE_TRUNK, ADULT_ML, ["W_LUNG_GAS"]),
    "emphysema in one lung of -970 HU": (
        trunk, {"lung_hu": -970.0, "lungs": ("left",)}, {}, ADULT_ML / 2, ["W_ONE_LUNG", "W_LUNG_GAS"],
    ),
    "lungs of -650 HU, breathed out": (trunk, {"lung_hu": -650.0}, WHOLE_TRUNK, ADULT_ML, []),
    "low dose, 60 HU of noise": (trunk, {}, {**WHOLE_TRUNK, "noise": 60}, ADULT_ML, []),
}  # fmt: skip

REFUSED = {
    "the abdomen of a trunk": (trunk, {"shape": (60, 100, 100), "centre": (-330, 0, 0)}),
    "a trunk without lungs": (lambda at, hu: trunk(at, hu, lungs=()), {"centre": (-100, 0, 0)}),
    "a head on a cushion": (head, {"shape": (60, 100, 120), "spacing": (4, 2.5, 2.5)}),
    "a phantom on foam": (phantom, {"spacing": (3, 4, 4)}),
    "an empty table": (table, {"shape": (60, 110, 120)}),
    "air alone": (lambda at, hu: None, {}),
    "an arm": (arm, {"shape": (60, 60, 60), "spacing": (4, 2, 2)}),
    "a dry bone": (dry_bone, {"shape": (60, 60, 60), "spacing": (4, 1.5, 1.5)}),
    "water that fills the picture": (lambda at, hu: paint(at, hu, hu < 0, 0.0), {}),
}


@pytest.mark.parametrize("kind", READ)
def test_a_patient_with_lungs_is_read_whatever_the_picture(kind, tmp_path):
    draw, body, picture, volume_ml, flags = READ[kind]

    def on_a_table(at: Points, hu: np.ndarray) -> None:
        table(at, hu)
        draw(at, hu, **body)

    spacing_mm = 3.0 if body.get("size", 1.0) < 0.5 else 4.0  # an infant's lungs need the finer grid
    found, found_ml = read(tmp_path, made(tmp_path / "raw", on_a_table, **picture), spacing_mm)
    assert [code for code in found if code.startswith("Q_")] == []
    assert found_ml == pytest.approx(volume_ml, rel=0.1)
    assert found == flags


@pytest.mark.parametrize("kind", REFUSED)
def test_what_shows_no_lung_is_refused_whatever_air_it_holds(kind, tmp_path):
    draw, picture = REFUSED[kind]
    ingest.run(made(tmp_path / "raw", draw, **picture), tmp_path / "i.h5", source="dicom")
    assert [code.flag for code in hdf5.read_header(tmp_path / "i.h5").flags] == ["Q_NOT_CHEST_CT"]
