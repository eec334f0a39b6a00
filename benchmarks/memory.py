"""Memory of one training step of every classifier, at full size, without the memory: `python -m benchmarks.memory`.

The step of `lungline.training` is run in half precision on fake tensors, which have shapes and no content. Every
allocation of the forward and backward pass is seen, and what autograd keeps is seen by saved-tensor hooks, so the peak
is exact for the operations as PyTorch issues them. Added are estimates of what happens inside a convolution (its
largest input and output once more) and of the CUDA context, and Adam's moments; Adam's own peak is six times the
weights. Where there is a GPU, the same step is run there, too, and its largest allocation is printed.

Columns: patients of a batch, cubes or volumes with a gradient at once; then in GB (1e9 bytes): weights; what is kept
for the gradient; the largest sum in the step; inside a convolution; total; measured.
"""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import BaselineClassifier, CandidateClassifier
from lungline.config.loading import read_config_files
from lungline.config.networks import CancerNetSpec, PatientSchedule
from lungline.detection.unet import count_parameters
from lungline.device import half_precision
from lungline.training.losses import cancer_loss

CONFIG = Path(__file__).resolve().parents[1] / "config"
BUDGET = 12e9  # bytes of the paper's card
CONTEXT = 0.5e9  # what CUDA itself takes on a card
LARGEST = (208, 168, 205)  # for input.pad_to: largest, the paper's


class Live(TorchDispatchMode):
    """Bytes of all tensors that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self.see, out)
        return out

    def see(self, tensor: Tensor) -> Tensor:
        """Count the storage of a tensor, once, until it is gone."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)
        return tensor

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


class Memory(NamedTuple):
    """Bytes of one training step."""

    weights: int
    kept: int
    step: int
    inside: int

    @property
    def total(self) -> float:
        """What a card must have."""
        return max(self.step + 2 * self.weights + self.inside, 6 * self.weights) + CONTEXT


def compute(spec: CancerNetSpec, schedule: PatientSchedule, cubes: int = 1) -> Memory:
    """Memory of a step, on fake tensors, when the gradient goes through so many cubes of a patient."""
    with torch.device("meta"):
        model = CancerNet(spec).train()
    inside, live, kept = [0], Live(), [0]

    def count(module: torch.nn.Module, given: Any, out: Tensor) -> None:
        if isinstance(module, torch.nn.Conv3d):
            inside.append(2 * (given[0].numel() + out.numel()))

    with FakeTensorMode():
        _make_fake(model)
        for module in model.modules():
            module.register_forward_hook(count)
        with live:
            for tensor in model.state_dict().values():
                live.see(tensor)
            weights = live.now
            for _ in range(2):  # the second micro-batch meets the gradients of the first
                with torch.autocast("cpu", dtype=torch.bfloat16), _counted(model, kept):
                    loss = _loss(model, schedule, cubes, torch.device("cpu"))
                loss.backward()
    return Memory(weights, kept[0], live.peak, max(inside))


def _make_fake(model: CancerNet) -> None:
    """Weights and buffers of the same shape and layout, as fake tensors in main memory."""
    for module in model.modules():
        for kept, make in ((module._parameters, torch.nn.Parameter), (module._buffers, lambda tensor: tensor)):
            for name, old in kept.items():
                if old is not None:
                    kept[name] = make(torch.empty_strided(old.shape, old.stride(), dtype=old.dtype, device="cpu"))


def _loss(model: CancerNet, schedule: PatientSchedule, cubes: int, device: torch.device) -> Tensor:
    count = schedule.micro_batch or schedule.batch
    seen = torch.zeros(count * cubes, model.spec.in_channels, *model.spec.shape_zyx, device=device)
    logits = model(seen).float().view(count, cubes).mean(dim=1)
    return cancer_loss(logits, torch.zeros(count, device=device)) * (count / schedule.batch)


@contextmanager
def _counted(model: CancerNet, kept: list[int]) -> Iterator[None]:
    """Bytes that autograd keeps of a forward pass, weights not counted."""
    own = {tensor.untyped_storage()._cdata for tensor in model.state_dict().values()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield
    kept[0] = max(kept[0], sum(found.values()))


def measure(spec: CancerNetSpec, schedule: PatientSchedule, cubes: int) -> int:
    """The largest allocation of two whole steps on the GPU, Adam included."""
    device = torch.device("cuda")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = CancerNet(spec).to(device).train()
    optimiser = torch.optim.Adam(model.parameters(), weight_decay=schedule.weight_decay)
    for _ in range(2):
        optimiser.zero_grad(set_to_none=True)
        for _ in range(-(-schedule.batch // (schedule.micro_batch or schedule.batch))):
            with half_precision(device, "auto")[0]:
                loss = _loss(model, schedule, cubes, device)
            loss.backward()
        optimiser.step()
    return torch.cuda.max_memory_allocated()


def main() -> int:
    """Print the table; exit code 1 if a classifier of method 1 does not fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configfile", type=Path, nargs="*", default=[CONFIG / "paper.yaml"])
    config = read_config_files([CONFIG / "config.yaml", *parser.parse_args().configfile])
    print("| classifier | parameters | batch | at once | weights | kept | step | inside | total | measured |")
    print("|---" * 10 + "|")
    fits = True
    for name, classifier in config.classifiers.items():
        if isinstance(classifier, BaselineClassifier):
            continue
        patches = isinstance(classifier, CandidateClassifier)
        spec = classifier.network if patches else classifier.network_on(classifier.input.shape_zyx or LARGEST)
        schedule = classifier.training
        pools_all = patches and spec.pool != "max"  # the maximum passes its gradient to one cube
        cubes = (classifier.candidates or config.extract_candidates.count) if pools_all else 1
        memory = compute(spec, schedule, cubes)
        with torch.device("meta"):
            parameters = count_parameters(CancerNet(spec))
        words = [name, f"{parameters:,}", str(schedule.batch), str((schedule.micro_batch or schedule.batch) * cubes)]
        words += [f"{figure / 1e9:.2f}" for figure in (*memory, memory.total)]
        words.append(f"{measure(spec, schedule, cubes) / 1e9:.2f}" if torch.cuda.is_available() else "no GPU")
        print(f"| {' | '.join(words)} |", flush=True)
        fits &= memory.total < BUDGET
    print(f"\nGB (1e9 bytes). All under {BUDGET / 1e9:.0f} GB: {'yes' if fits else 'no'}.")
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
