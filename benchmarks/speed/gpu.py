"""What a GPU makes of it, and what is worth having there: `python -m benchmarks.speed.gpu`.

On the simulated adult, with the networks of the package: resampling, the search of a scan, training steps and the share
of their time that waits for batches; each as it is shipped, beside the plain way and beside what is not shipped
(compiled networks, resampling on the GPU). Writes `gpu.md`, which names the card. Without a GPU nothing is measured.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed import report
from benchmarks.speed.measure import dice
from benchmarks.speed.networks import CPU, THRESHOLD, channels_first, packaged_networks
from benchmarks.speed.simulated_adult import SimulatedAdult
from lungline.config.entries import DetectorSpec
from lungline.config.loading import read_config
from lungline.detection.axis_ensemble import predict_nodules
from lungline.detection.unet import UNet
from lungline.imaging.intensity import scale_hu
from lungline.imaging.resampling import resample, spline_operator
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training.checkpoints import Checkpoints
from lungline.training.loop import TrainingContext, train
from lungline.training.task import Evaluation
from lungline.training.unet_task import SliceCrops, UNetTask, find_training_scans
from tests.repository import REPOSITORY

GPU = torch.device("cuda")
TRAINED = ("paper", "pretrained")  # entries of `detectors:` whose training steps are timed


class Line(NamedTuple):
    """Median seconds of one way of doing one thing; the seconds of its first call, and what was noticed."""

    what: str
    way: str
    seconds: float
    first_s: float
    noticed: str = ""


def timed(work: Callable[[], Any], times: int) -> tuple[float, float, Any]:
    """Seconds of the first call, median of `times` further ones, and the last answer."""
    taken = []
    for _ in range(times + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        answer = work()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return taken[0], statistics.median(taken[1:]), answer


def search(adult: SimulatedAdult, times: int) -> Iterator[Line]:
    """All slices of three axes of one scan."""
    what = f"search a scan, three U-Nets, lung box of {'x'.join(map(str, adult.cached_hu.shape))}"
    scaled = scale_hu(adult.cached_hu)
    networks: Any = packaged_networks(GPU)[0]
    plain = channels_first(networks)
    first, median, wanted = timed(lambda: predict_nodules(scaled, plain, GPU)["mean"], times)
    yield Line(what, "GPU, float32", median, first)
    compiled = {axis: torch.compile(network, dynamic=True) for axis, network in networks.items()}
    for way, own, device, calls in (
        ("GPU, bfloat16, channels last (shipped)", networks, GPU, times),
        ("GPU, the same, compiled", compiled, GPU, times),
        (f"CPU, {torch.get_num_threads()} threads (shipped)", packaged_networks(CPU)[0], CPU, 1),
    ):
        first, median, found = timed(lambda o=own, d=device: predict_nodules(scaled, o, d, "auto")["mean"], calls)
        overlap = dice(wanted >= THRESHOLD, found >= THRESHOLD)
        wrong = "" if overlap >= 0.998 else ", asked is 0.998: WRONG"
        yield Line(what, way, median, first, f"Dice with float32 {overlap:.4f}{wrong}")


def training(adult: SimulatedAdult, steps: int) -> Iterator[Line]:
    """Training steps of the U-Net along z, on crops that are read from files."""
    entries = read_config({}).detectors
    caches, masks = adult.scratch / "cache_volume", adult.scratch / "rasterise_nodules"
    affine, made_by = adult.fine.crop(adult.box).affine, packaged_networks(CPU)[1]
    ct = Field(adult.cached_hu, "zyx", "HU", "masked CT", affine)
    nodules = Field(adult.nodules[adult.box].astype(np.uint8), "zyx", "1", "nodules", affine)
    hdf5.write_file(caches / "scan.h5", Header("masked_ct_hu", "cache_volume", parameters=made_by), {"ct": ct})
    hdf5.write_file(masks / "scan.h5", Header("nodules", "rasterise_nodules"), {"nodules": nodules})
    scans = find_training_scans(["scan"], caches, masks)
    for name in TRAINED:
        crops = SliceCrops(scans, "z", entries[name].network.slices, entries[name].sampling, 1)
        yield from training_of(name, entries[name], crops, adult.scratch, steps)


class TimedTask(UNetTask):
    """A training whose validation costs nothing."""

    def evaluate(self) -> Evaluation:
        return {"valid_loss": 0.0}


def training_of(name: str, spec: DetectorSpec, crops: SliceCrops, scratch: Path, steps: int) -> Iterator[Line]:
    size = spec.training.batch
    schedule = spec.training.model_copy(update={"steps": steps, "validate_every": steps})
    model = UNet(spec.network).to(GPU).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def task_of(network: Any) -> UNetTask:
        return TimedTask(network, spec, crops, crops, GPU, range(size))

    def plainly() -> None:
        task = task_of(model)
        for step in range(steps):
            optimiser.zero_grad()
            task.loss(task.batch(step)).backward()
            optimiser.step()

    def fitted(network: Any) -> str:
        context, said = TrainingContext(scratch, scratch, 1, GPU, "auto"), io.StringIO()
        with redirect_stdout(said):
            train(task_of(network), schedule, context, Checkpoints(scratch, name, key=str(time.perf_counter())))
        found = re.search(r"waited for batches ([\d.]+) of ([\d.]+) s", said.getvalue())
        assert found
        return f"waited for batches {float(found[1]) / max(float(found[2]), 1e-9):.0%} of the time"

    what = f"training step of detector {name}, {size} crops of {spec.sampling.crop}"
    first, median, _ = timed(plainly, 1)
    yield Line(what, "GPU, float32, one thing after the other", median / steps, first)
    shipped = f"GPU, bfloat16, {torch.get_num_threads()} processes make batches (shipped)"
    compiled: Any = torch.compile(model)
    for way, network in ((shipped, model), ("GPU, the same, compiled", compiled)):
        first, median, noticed = timed(lambda network=network: fitted(network), 2)
        yield Line(what, way, median / steps, first, noticed)


def resampling(adult: SimulatedAdult, times: int) -> Iterator[Line]:
    """Cubic resampling to 1 mm: three matrix products on the GPU, and the way there and back."""
    what = f"resample {'x'.join(map(str, adult.ct.shape_zyx))} to 1 mm"
    first, median, wanted = timed(lambda: resample(adult.ct), times)
    yield Line(what, "CPU (shipped)", median, first)
    steps = 1 / adult.ct.spacing_zyx_mm
    operators = [
        torch.from_numpy(spline_operator(n, m, float((step - 1) / 2), float(step))).to(GPU)
        for n, m, step in zip(adult.ct.shape_zyx, wanted.shape_zyx, steps, strict=True)
    ]

    def there_and_back() -> NDArray[np.float32]:
        volume = torch.from_numpy(adult.ct.array).to(GPU).float()
        for axis, operator in enumerate(operators):
            volume = torch.tensordot(operator, volume, dims=([1], [axis])).movedim(0, axis)
        return volume.contiguous().cpu().numpy()

    first, median, found = timed(there_and_back, times)
    error = float(np.abs(found - wanted.array).max())
    yield Line(what, "GPU, there and back", median, first, f"largest difference {error:.2g} HU")


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    return report.markdown(
        ("what", "way", "seconds", "first call, s", ""),
        [(*line[:2], f"{line.seconds:.4f}", f"{line.first_s:.2f}", line.noticed) for line in lines],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.gpu", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="calls after the first, of which the median is taken")
    parser.add_argument("--steps", type=int, default=300, help="training steps that are timed together")
    parser.add_argument("--size", type=float, default=1.0, help="of the adult, below 1 to try this program out")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "speed", help="for the figures")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("GPU: not run. PyTorch sees none.")
        return 0
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "4")))
    heading = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}. "
    heading += report.machine_in_words(report.describe_machine())
    print(heading, flush=True)
    found: list[Line] = []
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lungline-gpu-") as scratch:
        adult = SimulatedAdult(Path(scratch), 1).at_size(options.size)
        for part, count in ((resampling, options.times), (search, options.times), (training, options.steps)):
            for line in part(adult, count):
                found.append(line)
                print(table([line]).splitlines()[-1], flush=True)
                (options.out / "gpu.md").write_text(f"{heading}\n\n{table(found)}", encoding="utf-8")
    return 1 if any("WRONG" in line.noticed for line in found) else 0


if __name__ == "__main__":
    sys.exit(main())
