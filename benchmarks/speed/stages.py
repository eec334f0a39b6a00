"""What each command costs on one scan at real size: `python -m benchmarks.speed.stages [--detector NAME]`.

Runs the commands that the workflow runs for every scan, each in a process of its own, on a real thin-slice series where
the sample data have one, else on the simulated adult. Prints CPU and wall seconds, peak memory beside the `mem_mb` of
the rule, and the size of the output. The detector is untrained: its time is that of a trained one, it finds nothing,
and candidates and cubes are those of a scan without nodules. Ends with 1 if a peak is above what the rule declares.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.speed.measure import Took, run_command
from benchmarks.speed.report import markdown
from benchmarks.speed.simulated_adult import SimulatedAdult
from lungline.config.entries import DetectorSpec
from lungline.config.loading import read_config
from lungline.detection.slices import AXES
from lungline.detection.unet import UNet
from lungline.readers.raw_state import raw_state, share_of_memory
from lungline.storage import hdf5
from lungline.storage.checksums import sha256
from lungline.storage.weights import write_card, write_tensors
from tests.repository import REPOSITORY, sample_folder

REAL = "chest-ct/ricord1a-001012"
HEAD = ("command", "CPU s", "wall s", "peak, MiB", "declared, MiB", "output, MiB")


class Cost(NamedTuple):
    """What one command took, and MiB that its rule declares and that it wrote."""

    command: str
    took: Took
    declared_mib: int
    output_mib: float


def declared(voxels: int) -> dict[str, int]:
    """mem_mb that the rules ask for each command on a scan of about so many voxels."""
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    found = {}
    for rule in re.split(r"^rule |^    rule:", rules, flags=re.MULTILINE)[1:]:
        memory, command = (
            re.search(r"mem_mb=memory_by_voxels\((\d+)[,)]", rule),
            re.search(r'"lungline ([a-z-]+) ', rule),
        )
        if memory and command:
            found[command[1]] = round(int(memory[1]) * share_of_memory([voxels]))
    return found


def write_detector(folder: Path, entry: DetectorSpec, made_by: dict[str, Any]) -> None:
    """An untrained detector of this configuration."""
    for axis in AXES:
        weights = folder / axis / "weights.safetensors"
        torch.manual_seed(0)
        write_tensors(weights, UNet(entry.network).state_dict(), {"purpose": "speed"})
        card = {"network": entry.network.model_dump(), "weights_sha256": sha256(weights), "cache": made_by}
        write_card(weights.with_name("card.json"), card)


def measure(raw: Path, entry: DetectorSpec, precision: str, work: Path) -> list[Cost]:
    """The commands of one scan, in the order of the workflow."""
    limits = declared(raw_state(raw, "dicom").voxels)
    costs: list[Cost] = []

    def path(stage: str, suffix: str = ".h5") -> str:
        return str(work / stage / f"scan{suffix}")

    def run(output: str, *words: str) -> None:
        used = run_command([sys.executable, "-m", "lungline.cli", *words])
        costs.append(Cost(words[0], used, limits[words[0]], Path(output).stat().st_size / 2**20))
        print(f"{words[0]}: {used.cpu_s:.2f} CPU s, {used.peak_mib:.0f} MiB", file=sys.stderr, flush=True)

    run(path("ingest"), "ingest", str(raw), path("ingest"), "--source", "dicom")
    run(path("resample"), "resample", path("ingest"), path("resample"), "--spacing-mm", "1")
    words = ["--threshold-hu", "-320", "--margin-mm", "5", "--plausible-ml-low", "1000", "--plausible-ml-high", "9000"]
    run(path("lungs"), "segment-lungs", path("resample"), path("lungs"), *words)
    words = ["--region", "lung_box", "--outside-hu", "-1000", "--compression", "blosc"]
    run(path("cache"), "cache-volume", path("resample"), path("lungs"), path("cache"), *words)
    write_detector(work / "detector", entry, dict(hdf5.read_header(Path(path("cache"))).parameters))
    cache, detected, candidates, cubes = (str(work / name) for name in ("cache", "detected", "candidates", "cubes"))
    words = ["--scans", "scan", "--detector", str(work / "detector"), "--device", "cpu", "--precision", precision]
    run(path("detected"), "detect", cache, detected, *words)
    words = ["--scans", "scan", "--threshold", "0.8", "--count", "20", "--rank-by", "sum", "--split", "false"]
    run(path("candidates", ".csv"), "extract-candidates", detected, candidates, *words)
    words = ["--scans", "scan", "--volumes", str(work / "resample"), "--caches", cache, "--detected", detected]
    words += ["--candidates", candidates, "--labels", candidates, "--count", "20", "--size", "32"]
    run(path("cubes"), "crop-patches", cubes, *words)
    return costs


def table(costs: Sequence[Cost]) -> str:
    """Markdown, a line a command, and the sums."""
    cpu_s, wall_s, peaks = zip(*(one.took for one in costs), strict=True)
    rows: list[Any] = [*costs, ("all", (sum(cpu_s), sum(wall_s), max(peaks)), "", sum(one.output_mib for one in costs))]
    return markdown(HEAD, [(a, f"{b:.2f}", f"{c:.2f}", f"{d:.0f}", e, f"{f:.1f}") for a, (b, c, d), e, f in rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.stages", description=__doc__)
    parser.add_argument("--detector", default="demo", help="a built-in entry of `detectors:`")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "auto"))
    options = parser.parse_args()
    samples = sample_folder()
    with tempfile.TemporaryDirectory(prefix="lungline-speed-") as scratch:
        real = samples / REAL if samples and (samples / REAL).is_dir() else None
        raw = real or SimulatedAdult(Path(scratch), pairs=1).dicom(compressed=False)
        costs = measure(raw, read_config({}).detectors[options.detector], options.precision, Path(scratch))
    print(f"{'A real series' if real else 'The simulated adult'}, detector {options.detector}, {options.precision}.\n")
    print(table(costs))
    return 1 if any(one.took.peak_mib > one.declared_mib for one in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
