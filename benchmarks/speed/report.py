"""The table and the file of figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed.measure import Comparison
from lungline import NOTICE, __version__


def table(comparisons: Sequence[Comparison]) -> str:
    """Markdown: one line a comparison."""
    head = ("goal", "what", "the other way", "ours", "CPU s, other", "CPU s, ours", "CPU ratio (asked)", "wall ratio")
    lines = ["| " + " | ".join((*head, "checked", "verdict")) + " |", "|---" * (len(head) + 2) + "|"]
    for one in comparisons:
        asked = "" if one.at_least is None else f" ({one.at_least:g})"
        words = (
            str(one.goal),
            one.what,
            one.theirs,
            one.ours,
            f"{median(theirs.cpu for theirs, _ in one.pairs):.3g}",
            f"{median(ours.cpu for _, ours in one.pairs):.3g}",
            f"{one.cpu_ratio:.3g}{asked}",
            f"{one.wall_ratio:.3g}",
            "; ".join(map(str, one.checks)) or "-",
            one.verdict,
        )
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def machine_in_words(machine: Mapping[str, Any]) -> str:
    """One paragraph on what the figures were measured on."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} thread(s) used, "
        f"load {machine['load_average']}; "
        f"{' '.join(machine['flags'])}; copy {machine['copy_gb_s']} GB/s; float32 product "
        f"{machine['fp32_matmul_gflop_s_numpy']} GFLOP/s (numpy), {machine['fp32_matmul_gflop_s_torch']} (torch), "
        f"bfloat16 {machine['bf16_matmul_gflop_s_torch']} (torch); "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        + "."
    )


def as_json(machine: Mapping[str, Any], comparisons: Sequence[Comparison]) -> str:
    """All pairs, so that everything else can be worked out again."""
    about = {
        "notice": NOTICE,
        "lungline_version": __version__,
        "machine": dict(machine),
        "comparisons": [
            {
                "goal": one.goal,
                "what": one.what,
                "other": one.theirs,
                "ours": one.ours,
                "cpu_ratio": round(one.cpu_ratio, 3),
                "wall_ratio": round(one.wall_ratio, 3),
                "asked": one.at_least,
                "verdict": one.verdict,
                "checks": [
                    {"what": c.what, "found": c.found, "asked": f"{c.asked} {c.limit:g}", "holds": c.holds}
                    for c in one.checks
                ],
                "pairs_cpu_wall_s": [
                    [round(value, 5) for value in (theirs.cpu, ours.cpu, theirs.wall, ours.wall)]
                    for theirs, ours in one.pairs
                ],
            }
            for one in comparisons
        ],
    }
    return json.dumps(about, indent=1) + "\n"


def write(out: Path, machine: Mapping[str, Any], comparisons: Sequence[Comparison]) -> str:
    """OUT/results.json and OUT/table.md; the table with the machine above it."""
    out.mkdir(parents=True, exist_ok=True)
    text = f"{machine_in_words(machine)}\n\n{table(comparisons)}"
    (out / "results.json").write_text(as_json(machine, comparisons), encoding="utf-8")
    (out / "table.md").write_text(text, encoding="utf-8")
    return text
