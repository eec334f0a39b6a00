"""Where a network runs, how exactly, and how repeatably."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch

from lungline.environment import threads_asked_for
from lungline.errors import LunglineError
from lungline.names import Precision

#: What a CPU says of itself (Linux) if it multiplies bfloat16 faster than float32.
_BRAIN_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` is the GPU where there is one, else the CPU. `LunglineError` if it is absent."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise LunglineError(f"device should be auto, cpu or cuda. Got '{name}'.")
    if name == "cuda" and not torch.cuda.is_available():
        raise LunglineError("device is cuda, but PyTorch sees no GPU. Set device: auto, or install a CUDA build.")
    return torch.device(name)


def make_repeatable(seed: int) -> None:
    """Same seed, same thread count, same bytes on one machine."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    # the same as use_deterministic_algorithms, which first imports PyTorch's compiler: 1.9 s of every job
    torch.set_deterministic_debug_mode("warn" if torch.cuda.is_available() else "error")
    cores, processes = threads_asked_for() or 1, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, cores // processes))  # processes that train together share the cores of a job


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on `device`; the copy of pinned memory goes on while the CPU does something else."""
    return tensor.to(device, non_blocking=True)


Part = TypeVar("Part")
Result = TypeVar("Result")


def map_in_parallel(work: Callable[[Part], Result], parts: Iterable[Part], device: torch.device) -> list[Result]:
    """Results of `work` on each part, without gradients; on a CPU in as many threads as PyTorch has.

    Threads that share a convolution add up in an order that depends on their number. Threads that share parts do not,
    so one core and sixteen give the same bytes.
    """
    threads = torch.get_num_threads()

    def alone(part: Part) -> Result:
        with torch.inference_mode():
            return work(part)

    if device.type != "cpu" or threads == 1:
        return list(map(alone, parts))
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alone, parts))
    finally:
        torch.set_num_threads(threads)


def half_precision(device: torch.device, precision: Precision) -> tuple[AbstractContextManager, bool]:
    """The context in which a network is computed, and whether gradients must be scaled (float16 has few exponents).

    Convolutions and products are computed in half precision and the rest in float32, if `precision` says so:
    "float32" never, "bfloat16" always, "auto" where the processor itself is faster so. An old GPU, which has no
    bfloat16, takes float16. Nothing is timed: the same processor gives the same bytes.
    """
    if device.type == "cuda":
        brain = torch.cuda.is_bf16_supported(including_emulation=False)
        kind = torch.bfloat16 if brain else torch.float16
        wanted = precision != "float32"
    else:
        kind, wanted = torch.bfloat16, precision == "bfloat16" or (precision == "auto" and _cpu_has_bfloat16())
    return (torch.autocast(device.type, dtype=kind) if wanted else nullcontext()), wanted and kind == torch.float16


@cache
def _cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether every core of this machine has instructions for bfloat16; False where the system does not say."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = [set(line.partition(":")[2].split()) for line in lines if line.startswith(("flags", "Features"))]
    return bool(flags) and all(own & _BRAIN_FLAGS for own in flags)
