"""What a GPU makes of it, and what is worth having there: `python -m benchmarks.speed.gpu`.

On the generated adult, with the networks of the package: the search of a scan, training steps and the share of their
time that waits for batches, resampling, and what of a command is start-up; each as it is shipped, beside the plain way
and beside what is not shipped (compiled networks, resampling on the GPU), so that the choice can be seen. Writes
`gpu.json` and `gpu.md`, which name the card. Where PyTorch sees no GPU it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

import lungline
from benchmarks.speed import machine, report
from benchmarks.speed.measure import dice
from benchmarks.speed.simulated_adult import SCALE, SHAPE_ZYX, Scene
from lungline.config.entries import DetectorSpec
from lungline.detection.axis_ensemble import predict_nodules
from lungline.detection.slices import AXES, Axis
from lungline.detection.unet import UNet
from lungline.device import to_device
from lungline.imaging.intensity import mask_outside, scale_hu
from lungline.imaging.resampling import resample, spline_operator
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training.loading import checked_card, load_unet
from lungline.training.loop import fit
from lungline.training.losses import nodule_loss
from lungline.training.slice_crops import SliceCrops, TrainingScan, find_training_scans
from tests.repository import REPOSITORY

CPU, GPU = torch.device("cpu"), torch.device("cuda")
DETECTOR = Path(lungline.__file__).with_name("pretrained") / "detector"
TRAINED = ("paper", "pretrained")  # entries of `detectors:` whose training steps are timed
THRESHOLD = 0.25
MANY = 9  # scans of one command


@dataclass(frozen=True)
class Line:
    """Median seconds of one way of doing one thing; the seconds of its first call, and what was noticed."""

    what: str
    way: str
    seconds: float
    first_s: float | None = None
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


def boxed(scene: Scene) -> NDArray[np.int16]:
    """HU of the lung box at 1 mm, -1000 outside the mask: what is cached of a scan."""
    return np.ascontiguousarray(np.rint(mask_outside(scene.fine, scene.mask).array[scene.box]).astype(np.int16))


def search(scene: Scene, times: int) -> Iterator[Line]:
    """All slices of three axes of one scan."""
    what = f"search a scan, three U-Nets, lung box of {'x'.join(map(str, boxed(scene).shape))}"
    scaled = scale_hu(boxed(scene))
    networks: dict[Axis, UNet] = {axis: load_unet(DETECTOR / axis, GPU, made_by()) for axis in AXES}
    plain: Any = {
        axis: nn.Module.to(net, memory_format=torch.contiguous_format) for axis, net in copy.deepcopy(networks).items()
    }
    first, median, wanted = timed(lambda: predict_nodules(scaled, plain, GPU)["mean"], times)
    yield Line(what, "GPU, float32", median, first)

    def agreement(found: NDArray[np.float32]) -> str:
        overlap = dice(wanted >= THRESHOLD, found >= THRESHOLD)
        return f"Dice with float32 {overlap:.4f}{'' if overlap >= 0.998 else ', asked is 0.998: WRONG'}"

    first, median, found = timed(lambda: predict_nodules(scaled, networks, GPU, "auto")["mean"], times)
    yield Line(what, "GPU, bfloat16, channels last (shipped)", median, first, agreement(found))
    compiled: dict[Any, Any] = {axis: torch.compile(net, dynamic=True) for axis, net in networks.items()}
    first, median, found = timed(lambda: predict_nodules(scaled, compiled, GPU, "auto")["mean"], times)
    yield Line(what, "GPU, the same, compiled", median, first, agreement(found))
    on_cpu = {axis: load_unet(DETECTOR / axis, CPU, made_by()) for axis in AXES}
    first, median, found = timed(lambda: predict_nodules(scaled, on_cpu, CPU, "auto")["mean"], 1)
    yield Line(what, f"CPU, {torch.get_num_threads()} threads (shipped)", median, first, agreement(found))


def training(scene: Scene, steps: int) -> Iterator[Line]:
    """Training steps of the U-Net along z, on crops that are read from files."""
    entries = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))["detectors"]
    caches, masks = write_training_scan(scene)
    scans = find_training_scans(["scan"], caches, masks)
    for name in TRAINED:
        yield from training_of(name, DetectorSpec.from_config(entries[name]), scans, scene.scratch, steps)


def training_of(name: str, spec: DetectorSpec, scans: list[TrainingScan], scratch: Path, steps: int) -> Iterator[Line]:
    crops = SliceCrops(scans, "z", spec.network.slices, spec.sampling, 1)
    size = spec.training.batch
    model = UNet(spec.network).to(GPU).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def loss_of(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        image, label = (to_device(part, GPU) for part in batch)
        return nodule_loss(network(image), label, positive=spec.loss.positive, negative=spec.loss.negative)

    def plainly() -> None:
        for step in range(steps):
            optimiser.zero_grad()
            loss_of(model, crops.batch(step, size)).backward()
            optimiser.step()

    def fitted(network: nn.Module) -> str:
        said: list[str] = []
        fit(
            network,
            replace(spec.training, steps=steps, validate_every=steps),
            make_batch=lambda step: crops.batch(step, size),
            loss_of=loss_of,
            validate=lambda _: {"valid_loss": 0.0},
            checkpoint=scratch / "checkpoint.safetensors",
            key=str(time.perf_counter()),  # never gone on with
            seed=1,
            device=GPU,
            precision="auto",
            say=said.append,
        )
        found = re.search(r"waited for batches ([\d.]+) of ([\d.]+) s", said[-1])
        assert found
        return f"waited for batches {float(found[1]) / max(float(found[2]), 1e-9):.0%} of the time"

    what = f"training step of detector {name}, {size} crops of {spec.sampling.crop}"
    first, median, _ = timed(plainly, 1)
    yield Line(what, "GPU, float32, one thing after the other", median / steps, first)
    first, median, noticed = timed(lambda: fitted(model), 2)
    workers = f"{torch.get_num_threads()} processes make batches"
    yield Line(what, f"GPU, bfloat16, {workers} (shipped)", median / steps, first, noticed)
    compiled: Any = torch.compile(model)
    first, median, noticed = timed(lambda: fitted(compiled), 2)
    yield Line(what, "GPU, the same, compiled", median / steps, first, noticed)


def write_training_scan(scene: Scene) -> tuple[Path, Path]:
    """The lung box and its nodules, as the files that a training reads."""
    caches, masks = scene.scratch / "cache_volume", scene.scratch / "draw_nodule_mask"
    write_cache(scene, caches / "scan.h5")
    affine = scene.fine.crop(scene.box).affine
    nodules = Field(scene.nodules[scene.box].astype(np.uint8), "zyx", "1", "nodules", affine)
    hdf5.write_file(masks / "scan.h5", Header("nodules", "draw_nodule_mask"), {"nodules": nodules})
    return caches, masks


def write_cache(scene: Scene, path: Path) -> None:
    header = Header("masked_ct_hu", "cache_volume", parameters=made_by())
    ct = Field(boxed(scene), "zyx", "HU", "masked CT", scene.fine.crop(scene.box).affine)
    hdf5.write_file(path, header, {"ct": ct})


def made_by() -> dict[str, Any]:
    cache: dict[str, Any] = checked_card(DETECTOR / "z")["cache"]
    return cache


def resampling(scene: Scene, times: int) -> Iterator[Line]:
    """Cubic resampling to 1 mm: three matrix products on the GPU, and the way there and back."""
    what = f"resample {'x'.join(map(str, scene.ct.shape_zyx))} to 1 mm"
    first, median, wanted = timed(lambda: resample(scene.ct), times)
    yield Line(what, "CPU (shipped)", median, first)
    steps = 1 / scene.ct.spacing_zyx_mm
    operators = [
        torch.from_numpy(spline_operator(n, m, float((step - 1) / 2), float(step))).to(GPU)
        for n, m, step in zip(scene.ct.shape_zyx, wanted.shape_zyx, steps, strict=True)
    ]

    def there_and_back() -> NDArray[np.float32]:
        volume = torch.from_numpy(scene.ct.array).to(GPU).float()
        for axis, operator in enumerate(operators):
            volume = torch.tensordot(operator, volume, dims=([1], [axis])).movedim(0, axis)
        return volume.contiguous().cpu().numpy()

    first, median, found = timed(there_and_back, times)
    error = float(np.abs(found - wanted.array).max())
    yield Line(what, "GPU, there and back", median, first, f"largest difference {error:.2g} HU")


def command(scene: Scene) -> Iterator[Line]:
    """`lungline detect` on one scan and on several: what is start-up, and what a further scan costs."""
    caches = scene.scratch / "caches"
    for number in range(MANY):
        write_cache(scene, caches / f"copy{number}.h5")
    taken = {}
    for count in (1, MANY):
        words = ["detect", str(caches), str(scene.scratch / f"detected{count}"), "--detector", str(DETECTOR)]
        words += ["--device", "cuda", "--precision", "auto", "--scans", *(f"copy{n}" for n in range(count))]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lungline.cli", *words], check=True, stdout=subprocess.DEVNULL)
        taken[count] = time.perf_counter() - started
    further = (taken[MANY] - taken[1]) / (MANY - 1)
    noticed = f"read, search, write; start-up of the process {taken[1] - further:.1f} s"
    yield Line("lungline detect, a further scan of one command", "GPU (shipped)", further, taken[1], noticed)


def table(lines: list[Line]) -> str:
    """Markdown."""
    text = ["| what | way | seconds | first call, s | |", "|---|---|---|---|---|"]
    for line in lines:
        first = "" if line.first_s is None else f"{line.first_s:.2f}"
        text.append(f"| {line.what} | {line.way} | {line.seconds:.4f} | {first} | {line.noticed} |")
    return "\n".join(text) + "\n"


@contextmanager
def scene_at(size: float) -> Iterator[Scene]:
    """The generated adult; a part of its size to try the program out."""
    with tempfile.TemporaryDirectory(prefix="lungline-gpu-") as scratch:
        shape = tuple(round(n * size) for n in SHAPE_ZYX)
        yield Scene(Path(scratch), 1, None, shape, SCALE * size)  # type: ignore[arg-type]


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
    about = {**machine.describe(), "gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    heading = f"{about['gpu']}, CUDA {about['cuda']}, PyTorch {torch.__version__}. {report.machine_in_words(about)}"
    print(heading, flush=True)
    found: list[Line] = []
    options.out.mkdir(parents=True, exist_ok=True)
    with scene_at(options.size) as scene:
        parts = (
            lambda: resampling(scene, options.times),
            lambda: search(scene, options.times),
            lambda: training(scene, options.steps),
            lambda: command(scene),
        )
        for part in parts:
            for line in part():
                found.append(line)
                print(table([line]).splitlines()[-1], flush=True)
                (options.out / "gpu.md").write_text(f"{heading}\n\n{table(found)}", encoding="utf-8")
                said = {"machine": about, "lines": [asdict(one) for one in found]}
                (options.out / "gpu.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return 1 if any("WRONG" in line.noticed for line in found) else 0


if __name__ == "__main__":
    sys.exit(main())
