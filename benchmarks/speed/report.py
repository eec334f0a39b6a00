"""What the machine can do at best, the table, and the file of figures."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.speed.measure import Comparison, timed
from lungline import NOTICE, __version__

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile", "sha_ni")
_SIDE = 2048


def describe_machine() -> dict[str, Any]:
    """Processor, flags, threads, versions, and measured limits (best of five, by CPU time a thread)."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    said = dict(re.findall(r"^(model name|flags)\s*:\s*(.*)$", text, re.MULTILINE))
    pair = [np.random.default_rng(seed).random((_SIDE, _SIDE), dtype=np.float32) for seed in (1, 2)]
    old, new = np.ones(1 << 26, dtype=np.uint8), np.empty(1 << 26, dtype=np.uint8)

    def a_second(amount: float, work: Callable[[], object]) -> float:
        return amount / min(timed(work)[0].cpu_s / torch.get_num_threads() for _ in range(5)) / 1e9

    def gflops(one: Any, two: Any) -> int:
        return round(a_second(2 * _SIDE**3, lambda: one @ two))

    return {
        "cpu": said.get("model name") or platform.processor(),
        "flags": [flag for flag in _FLAGS if flag in said.get("flags", "").split()],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "copy_gb_s": round(a_second(2 * old.nbytes, lambda: np.copyto(new, old)), 1),
        "fp32_matmul_gflop_s_numpy": gflops(*pair),
        "fp32_matmul_gflop_s_torch": gflops(*map(torch.from_numpy, pair)),
        "bf16_matmul_gflop_s_torch": gflops(*(torch.from_numpy(one).bfloat16() for one in pair)),
        "versions": {package: version(package) for package in ("numpy", "scipy", "scikit-image", "torch", "pydicom")},
    }


def machine_in_words(machine: Mapping[str, Any]) -> str:
    """One paragraph on what the figures were measured on."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} thread(s) used, "
        f"load {machine['load_average']}; {' '.join(machine['flags'])}; copy {machine['copy_gb_s']} GB/s; "
        f"float32 product {machine['fp32_matmul_gflop_s_numpy']} GFLOP/s (numpy), "
        f"{machine['fp32_matmul_gflop_s_torch']} (torch), bfloat16 {machine['bf16_matmul_gflop_s_torch']} (torch); "
        f"{', '.join(f'{name} {number}' for name, number in machine['versions'].items())}."
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table."""
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in (head, ["---"] * len(head), *rows))


def table(comparisons: Sequence[Comparison]) -> str:
    """Markdown: one line a comparison."""
    head = "goal, what, the other way, ours, CPU s other, CPU s ours, CPU ratio (asked), checked, verdict"
    rows = []
    for one in comparisons:
        theirs, ours = (median(pair[way].cpu_s for pair in one.pairs) for way in (0, 1))
        ratio = f"{one.cpu_ratio:.3g}{'' if one.at_least is None else f' ({one.at_least:g})'}"
        checked = "; ".join(map(str, one.checks)) or "-"
        seconds = (f"{theirs:.3g}", f"{ours:.3g}", ratio)
        rows.append((one.goal, one.what, one.theirs, one.ours, *seconds, checked, one.verdict))
    return markdown(head.split(", "), rows)


def write(out: Path, machine: Mapping[str, Any], comparisons: Sequence[Comparison]) -> str:
    """OUT/results.json with every pair, OUT/table.md with the machine above it; the table."""
    found = [
        {
            **{name: getattr(one, name) for name in ("goal", "what", "theirs", "ours", "at_least", "verdict")},
            "cpu_ratio": round(one.cpu_ratio, 3),
            "checks": [{**check._asdict(), "holds": check.holds} for check in one.checks],
            "pairs_cpu_wall_s": [
                [round(value, 5) for value in (theirs.cpu_s, ours.cpu_s, theirs.wall_s, ours.wall_s)]
                for theirs, ours in one.pairs
            ],
        }
        for one in comparisons
    ]
    about = {"notice": NOTICE, "lungline_version": __version__, "machine": dict(machine), "comparisons": found}
    text = f"{machine_in_words(machine)}\n\n{table(comparisons)}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(text, encoding="utf-8")
    return text
