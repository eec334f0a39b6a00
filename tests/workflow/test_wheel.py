"""The package alone, away from the clone: what is in it, and that it answers per scan and starts the workflow.

The short form is part of `./run test` and borrows what the wheel needs from the environment of the tests. With
`pytest tests/workflow/test_wheel.py --wheel-long` pip installs it, 2 GB, and the oldest versions of Snakemake.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_dicom_series
from tests.repository import REPOSITORY

pytestmark = pytest.mark.wheel
#: The oldest Snakemake with which the workflow runs, and with which it is a module; pyproject.toml and the Snakefile.
OLDEST, OLDEST_OF_MODULES = "8.18.0", "9.12.0"


def call(*words: object, **options) -> str:
    """What a command says; it must end well."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = list(map(str, words))
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=environment, **options)
    assert done.returncode == 0, f"{shutil.which(command[0])}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="needs hatchling: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPOSITORY)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest):
    """Make an environment of its own with some packages; skipped where pip finds none, or without `--wheel-long`."""
    if not request.config.getoption("--wheel-long"):
        pytest.skip("long: pytest tests/workflow/test_wheel.py --wheel-long")
    index = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "iniconfig", "-d"]
    if subprocess.run([*index, str(tmp_path_factory.mktemp("index"))], check=False, capture_output=True).returncode:
        pytest.skip("needs a package index that pip can reach")

    def into(*what: str, constrained: bool = True) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        call(sys.executable, "-m", "venv", folder)
        pins = ["-c", REPOSITORY / "constraints.txt"] if constrained else []
        call(folder / "bin" / "pip", "install", "--quiet", *pins, *what)
        return folder / "bin"

    return into


def test_the_wheel_holds_workflow_presets_profiles_and_weights(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = [path for part in ("rules", "config", "profiles", "report") for path in (REPOSITORY / part).rglob("*.*")]
    wanted = {f"lungline/workflow/{path.relative_to(REPOSITORY)}" for path in [REPOSITORY / "Snakefile", *tracked]}
    package = REPOSITORY / "src" / "lungline"
    weights = [path for path in (package / "pretrained").rglob("[!.]*") if path.is_file()]
    wanted |= {f"lungline/{path.relative_to(package)}" for path in weights}
    assert wanted - names == set()
    assert [name for name in names if name.startswith(("tests", "docs", "results"))] == []


def test_the_wheel_holds_its_bill_of_materials(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if ".dist-info/sboms/" in name]
        parts = {part["name"]: part for part in json.loads(archive.read(name))["components"]}
        weights = {name for name in archive.namelist() if name.endswith(".safetensors")}
        assert weights
        assert weights <= set(parts)
        for name in weights | {"lungline/reports/page/viewer.js", "lungline/reports/page/page.css"}:
            assert parts[name]["hashes"][0]["content"] == hashlib.sha256(archive.read(name)).hexdigest()


def predict_offline(programs: Path, folder: Path) -> str:
    """What `lungline predict` says of one synthetic scan where there is no network."""
    write_dicom_series(folder / "scan", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.3)), patient="one")
    alone = ["unshare", "--map-root-user", "--net"]
    offline = alone if subprocess.run([*alone, "true"], check=False).returncode == 0 else []
    return call(*offline, programs / "lungline", "predict", "scan", cwd=folder)


def test_the_wheel_answers_a_scan_and_starts_the_workflow_away_from_the_clone(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    call(sys.executable, "-m", "venv", folder)
    programs = folder / "bin"
    call(programs / "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    site = Path(call(programs / "python", "-c", "import site; print(site.getsitepackages()[0])").strip())
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    installed = call(programs / "python", "-c", "import lungline; print(lungline.__file__)", cwd=tmp_path).strip()
    assert Path(installed).is_relative_to(site)
    assert "1 of 1 scans have an answer" in predict_offline(programs, tmp_path)
    words = ("--quiet", "host", "--configfile", "config/micro.yaml")
    plan = call(programs / "lungline", "run", "-n", *words, cwd=tmp_path)
    assert "train_unet" in plan


def test_a_scan_is_answered_with_the_network_off_and_the_workflow_is_an_extra(
    install, wheel: Path, tmp_path: Path
) -> None:
    programs = install(str(wheel))
    said = predict_offline(programs, tmp_path)
    assert "1 of 1 scans have an answer" in said
    assert "no seg.dcm, no sr.dcm: this needs highdicom" in said

    call(programs / "pip", "install", "--quiet", "-c", REPOSITORY / "constraints.txt", f"{wheel}[workflow]")
    plan = call(
        programs / "lungline", "run", "-n", "--quiet", "host", "--configfile", "config/micro.yaml", cwd=tmp_path
    )
    assert "train_unet" in plan
    assert not (tmp_path / "results").exists()


MODULE = """
module lungline:
    snakefile: {snakefile!r}
    config: {{"run": ["m2-demo"], "cohort": {{"luna16_scans": 10, "dsb17_train": 3, "dsb17_test": 1}}}}
    prefix: "moved"
use rule * from lungline as ll_*
"""


@pytest.mark.parametrize("version", [OLDEST, OLDEST_OF_MODULES])
def test_the_oldest_snakemake_plans_and_runs(install, tmp_path: Path, version: str) -> None:
    """With what planning imports of the core, and PuLP of that time, which Snakemake 8 does not pin."""
    core = ["numpy", "scipy", "h5py", "hdf5plugin", "pydantic", "jinja2"]
    python = install(f"snakemake=={version}", "pulp<2.8", *core, constrained=False) / "python"
    site = call(python, "-c", "import site; print(site.getsitepackages()[0])").strip()
    Path(site, "lungline.pth").write_text(str(REPOSITORY / "src"), encoding="utf-8")
    program = python.with_name("lungline")
    program.write_text(f'#!/bin/sh\nexec {python} -m lungline.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    command = ["env", f"PATH={python.parent}:{os.environ['PATH']}", python, "-m", "snakemake", "--cores", "1"]
    snakefile = str(REPOSITORY / "Snakefile")
    micro = ["-s", snakefile, "--configfile", REPOSITORY / "config" / "micro.yaml"]
    assert "train_unet" in call(*command, *micro, "-n", cwd=tmp_path)
    call(*command, *micro, "--", "results/micro/cohort/ground_truth.csv", cwd=tmp_path)
    assert (tmp_path / "results" / "micro" / "private" / "config.json").is_file()

    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile), encoding="utf-8")
    if version == OLDEST_OF_MODULES:
        assert "ll_detect_demo_2" in call(*command, "-n", cwd=tmp_path)
