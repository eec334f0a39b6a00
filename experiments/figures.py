"""One command: write every measured figure of README and docs from the result files in docs/results.

    python -m experiments.figures            # write the pages; prints the names of those that changed
    python -m experiments.figures --check    # write nothing; exit code 1 and one line for each figure that differs

A page says where a figure comes from by comments that a reader does not see:

    <!-- figures: STUDY/TABLE rows=A,B columns=C,D -->      a whole table, or some of its rows and columns
    <!-- /figures -->
    <!-- figure: STUDY/TABLE/ROW/COLUMN -->0.921 (0.865 to 0.956)<!-- /figure -->    one cell in a sentence

What stands between them is written. `/ROW/COLUMN:value` takes the value without its interval. A file
`docs/results/STUDY.json` holds `about` (the command and the commit that measured) and `tables`. A cell is text, or an
object with `value`, and where there are any `low`, `high` (95 % interval), `count`, `of`, `digits` (3) and `signed`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.repository import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results"
TABLE = re.compile(r"(<!-- figures: (\S+?)((?: \w+=\S+)*) -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)
CELL = re.compile(r"(<!-- figure: (\S+?) -->)(.*?)(<!-- /figure -->)", re.DOTALL)
Table = dict[str, Any]


class FigureError(ValueError):
    """A marker that names no figure of a result file."""


def pages(root: Path = REPOSITORY) -> list[Path]:
    """README and all pages of docs."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def table_of(name: str, results: Path = RESULTS) -> Table:
    """The table `STUDY/TABLE`."""
    study, _, table = name.partition("/")
    path = results / f"{study}.json"
    if not path.is_file():
        raise FigureError(f"{name}: no file docs/results/{study}.json.")
    tables = json.loads(path.read_text(encoding="utf-8"))["tables"]
    if table not in tables:
        raise FigureError(f"{name}: docs/results/{study}.json has no table '{table}'. It has {', '.join(tables)}.")
    return tables[table]


def text_of(cell: str | dict[str, Any], *, value_only: bool = False) -> str:
    """A cell as it is printed: `129 of 140, 0.921 (0.865 to 0.956)`."""
    if isinstance(cell, str):
        return cell
    form = f"{'+' if cell.get('signed') else ''}.{cell.get('digits', 3)}f"
    value = format(cell["value"], form)
    if value_only:
        return value
    count = f"{cell['count']} of {cell['of']}, " if "count" in cell else ""
    interval = f" ({cell['low']:{form}} to {cell['high']:{form}})" if "low" in cell else ""
    return f"{count}{value}{interval}"


def is_clear_of_zero(cell: str | dict[str, Any]) -> bool:
    return isinstance(cell, dict) and "low" in cell and cell["low"] * cell["high"] > 0


def markdown(table: Table, rows: list[str] | None = None, columns: list[str] | None = None) -> str:
    """The table, or some of its rows and columns in the order that is given. Bold is what its `bold` asks for."""
    rows, columns = rows or list(table["rows"]), columns or list(table["columns"])
    lines = [[table["head"], *(table["columns"][column] for column in columns)], ["---"] * (len(columns) + 1)]
    for row in rows:
        cells = [table["rows"][row][column] for column in columns]
        bold = [table.get("bold") == "clear of 0" and is_clear_of_zero(cell) for cell in cells]
        texts = [f"**{text_of(cell)}**" if strong else text_of(cell) for cell, strong in zip(cells, bold, strict=True)]
        lines.append([table["rows"][row]["label"], *texts])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("--- |\n", "---|\n")


def written(name: str, selection: str, results: Path = RESULTS) -> str:
    """What belongs between the markers of a table."""
    chosen = {key: words.split(",") for key, _, words in (word.partition("=") for word in selection.split())}
    if unknown := set(chosen) - {"rows", "columns"}:
        raise FigureError(f"{name}: expected rows= or columns=. Found {', '.join(sorted(unknown))}=.")
    table = table_of(name, results)
    for key, words in chosen.items():
        if missing := [word for word in words if word not in table[key]]:
            raise FigureError(f"{name}: no {key[:-1]} {', '.join(missing)}. There are {', '.join(table[key])}.")
    return markdown(table, chosen.get("rows"), chosen.get("columns"))


def written_cell(name: str, results: Path = RESULTS) -> str:
    """What belongs between the markers of one cell, `STUDY/TABLE/ROW/COLUMN`, with `:value` for the value alone."""
    place, _, part = name.partition(":")
    study, table, row, column = (*place.split("/"), "", "", "", "")[:4]
    rows = table_of(f"{study}/{table}", results)["rows"]
    if row not in rows or column not in rows[row]:
        raise FigureError(f"{name}: no such row or column in docs/results/{study}.json.")
    return text_of(rows[row][column], value_only=part == "value")


def filled(text: str, results: Path = RESULTS) -> str:
    """A page with all its figures written anew."""
    text = TABLE.sub(lambda found: found[1] + written(found[2], found[3], results) + found[5], text)
    return CELL.sub(lambda found: found[1] + written_cell(found[2], results) + found[4], text)


def differences(text: str, results: Path = RESULTS) -> Iterator[str]:
    """A line for each figure of a page that is not what the result file says."""
    for found in TABLE.finditer(text):
        wanted = written(found[2], found[3], results).splitlines()
        there = found[4].splitlines()
        for number in range(max(len(wanted), len(there))):
            old, new = (lines[number] if number < len(lines) else "no line" for lines in (there, wanted))
            if old != new:
                yield f"{found[2]}: found '{old}', expected '{new}'"
    for found in CELL.finditer(text):
        if found[3] != (new := written_cell(found[2], results)):
            yield f"{found[2]}: found '{found[3]}', expected '{new}'"


def without_figures(text: str) -> str:
    """A page without what the markers enclose: what is left was typed."""
    return CELL.sub("", TABLE.sub("", text))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.figures", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    check = parser.parse_args().check
    code = 0
    for page in pages():
        text, name = page.read_text(encoding="utf-8"), page.relative_to(REPOSITORY)
        try:
            found = [f"{name}: {difference}" for difference in differences(text)]
            new = filled(text)
        except FigureError as error:
            sys.exit(f"{name}: {error}")
        if check:
            print("\n".join(found), end="\n" if found else "")
            code |= bool(found)
        elif new != text:
            page.write_text(new, encoding="utf-8")
            print(name)
    return code


if __name__ == "__main__":
    sys.exit(main())
