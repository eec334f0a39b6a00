"""What a case of the benchmark is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.robustness.judge import GroundTruth

#: Sound images that are refused for what they show: no task of the peers, which convert any image.
OURS_ALONE = ("not-a-chest", "too-few-slices", "real-not-a-chest")


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    kind, name : str
        Kinds are the rows of the contract; the two together name the case.
    source : "dicom", "mhd" or "nifti"
    build : callable
        Writes the input below an empty folder and gives the path of the scan.
    ground truth : Truth
    """

    kind: str
    name: str
    source: str
    build: Callable[[Path], Path]
    ground_truth: GroundTruth

    @property
    def title(self) -> str:
        return f"{self.source}/{self.kind}/{self.name}"

    @property
    def for_peers(self) -> bool:
        return self.kind not in OURS_ALONE


def special_file(name: str, make: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Builds an input that is no plain file, or none that `make` would not write."""

    def build(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        make(folder / name)
        return folder / name

    return build
