"""What each command costs on one scan at real size: `python -m benchmarks.speed.stages [--detector NAME]`.

Runs the commands that the workflow runs for every scan, each in a process of its own, on a real thin-slice series where
the sample data have one, else on the generated adult. Prints CPU and wall seconds, peak memory beside the `mem_mb` of
the rule, and the size of the output. The detector is untrained: its time is that of a trained one, it finds nothing,
and candidates and cubes are those of a scan without nodules. Ends with 1 if a peak is above what the rule declares.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.speed.simulated_adult import Scene
from lungline.config.entries import DetectorSpec
from lungline.detection.slices import AXES
from lungline.detection.unet import UNet
from lungline.readers.raw_state import raw_state, share_of_memory
from lungline.storage import hdf5
from lungline.storage.checksums import sha256
from lungline.storage.weights import write_card, write_tensors
from tests.repository import REPOSITORY, sample_folder

REAL = "chest-ct/ricord1a-001012"


@dataclass(frozen=True)
class Cost:
    """Seconds, and MiB of memory and of the output, of one command."""

    command: str
    cpu_s: float
    wall_s: float
    peak_mib: float
    declared_mib: int
    output_mib: float


def run_command(words: Sequence[str], output: Path, declared_mib: int) -> Cost:
    """Run `lungline WORDS` in a process of its own; `CalledProcessError` if it ends badly."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "lungline.cli", *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, words[0])
    return Cost(
        words[0],
        used.ru_utime + used.ru_stime,
        time.perf_counter() - started,
        used.ru_maxrss / 1024,
        declared_mib,
        output.stat().st_size / 2**20,
    )


def declared(voxels: int) -> dict[str, int]:
    """mem_mb that the rules ask for each command on a scan of about so many voxels."""
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    found = {}
    for rule in re.split(r"^rule |^    rule:", rules, flags=re.MULTILINE)[1:]:
        memory, command = re.search(r"mem_mb=scan_memory\((\d+)[,)]", rule), re.search(r'"lungline ([a-z-]+) ', rule)
        if memory and command:
            found[command[1]] = round(int(memory[1]) * share_of_memory([voxels]))
    return found


def write_detector(folder: Path, entry: dict[str, Any], made_by: dict[str, Any]) -> None:
    """An untrained detector of this configuration."""
    for axis in AXES:
        weights = folder / axis / "weights.safetensors"
        torch.manual_seed(0)
        write_tensors(weights, UNet(DetectorSpec.from_config(entry).network).state_dict(), {"purpose": "speed"})
        card = {"network": entry.get("network", {}), "weights_sha256": sha256(weights), "cache": made_by}
        write_card(weights.with_name("card.json"), card)


def measure(raw: Path, entry: dict[str, Any], precision: str, work: Path) -> list[Cost]:
    """The commands of one scan, in the order of the workflow."""
    limits = declared(raw_state(raw, "dicom").voxels)

    def path(stage: str, suffix: str = ".h5") -> str:
        return str(work / stage / f"scan{suffix}")

    def run(*words: str, output: str) -> Cost:
        cost = run_command(words, Path(output), limits[words[0]])
        print(f"{cost.command}: {cost.cpu_s:.2f} CPU s, {cost.peak_mib:.0f} MiB", file=sys.stderr, flush=True)
        return cost

    costs = [run("ingest", str(raw), path("ingest"), "--source", "dicom", output=path("ingest"))]
    costs.append(run("resample", path("ingest"), path("resample"), output=path("resample")))
    costs.append(run("segment-lungs", path("resample"), path("lungs"), output=path("lungs")))
    costs.append(run("cache-volume", path("resample"), path("lungs"), path("cache"), output=path("cache")))
    detector = work / "detector"
    write_detector(detector, entry, dict(hdf5.read_header(Path(path("cache"))).parameters))
    words = ("--scans", "scan", "--detector", str(detector), "--device", "cpu", "--precision", precision)
    cache, detected, candidates, cubes = (str(work / name) for name in ("cache", "detected", "candidates", "cubes"))
    costs.append(run("detect", cache, detected, *words, output=path("detected")))
    words = ("--scans", "scan")
    costs.append(run("extract-candidates", detected, candidates, *words, output=path("candidates", ".csv")))
    words = (*words, "--caches", cache, "--detected", detected, "--candidates", candidates)
    costs.append(run("crop-patches", cubes, *words, output=path("cubes")))
    return costs


def table(costs: Sequence[Cost]) -> str:
    """Markdown, a line a command, and the sums."""
    head = ("command", "CPU s", "wall s", "peak, MiB", "declared, MiB", "output, MiB")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for one in costs:
        command, cpu, wall, peak, limit, size = asdict(one).values()
        lines.append(f"| {command} | {cpu:.2f} | {wall:.2f} | {peak:.0f} | {limit} | {size:.1f} |")
    cpu, wall, size = (sum(getattr(one, name) for one in costs) for name in ("cpu_s", "wall_s", "output_mib"))
    peak = max(one.peak_mib for one in costs)
    return "\n".join([*lines, f"| all | {cpu:.2f} | {wall:.2f} | {peak:.0f} | | {size:.1f} |", ""])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.stages", description=__doc__)
    parser.add_argument("--detector", default="demo", help="entry of `detectors:` in config/config.yaml")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "auto"))
    options = parser.parse_args()
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    samples = sample_folder()
    with tempfile.TemporaryDirectory(prefix="lungline-speed-") as scratch:
        real = samples / REAL if samples and (samples / REAL).is_dir() else None
        raw = real or Scene(Path(scratch), pairs=1).dicom(compressed=False)
        costs = measure(raw, config["detectors"][options.detector], options.precision, Path(scratch))
    print(f"{'A real series' if real else 'The generated adult'}, detector {options.detector}, {options.precision}.\n")
    print(table(costs))
    return 1 if any(one.peak_mib > one.declared_mib for one in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
