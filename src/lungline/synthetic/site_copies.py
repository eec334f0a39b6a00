"""The scans of a site's acceptance: a chest as it is, and copies of it with implanted nodules."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungline.imaging.volume import Volume
from lungline.nodules.annotations import Nodule
from lungline.storage import hdf5
from lungline.storage.checksums import sha256
from lungline.synthetic.implanted_chests import Truth, implanted_copy, plan_copies
from lungline.synthetic.recipients import Chest, without_lesions
from lungline.synthetic.source_nodules import NoduleRow, read_source_nodule
from lungline.synthetic.writers import write_mhd


@dataclass(frozen=True)
class Request:
    """What is implanted, whatever the detector; `known` are findings by the name of a chest."""

    rows: Sequence[NoduleRow]
    nodules: Path
    copies: int
    per_scan: int
    seed: int
    known: Mapping[str, Sequence[Nodule]]


def lesions_of(request: Request, chest: str | None) -> list[list[Any]]:
    """The known findings of a chest: world mm, LPS, and diameter in mm (negative: not measured)."""
    return [[*one.centre_xyz_mm, one.diameter_mm] for one in request.known.get(chest or "", ())]


def write_copies(
    scans: Path, name: str, number: int, made: Mapping[str, Path], known: Sequence[Sequence[float]], request: Request
) -> dict[str, Any]:
    """Write the chest and its copies; their names, what was asked for and implanted, the files with SHA-256.

    A copy's name ends with a hash of its pixels, so that results of other copies are known as such.
    """
    native, ct = hdf5.read_volume(made["ingest"], "ct"), hdf5.read_volume(made["resample"], "ct")
    inside = hdf5.read_array(made["segment_lungs"], "lungs")
    chest = Chest(ct.array.astype(np.float32), inside, inside, ct.affine, float(native.spacing_zyx_mm[0]))
    lesions = [[*one[:3], abs(one[3]) / 2 if one[3] > 0 else 5.0] for one in known]
    chest = without_lesions(chest, lesions, cut_out=False)
    rng = np.random.default_rng([request.seed, number])
    plans = plan_copies(request.rows, request.copies, request.per_scan, rng)
    files, truth, copies = _write_scan(scans / f"{name}.mhd", native), [], []
    for copy, wanted in enumerate(plans, start=1):
        sources = [read_source_nodule(request.nodules, one.row) for one in wanted]
        volume, placed = implanted_copy(native, chest, wanted, sources, rng)
        pixels = hashlib.sha256(volume.array.tobytes()).hexdigest()
        copies.append(f"{name}-{copy}-{pixels[:6]}")
        files |= _write_scan(scans / f"{copies[-1]}.mhd", volume)
        truth += [[copies[-1], *_cells(one)] for one in placed]
    return {"asked": sum(map(len, plans)), "copies": copies, "truth": truth, "files": files}


def _cells(one: Truth) -> list[str]:
    centre, diameter, *rest = astuple(one)
    return [*(f"{value:.3f}" for value in centre), f"{diameter:.2f}", *rest]


def _write_scan(path: Path, volume: Volume) -> dict[str, str]:
    """Write a scan as .mhd and .zraw; SHA-256 of both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mhd(path, volume)
    return {file.name: sha256(file) for file in (path, path.with_suffix(".zraw"))}
