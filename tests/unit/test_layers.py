"""Imports go one way, down the layers: cli and api -> stages -> ... -> errors and other ground."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lungline.fingerprint import ROOT

LAYERS = (
    ("cli", "api"),
    ("stages",),
    ("workflow", "runner", "pacs", "privacy", "synthetic", "training", "evaluation", "reports"),
    ("nodules", "detection", "readers"),
    ("storage", "classification"),
    ("imaging", "config"),
    (
        *("errors", "allocator", "names", "escape", "former_names", "qc_flags", "device", "progress", "fingerprint"),
        *("splits", "environment", "scan_formats", "limits"),
    ),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
FORBIDDEN = {"snakemake"}  # the package must not know what runs it

#: Run thousands of times a cohort: what they import at the top is paid for each time.
PER_SCAN = (
    "cache_volume",
    "crop_patches",
    "describe_nodules",
    "rasterise_nodules",
    "read_masks",
    "render_page",
    "simulate_scan",
    "extract_candidates",
    "ingest",
    "resample",
    "resize_volume",
    "segment_lungs",
    "write_dicom",
    "write_masks",
)

#: The stages that may read `private/map.csv`, beside the one that writes it; no rule calls them.
WAY_OUT = ("export", "reidentify")
SLOW = ("torch", "highdicom", "pandas", "matplotlib", "skimage", "SimpleITK", "sklearn", "pydantic")


def imports(text: str) -> Iterator[str]:
    """Full names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def complaints(part: str, text: str) -> list[str]:
    """What is wrong with the imports of a module that lies in `part` of the package."""
    found = []
    for name in imports(text):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top in FORBIDDEN:
            found.append(f"{part} imports {name}")
        if top == "lungline" and target in LEVEL and LEVEL[target] < LEVEL[part]:
            found.append(f"{part} imports {name}, which lies above it")
    return found


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def test_every_part_of_the_package_has_a_layer() -> None:
    assert {part_of(path) for path in MODULES} <= set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    assert complaints(part_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("imaging", "from lungline.detection import unet"),
        ("detection", "def f():\n    import lungline.stages.detect"),
        ("errors", "from lungline.imaging import volume"),
        ("training", "from snakemake.utils import validate"),
    ],
)
def test_an_import_that_goes_up_is_found(part: str, text: str) -> None:
    assert complaints(part, text)


def test_packages_of_one_layer_do_not_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in MODULES:
        for name in imports(path.read_text(encoding="utf-8")):
            target = name.split(".")[1] if name.startswith("lungline.") else ""
            if target in LEVEL and target != part_of(path):
                arrows.setdefault(part_of(path), set()).add(target)

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            fresh = arrows.get(waiting.pop(), set()) - seen
            seen |= fresh
            waiting += fresh
        return seen

    assert [part for part in arrows if part in reachable(part)] == []


def test_stages_that_run_once_a_scan_do_not_wait_for_slow_libraries() -> None:
    names = ", ".join(f"lungline.stages.{stage}" for stage in PER_SCAN)
    code = f"import sys, {names}; print(*[name for name in {SLOW!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def test_only_the_lists_of_scans_and_the_way_out_know_original_names() -> None:
    asking = {
        str(path.relative_to(ROOT))
        for path in MODULES
        for name in imports(path.read_text(encoding="utf-8"))
        if name.startswith("lungline.privacy.pseudonyms")
    }
    assert asking == {"privacy/scan_list.py", *(f"stages/{stage}.py" for stage in WAY_OUT)}
    rules = Path(__file__).resolve().parents[2] / "rules"
    assert [path.name for path in rules.glob("*.smk") if "pseudonyms" in path.read_text("utf-8")] == []


def test_every_module_has_a_name_of_its_own() -> None:
    """One meaning a file name: a stage and the formula behind it are not called the same."""
    names = [path.stem for path in MODULES if path.stem != "__init__"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_module_and_no_function_is_too_long_to_find_ones_way() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in MODULES}
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [str(path.relative_to(ROOT)) for path, text in texts.items() if len(text.splitlines()) >= 350]
    long += [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and node.end_lineno and node.end_lineno - node.lineno + 1 >= 80
    ]
    assert long == []
