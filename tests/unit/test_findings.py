"""Every script in `findings/` has the form that its README describes; what it states is checked by running it."""

import os
import re
from pathlib import Path

import pytest

FINDINGS = Path(__file__).resolve().parents[2] / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
FIELDS = ["Library", "Guess", "Seen", "Matters"]


def complaints(text: str) -> list[str]:
    """What is wrong with the form of a script."""
    lines = text.splitlines()
    header = lines[1 : lines.index("set -euo pipefail")] if "set -euo pipefail" in lines else []
    fields = {found[1]: found[2] for line in header if (found := re.fullmatch(r"# (\w+): +(\S.*)", line))}
    installed = re.findall(r"^venv/bin/pip install (?:--\S+ )*(.+)$", text, re.MULTILINE)
    pins = [word for words in installed for word in words.split()]
    libraries = re.findall(r"(\S+) (\d[\w.]*)", fields.get("Library", ""))
    pinned = {re.sub(r"[-_]", "-", name.lower()): version for name, _, version in (pin.partition("==") for pin in pins)}
    wrong = {
        "first line": lines[0] != "#!/usr/bin/env bash",
        "set -euo pipefail, after the header": not header or any(not line.startswith("#") for line in header),
        "fields": list(fields) != FIELDS,
        "versions": not pins or any(not re.fullmatch(r"[\w.-]+==\d[\w.]*", pin) for pin in pins),
        "library": not libraries or any(pinned.get(name.lower()) != version for name, version in libraries),
        "temporary folder": "place=$(mktemp -d)\ntrap 'rm -rf \"$place\"' EXIT\n" not in text,
        "comparison": not re.search(r"^as_stated = ", text, re.MULTILINE) or "SystemExit(None if as_stated" not in text,
        "lungline": "lungline" in text,
    }
    return [what for what, is_wrong in wrong.items() if is_wrong]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_has_the_form_of_all(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []
    assert os.access(path, os.X_OK)


def test_every_finding_stands_once_in_the_table() -> None:
    table = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| (.+?) \|", (FINDINGS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [(name, file) for name, file, _ in table] == [(path.stem, path.name) for path in SCRIPTS]
    for path, (_, _, library) in zip(SCRIPTS, table, strict=True):
        assert f"# Library:  {library}\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("#!/usr/bin/env bash", "#!/bin/sh", "first line"),
        ("set -euo pipefail", "set -e", "set -euo pipefail, after the header"),
        ("# Guess:", "# Thought:", "fields"),
        ("numpy==", "numpy>=", "versions"),
        ("edt==", "edt==9.", "library"),
        ("trap ", "# trap ", "temporary folder"),
        ("as_stated = ", "fine = ", "comparison"),
        ("import numpy", "import lungline.imaging, numpy", "lungline"),
    ],
)
def test_a_script_of_another_form_is_found(old: str, new: str, complaint: str) -> None:
    text = (FINDINGS / "scipy-distance-without-background.sh").read_text(encoding="utf-8")
    assert complaint in complaints(text.replace(old, new))
