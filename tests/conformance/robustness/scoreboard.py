"""The scoreboard: what each tool made of all inputs, as a table for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.conformance.robustness.judge import VERDICTS

MEMORY_MIB = 2048


@dataclass(frozen=True)
class Row:
    """One input read by one tool.

    Attributes
    ----------
    kept : bool
        Whether the verdict is one that the contract allows for this input.
    """

    group: str
    title: str
    kind: str
    tool: str
    expect: str
    verdict: str
    words: str
    kept: bool
    seconds: float
    peak_mib: float


def table(rows: Sequence[Row], tools: Sequence[str]) -> str:
    """Markdown: one line a tool, one column a verdict."""
    verdicts = [*VERDICTS, *sorted({row.verdict for row in rows} - set(VERDICTS))]
    lines = [
        "| tool | inputs | " + " | ".join(verdicts) + " | peak memory, MiB | seconds in all |",
        "|---" * (len(verdicts) + 4) + "|",
    ]
    for tool in tools:
        own = [row for row in rows if row.tool == tool]
        if not own:
            lines.append(f"| {tool} | not run |" + " |" * (len(verdicts) + 2))
            continue
        counts = Counter(row.verdict for row in own)
        peak, seconds = max(row.peak_mib for row in own), sum(row.seconds for row in own)
        cells = " | ".join(str(counts[verdict]) for verdict in verdicts)
        lines.append(f"| {tool} | {len(own)} | {cells} | {peak:.0f} | {seconds:.0f} |")
    return "\n".join(lines)


def broken(rows: Iterable[Row], tool: str = "lungline") -> list[Row]:
    """Rows of a tool whose verdict the contract does not allow, or that took too much memory."""
    return [row for row in rows if row.tool == tool and (not row.kept or row.peak_mib > MEMORY_MIB)]


def page(rows: Sequence[Row], tools: Sequence[str], about: str) -> str:
    """The whole report as Markdown."""
    parts = ["# Robustness", "", about, ""]
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        kinds = len({row.kind for row in own})
        parts += [f"## {group}: {len({row.title for row in own})} inputs of {kinds} kinds", "", table(own, tools), ""]
    faults = broken(rows)
    parts += [f"## lungline: {len(faults)} inputs where the contract is not kept", ""]
    if faults:
        parts += ["| input | expected | verdict | words |", "|---|---|---|---|"]
        parts += [f"| {_cell(r.title)} | {r.expect} | {r.verdict} | {_cell(r.words)} |" for r in faults]
    return "\n".join(parts) + "\n"


def _cell(words: str) -> str:
    return " ".join(words.replace("|", "\\|").split())[:160]


def write(folder: Path, rows: Sequence[Row], text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scoreboard.md").write_text(text, encoding="utf-8")
    content = {"rows": [asdict(row) for row in rows]}
    (folder / "scoreboard.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
