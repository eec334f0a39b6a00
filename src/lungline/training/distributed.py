"""One network trained by several processes: each takes its part of every batch, and gradients are all-reduced.

PyTorch's launcher starts them (`torchrun --nproc-per-node N -m lungline.cli train-unet ...`) and says in the
environment which rank each has. Started in any other way, a process is alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from lungline.errors import LunglineError


@dataclass(frozen=True)
class ProcessGroup:
    """This process is number `rank` of `size` that train one network."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that validates, writes and prints."""
        return self.rank == 0

    def part(self, count: int) -> range:
        """Which of the `count` cases of a batch this process takes."""
        if count < self.size:
            raise LunglineError(f"training_processes should be at most training.batch, {count}. Got {self.size}.")
        return range(self.rank, count, self.size)

    def print(self, line: str) -> None:
        """Print a line, once for all."""
        if self.is_main:
            print(line, flush=True)

    def all_reduce(self, model: nn.Module, loss: float) -> float:
        """Replace the gradients of a model by their sums over the processes; the sum of the losses comes back.

        One message that is always laid out the same. `DistributedDataParallel` regroups the gradients after its
        first step, so that a resumed training would add up in another order than one that was never interrupted.
        """
        if self.size == 1:
            return loss
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        sums = torch.cat([gradients[0].new_tensor([loss]), *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(sums)
        parts = sums[1:].split([gradient.numel() for gradient in gradients])
        for gradient, total in zip(gradients, parts, strict=True):
            gradient.copy_(total.view_as(gradient))
        return float(sums[0])

    def sum_and_largest(self, added: float, compared: float) -> tuple[float, float]:
        """The sum of the first number over the processes, and the largest of the second."""
        if self.size == 1:
            return added, compared
        where = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        numbers = [torch.tensor([number], dtype=torch.float64, device=where) for number in (added, compared)]
        distributed.all_reduce(numbers[0])
        distributed.all_reduce(numbers[1], distributed.ReduceOp.MAX)
        return float(numbers[0]), float(numbers[1])


SINGLE = ProcessGroup()


@contextmanager
def process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The processes that the launcher started together with this one; NCCL between GPUs, Gloo between CPUs.

    `LunglineError` if there are fewer GPUs than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE
        return
    if device.type == "cuda":
        own, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= there:
            raise LunglineError(f"training_processes: a process needs a GPU of its own, and PyTorch sees {there}.")
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
