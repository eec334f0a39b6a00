"""What the machine can do at best, measured: the figures that all others are to be read against."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile", "sha_ni")
_SIDE = 2048


def describe() -> dict[str, Any]:
    """Processor, flags, threads, versions, and measured limits (best of five, by CPU time a thread)."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    there = set(flags[1].split()) if flags else set()
    one, two = (np.random.default_rng(seed).random((_SIDE, _SIDE), dtype=np.float32) for seed in (1, 2))
    old, new = np.ones(1 << 26, dtype=np.uint8), np.empty(1 << 26, dtype=np.uint8)
    flop = 2 * _SIDE**3 / 1e9
    return {
        "cpu": name[1] if name else platform.processor(),
        "flags": [flag for flag in _FLAGS if flag in there],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "copy_gb_s": round(2 * old.nbytes / 1e9 / _best(lambda: np.copyto(new, old)), 1),
        "fp32_matmul_gflop_s_numpy": round(flop / _best(lambda: one @ two)),
        "fp32_matmul_gflop_s_torch": round(flop / _best(_product(one, two, torch.float32))),
        "bf16_matmul_gflop_s_torch": round(flop / _best(_product(one, two, torch.bfloat16))),
        "versions": {package: version(package) for package in ("numpy", "scipy", "scikit-image", "torch", "pydicom")},
    }


def _product(one: np.ndarray, two: np.ndarray, kind: torch.dtype) -> Callable[[], object]:
    a, b = (torch.from_numpy(part).to(kind) for part in (one, two))
    return lambda: a @ b


def _best(work: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        started = time.process_time()
        work()
        taken.append((time.process_time() - started) / torch.get_num_threads())
    return min(taken)
