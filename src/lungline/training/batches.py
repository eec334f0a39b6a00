"""The batches of the coming steps, made while the network is busy with this one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from lungline.errors import LunglineError

Batch = TypeVar("Batch")


def batches_ahead(make_batch: Callable[[int], Batch], steps: Sequence[int], device: torch.device) -> Generator[Batch]:
    """The batch of each step in their order, whoever makes it; to be closed.

    On a CPU a thread is one step ahead: the cores are the network's. A GPU leaves them free and is faster than one of
    them: as many processes make batches as the job has threads, each two ahead, in memory that the GPU reads itself.
    """
    if device.type == "cuda":
        yield from _by_processes(make_batch, steps)
        return
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = None
        for step in steps:
            ready, coming = coming, ahead.submit(make_batch, step)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def _by_processes(make_batch: Callable[[int], Batch], steps: Sequence[int]) -> Iterator[Batch]:
    from torch.utils.data import DataLoader  # of the GPU's jobs alone: importing it costs all others time

    loader: Any = DataLoader(
        _Steps(make_batch),  # type: ignore[arg-type]
        batch_size=None,
        sampler=steps,
        collate_fn=lambda batch: batch,
        num_workers=torch.get_num_threads(),
        worker_init_fn=lambda worker: torch.set_num_threads(1),
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loader:
        if isinstance(batch, LunglineError):
            raise batch
        yield batch


@dataclass(frozen=True)
class _Steps:
    """A data set whose item of a number is the batch of this step; or what is wrong with it, in its own words."""

    make_batch: Callable[[int], Any]

    def __getitem__(self, step: int) -> Any:
        try:
            return self.make_batch(step)
        except LunglineError as error:
            return error
