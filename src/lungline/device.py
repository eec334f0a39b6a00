"""Where a network runs, how exactly, and how repeatably."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from lungline.errors import LunglineError


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one, else the CPU; a name that cannot be had is refused."""
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
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def half_precision(device: torch.device) -> tuple[AbstractContextManager, bool]:
    """The autocast context of a device, and whether gradients must be scaled (float16 has few exponents)."""
    if device.type != "cuda":
        return nullcontext(), False
    brain = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast("cuda", dtype=torch.bfloat16 if brain else torch.float16), not brain
