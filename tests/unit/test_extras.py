"""What is installed for what: the core answers per scan, everything else is an extra that one line names."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lungline.errors import EXTRAS, missing
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from tests.repository import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Packages whose import has another name.
IMPORTED_AS = {
    "connected-components-3d": "cc3d",
    "pylibjpeg-openjpeg": "openjpeg",
    "pyjpegls": "jpeg_ls",
    "PyYAML": "yaml",
    "scikit-image": "skimage",
}
#: Called by pydicom, found by their names.
PLUGINS = {"pylibjpeg", "openjpeg", "jpeg_ls"}


def imported_as(requirements: list[str]) -> set[str]:
    names = [requirement.split(">")[0] for requirement in requirements if not requirement.startswith("lungline")]
    return {IMPORTED_AS.get(name, name) for name in names}


def test_every_extra_has_what_the_package_says_it_has() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {name: extra for extra in ("workflow", "report", "pacs") for name in imported_as(extras[extra])} == EXTRAS


def test_every_import_of_the_package_is_in_the_core_or_an_extra() -> None:
    known = imported_as(PROJECT["dependencies"]) | set(EXTRAS) | set(sys.stdlib_module_names) | {"lungline"}
    found = set()
    for path in (REPOSITORY / "src" / "lungline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.partition(".")[0] for name in names}
    assert found - known == set()
    assert imported_as(PROJECT["dependencies"]) - found - PLUGINS == set()


PREDICT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {names!r} else find(name, package)
from lungline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run_without(names: set[str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command where these packages are not installed."""
    command = [sys.executable, "-c", PREDICT.format(names=names), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_scan_is_answered_without_any_extra(tmp_path: Path) -> None:
    write_mhd(tmp_path / "scan.mhd", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.3)))
    answer = run_without(set(EXTRAS), tmp_path, "predict", "scan.mhd", "--device", "cpu")
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "predictions" / "index.html").is_file()


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["run", "-n"], "snakemake"),
        (["list-scans"], "yaml"),
        (["plot-curves", "out", "--predictions", "none.csv"], "pandas"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(tmp_path: Path, words: list[str], package: str) -> None:
    answer = run_without({package}, tmp_path, *words)
    assert answer.returncode == 2
    assert answer.stderr == (
        f"lungline {words[0]}: this needs {package}, which is not installed. "
        f"Call: pip install 'lungline[{EXTRAS[package]}]'\n"
    )


def test_a_package_that_belongs_to_the_core_is_to_be_installed_again() -> None:
    assert "pip install --force-reinstall lungline, of which torch is a part" in missing("torch._C")
