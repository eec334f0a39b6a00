"""The bill of materials: all that the wheel asks for and packs, with licences that the packages themselves state."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository import REPOSITORY

SCRIPT = REPOSITORY / "envs" / "software_bill.py"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: What the older field, or a licence file, calls a licence.
WORDS = {
    "Apache-2.0": ("Apache",),
    "BSD-3-Clause": ("BSD", "Redistribution and use"),
    "LGPL-3.0-or-later": ("LGPL-3.0-or-later",),
    "MIT": ("MIT",),
}


def bill_of(root: Path) -> dict:
    script = root / "envs" / SCRIPT.name
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bill() -> dict:
    return bill_of(REPOSITORY)


def test_every_core_requirement_stands_in_it_with_its_range_and_licence(bill) -> None:
    found = {
        part["name"] + part["properties"][0]["value"]: part["licenses"]
        for part in bill["components"]
        if part["type"] == "library"
    }
    assert set(found) == {requirement.lower() for requirement in PROJECT["dependencies"]}
    assert all(licences[0]["expression"] for licences in found.values())
    libraries = [part["bom-ref"] for part in bill["components"] if part["type"] == "library"]
    assert bill["dependencies"][0]["dependsOn"] == sorted(libraries)


def stated(name: str) -> str:
    """What the installed package says of its licence."""
    about = importlib.metadata.metadata(name)
    if about["License-Expression"]:
        return about["License-Expression"]
    classes = " ".join(line for line in about.get_all("Classifier") or () if line.startswith("License"))
    files = importlib.metadata.files(name) or ()
    texts = (
        [file.read_text() for file in files if re.fullmatch(r"LICEN[SC]E(\.txt)?", file.name)] if not classes else []
    )
    return " ".join([about["License"] or "", classes, *texts])


def test_the_licences_are_those_that_the_packages_state(bill) -> None:
    for part in bill["components"]:
        if part["type"] == "library":
            ours, theirs = part["licenses"][0]["expression"], stated(part["name"])
            assert ours == theirs or any(word in theirs for word in WORDS[ours]), part["name"]


def test_weights_and_what_browsers_run_stand_in_it(bill) -> None:
    package = REPOSITORY / "src"
    wanted = {*package.rglob("*.safetensors"), *package.rglob("*.js"), *package.rglob("*.css")}
    listed = {part["name"] for part in bill["components"] if part["type"] != "library"}
    assert {path.relative_to(package).as_posix() for path in wanted} <= listed


def test_a_requirement_without_a_licence_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    shutil.copy(SCRIPT, tmp_path / "envs")
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(text.replace("dependencies = [", 'dependencies = [ "unheard-of>=1",', 1))
    with pytest.raises(subprocess.CalledProcessError):
        bill_of(tmp_path)
