"""Every `lungline` line in a block of code of the documentation is one that the command line takes."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from lungline.cli import commands, parser_of

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def lines_of(page: Path) -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.startswith("lungline ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_command_line_takes_what_the_page_says(page) -> None:
    for line in lines_of(page):
        name, *words = shlex.split(line, comments=True)[1:]
        assert name in commands(), line
        run = importlib.import_module(f"lungline.stages.{name.replace('-', '_')}").run
        try:
            parser_of(run, name).parse_args(words)
        except SystemExit:
            pytest.fail(f"{page.name}: {line}")


def test_the_tutorial_has_lines_to_read() -> None:
    assert len(lines_of(REPOSITORY / "docs/tutorial.md")) >= 7
