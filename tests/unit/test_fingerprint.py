from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from lungline.fingerprint import ROOT, code_fingerprint, reached_modules

PACKAGE = {
    "__init__.py": "",
    "errors.py": "class Mistake(Exception): ...\n",
    "geometry.py": "def voxel():\n    return 1.0\n",
    "stages/__init__.py": "",
    "stages/measure.py": (
        '"""Measure."""\n'
        "from lungline import errors\n"
        "from ..deep import ruler\n"
        "\n"
        "def run(path):\n"
        '    """Measure one file."""\n'
        "    from lungline.geometry import voxel\n"
        "    return voxel() * ruler.LENGTH  # in mm\n"
    ),
    "deep/__init__.py": "",
    "deep/ruler.py": "import math\nLENGTH = math.pi\n",
    "other.py": "A = 1\n",
}
MEASURE = "lungline.stages.measure"


@pytest.fixture
def package(tmp_path: Path):
    """A function that writes the small package, some files changed, and gives the fingerprint of `measure`."""

    def fingerprint(changed: Mapping[str, str] = MappingProxyType({})) -> str:
        root = tmp_path / f"version{len(list(tmp_path.iterdir()))}"  # results are remembered by folder
        for name, text in {**PACKAGE, **changed}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return code_fingerprint(MEASURE, root)

    return fingerprint


def test_the_same_code_gives_the_same_fingerprint_wherever_it_lies(package) -> None:
    assert package() == package()


def test_comments_docstrings_and_layout_change_nothing(package) -> None:
    text = PACKAGE["stages/measure.py"]
    edited = text.replace("# in mm", "# in millimetres, of course").replace("Measure one file.", "Look at it.")
    edited = edited.replace("def run(path):\n", "def run(\n    path,\n):\n").replace('"""Measure."""', '"""New."""')
    assert edited != text
    assert package({"stages/measure.py": edited}) == package()


def test_a_string_that_is_used_is_not_a_docstring(package) -> None:
    first = package({"deep/ruler.py": "LENGTH = 'a'\n"})
    assert package({"deep/ruler.py": "LENGTH = 'b'\n"}) != first


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("stages/measure.py", PACKAGE["stages/measure.py"].replace("* ruler", "+ ruler")),
        ("deep/ruler.py", "import math\nLENGTH = 2 * math.pi\n"),
        ("deep/__init__.py", "X = 1\n"),
        ("stages/__init__.py", "X = 1\n"),
        ("geometry.py", "def voxel():\n    return 2.0\n"),
    ],
)
def test_a_change_in_the_stage_or_in_what_it_reaches_changes_the_fingerprint(package, module, text) -> None:
    assert package({module: text}) != package()


def test_a_change_in_a_module_that_is_not_reached_changes_nothing(package) -> None:
    assert package({"other.py": "A = 2\n"}) == package()


def test_a_change_of_the_words_of_errors_changes_nothing(package) -> None:
    assert package({"errors.py": "class Mistake(ValueError): ...\n"}) == package()


def test_an_unknown_module_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"lungline\.stages\.fly"):
        code_fingerprint("lungline.stages.fly")


def test_resample_reaches_its_formula_and_nothing_of_the_networks() -> None:
    reached = reached_modules("lungline.stages.resample")
    assert "lungline.imaging.resampling" in reached
    assert not [name for name in reached if name.startswith(("lungline.classification", "lungline.training"))]


def test_imports_inside_functions_are_reached() -> None:
    assert "lungline.detection.unet" in reached_modules("lungline.stages.detect")


def test_every_stage_has_a_fingerprint_of_its_own() -> None:
    stages = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py"))
    assert len({code_fingerprint(f"lungline.stages.{stage}") for stage in stages}) == len(stages)
