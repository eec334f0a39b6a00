"""Seeded mutants of sound inputs, and how an answer to one is judged.

A mutant is one change of one file: bits, bytes, a chunk, its end, a value of its header. Nobody can know what a
changed but valid value was meant to say, so an answer may be one of two things:

right
    What the sound input shows: the same geometry, and the same HU wherever the change did not reach.
as written
    What the changed file says, by a strict reading of our own (`reference_reader.py`) that knows no library of medical
    images: every value that is said twice must agree, every length must be exact, every checksum must pass.

Of a DICOM folder one slice in many is changed, so geometry is always said many times: an answer with another geometry
is silently wrong. The pixels and the rescale of the one changed slice are nobody's knowledge and count as written.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from tests.conformance.robustness import dicom_files, mhd_files, nifti_files, reference_reader
from tests.conformance.robustness.analytic_phantom import Array, Grid, make_grid
from tests.conformance.robustness.judge import POSITION_MM, SPACING_SHARE, Judged
from tests.conformance.robustness.mutations import CHANGES, WAYS

AS_WRITTEN = "right, as written"
KEPT = ("right", AS_WRITTEN, "refused clearly")
GRID = make_grid((14, 32, 36), (4.5, 2.5, 2.25))
_SLICES = GRID.shape_zyx[0]


@dataclass(frozen=True)
class Mutant:
    """One changed file in a scan that was sound: `base` names the scan, `seed` decides the change."""

    source: str
    base: str
    how: str
    seed: int

    for_peers = True

    @property
    def kind(self) -> str:
        return self.how

    @property
    def title(self) -> str:
        return f"mutant/{self.source}/{self.base}/{self.how}/{self.seed}"

    def build(self, folder: Path) -> Path:
        rng = random.Random(f"{self.seed} {self.title}")
        path, blobs = _sound(self.source, self.base)
        names = sorted(blobs)
        target = names[rng.randrange(len(names))]
        changed = {**blobs, target: CHANGES[self.how](blobs[target], rng)}
        for name, blob in changed.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(blob)
        return folder / path

    def _changed_slice(self) -> int:
        """Of a DICOM folder: the slice that was changed."""
        rng = random.Random(f"{self.seed} {self.title}")
        names = sorted(_sound(self.source, self.base)[1])
        return int(Path(names[rng.randrange(len(names))]).stem)

    def judge(self, outcome: str, words: str, answers: list[tuple[NDArray, Array]]) -> Judged:
        if outcome != "answered":
            return Judged({"refused": "refused clearly", "raised": "refused by traceback"}.get(outcome, outcome), words)
        if self.source == "dicom":
            found = [_judge_slices(array, affine, self._changed_slice()) for array, affine in answers]
        else:
            found = [self._judge_file(array, affine) for array, affine in answers]
        order = ["right", AS_WRITTEN, "silently wrong"]
        return min(found, key=lambda j: order.index(j.verdict), default=Judged("silently wrong", "no volume"))

    def _judge_file(self, array: NDArray, affine: Array) -> Judged:
        fault = difference(array, affine, GRID.hu(), GRID.affine)
        if not fault:
            return Judged("right")
        with tempfile.TemporaryDirectory() as folder:
            path = self.build(Path(folder))
            written = (
                reference_reader.read_metaimage(path) if self.source == "mhd" else reference_reader.read_nifti(path)
            )
        if written is None:
            return Judged("silently wrong", f"{fault}; a strict reading refuses it")
        fault = difference(array, affine, *written)
        return Judged("silently wrong", f"not as written: {fault}") if fault else Judged(AS_WRITTEN)


@lru_cache(maxsize=16)
def _sound(source: str, base: str) -> tuple[str, dict[str, bytes]]:
    """Path of a sound scan, and its files by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if source == "dicom":
            made = dicom_files.datasets(GRID)
            for ds in made:
                if base == "rle":
                    ds.compress(dicom_files.pydicom.uid.RLELossless, generate_instance_uid=False)
                elif base == "jpeg-2000":
                    ds.compress(dicom_files.pydicom.uid.JPEG2000Lossless, generate_instance_uid=False)
                elif base == "implicit":
                    ds.file_meta.TransferSyntaxUID = dicom_files.pydicom.uid.ImplicitVRLittleEndian
            path = dicom_files.write_all(folder / "scan", made, lambda k: f"{k:03d}.dcm")
        elif source == "mhd":
            how = {"raw": {}, "zraw": {"compressed": True}, "mha": {"local": True}}[base]
            path = mhd_files.write(folder / "scan", GRID.hu(), GRID, **how)
        else:
            path = nifti_files.write(folder / "scan", GRID.hu(), GRID, file=f"scan.{base}")
        blobs = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        return str(path.relative_to(folder)), blobs


BASES = {
    "dicom": ("explicit", "implicit", "rle", "jpeg-2000"),
    "mhd": ("raw", "zraw", "mha"),
    "nifti": ("nii", "nii.gz"),
}


def draw(seed: int, count: int) -> Iterator[Mutant]:
    """`count` mutants: the formats, the sound scans and the ways to change them in turn."""
    rng = random.Random(seed)
    for k in range(count):
        source = ("dicom", "mhd", "nifti")[k % 3]
        base = rng.choice(BASES[source])
        yield Mutant(source, base, rng.choice(sorted(WAYS[source])), seed * 1_000_000 + k)


# ---- verdicts ------------------------------------------------------------------------------------------------


def difference(array: NDArray, affine: Array, known: NDArray, known_affine: Array) -> str:
    """How an answer differs from a known volume, in any orientation; "" if it does not."""
    try:
        answer, ground_truth = Volume(array, affine).to_lps(), Volume(known, known_affine).to_lps()
    except LunglineError as error:
        return str(error)
    if answer.shape_zyx != ground_truth.shape_zyx:
        return f"shape {answer.shape_zyx}, not {ground_truth.shape_zyx}"
    if fault := _geometry_fault(answer, ground_truth):
        return fault
    padded = np.maximum(ground_truth.array.astype(np.float64), -1024)
    off = np.abs(np.maximum(answer.array.astype(np.float64), -1024) - padded)
    return f"{np.mean(~(off <= 1)):.1%} of the voxels differ" if not np.all(off <= 1) else ""


def _geometry_fault(answer: Volume, ground_truth: Volume) -> str:
    got, expected = answer.spacing_zyx_mm, ground_truth.spacing_zyx_mm
    if not np.all(np.abs(got / expected - 1) <= SPACING_SHARE):
        return f"spacing {np.round(got, 4).tolist()}, not {np.round(expected, 4).tolist()}"
    corners = np.array(np.meshgrid(*([0, n - 1] for n in answer.shape_zyx))).reshape(3, -1).T
    homogeneous = np.c_[corners, np.ones(len(corners))]
    off = np.linalg.norm((homogeneous @ (answer.affine - ground_truth.affine).T)[:, :3], axis=1).max()
    return f"corners {off:.2f} mm off" if not off <= POSITION_MM else ""


def _judge_slices(array: NDArray, affine: Array, changed: int) -> Judged:
    """A DICOM folder with one changed slice: all others must stand where they stood, as they were."""
    sound = Volume(GRID.hu(), GRID.affine)
    try:
        answer = Volume(array, affine).to_lps()
    except LunglineError as error:
        return Judged("silently wrong", str(error))
    first = int(changed == 0 and len(answer.array) == _SLICES - 1)
    last = _SLICES - int(changed == _SLICES - 1 and len(answer.array) == _SLICES - 1)
    part = Grid(GRID.shape_zyx, GRID.affine).part(first, last)
    if answer.shape_zyx != part.shape_zyx:
        return Judged("silently wrong", f"shape {answer.shape_zyx}, not {part.shape_zyx}")
    if fault := _geometry_fault(answer, Volume(sound.array[first:last], part.affine)):
        return Judged("silently wrong", fault)
    off = np.abs(np.maximum(answer.array.astype(np.float64), -1024) - sound.array[first:last])
    wrong = np.flatnonzero(off.reshape(len(off), -1).max(axis=1) > 1) + first
    if not wrong.size:
        return Judged("right")
    if wrong.tolist() == [changed]:
        return Judged(AS_WRITTEN)
    return Judged("silently wrong", f"slices {wrong.tolist()} differ; slice {changed} was changed")
