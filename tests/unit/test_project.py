"""Files of the project that must agree with each other."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]


#: Only a page in findings/ needs it.
NOT_LOCKED = {"edt"}


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def constraints() -> dict[str, str]:
    lines = (HERE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {name_of(line): line.split("==")[1] for line in lines if not line.startswith("#")}


def test_every_requirement_has_an_exact_tested_version() -> None:
    extras = [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    wanted = [name for name in PROJECT["dependencies"] + extras if name_of(name) != "lungline"]
    assert [requirement for requirement in wanted if name_of(requirement) not in constraints()] == []


def test_the_lock_has_every_tested_version_with_hashes_and_nothing_out_of_range() -> None:
    text = (HERE / "envs" / "locked.txt").read_text(encoding="utf-8")
    locked = {name_of(entry): entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")}
    versions = {name: re.search(r"==([^\s;]+)", entry)[1] for name, entry in locked.items()}
    assert [name for name, entry in locked.items() if "--hash=sha256:" not in entry] == []
    tested = {name: version for name, version in constraints().items() if name not in NOT_LOCKED}
    assert {name: versions.get(name) for name in tested} == tested
    extras = [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    for requirement in map(Requirement, PROJECT["dependencies"] + extras):
        if name_of(requirement.name) != "lungline":
            assert versions[name_of(requirement.name)] in requirement.specifier, requirement
    command = next(line for line in text.splitlines() if "uv pip compile" in line)
    assert "pyproject.toml --extra test -c constraints.txt" in command
    assert "--generate-hashes" in command


def test_the_conda_environment_has_the_tested_versions() -> None:
    environment = yaml.safe_load((HERE / "envs" / "lungline.yaml").read_text(encoding="utf-8"))
    pins = {name_of(pin): pin.split("==")[1] for pin in environment["dependencies"][-1]["pip"]}
    extras = [name for extra in ("workflow", "report", "pacs") for name in PROJECT["optional-dependencies"][extra]]
    direct = {name_of(requirement) for requirement in PROJECT["dependencies"] + extras} - {"snakemake", "lungline"}
    assert pins == {name: constraints()[name] for name in direct}


@pytest.mark.parametrize("image", ["Dockerfile", "apptainer.def"])
def test_the_images_install_the_tested_versions_on_the_tested_python(image: str) -> None:
    text = (HERE / "envs" / image).read_text(encoding="utf-8")
    conda = yaml.safe_load((HERE / "envs" / "lungline.yaml").read_text(encoding="utf-8"))
    python = next(name.partition("=")[2] for name in conda["dependencies"] if str(name).startswith("python="))
    assert re.findall(r"^from:? (\S+)", text, re.MULTILINE | re.IGNORECASE) == [f"python:{python}-slim"]
    assert f"(Python {python})" in (HERE / "constraints.txt").read_text(encoding="utf-8").splitlines()[0]
    (installed,) = re.findall(r"pip install (.+)", text)
    extra = re.fullmatch(r"--no-cache-dir -c constraints\.txt '\.\[(\w+)\]'", installed)
    assert extra
    assert extra[1] in PROJECT["optional-dependencies"]
    assert not re.search(r"==\d", text)  # versions stand in one place
    copied = re.findall(r"^(?:COPY (.+) \./|    (\S+) /opt/lungline/\S+)$", text, re.MULTILINE)
    names = {name for pair in copied for name in " ".join(pair).split()}
    assert {"pyproject.toml", "constraints.txt", PROJECT["readme"], *PROJECT["license-files"]} <= names
    assert "has not been built" in text


MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|root|home|Users|mnt|scratch)/\w")
PRIVATE_HOST = re.compile(r"https?://(?:\d+\.\d+\.\d+\.\d+|localhost|[\w.-]+\.(?:internal|local|corp|lan))\b")


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (HERE / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout.splitlines()
    return [HERE / name for name in listed if (HERE / name).is_file() and HERE / name != Path(__file__)]


def test_no_file_names_a_place_on_one_machine_or_a_private_host() -> None:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.name}: {match[0]}" for rule in (MACHINE_PATH, PRIVATE_HOST) for match in rule.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "text", ["see /home/jo/data", "x='/mnt/data'", "http://10.0.0.1/simple", "https://pypi.corp/x"]
)
def test_a_place_on_one_machine_is_found(text: str) -> None:
    assert MACHINE_PATH.search(text) or PRIVATE_HOST.search(text)


@pytest.mark.parametrize("script", ["run", ".ci/run", "envs/lungline.post-deploy.sh"])
def test_scripts_can_be_started(script: str) -> None:
    text = (HERE / script).read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env ")
    if "bash" in text.splitlines()[0]:
        assert "set -euo pipefail" in text


def test_what_commands_import_of_the_tests_they_find_without_pytest() -> None:
    """pytest puts `tests/` on the path; `python -m tests.conformance.fuzz` does not."""
    own = {path.stem for path in (HERE / "tests").glob("*.py")}
    folders = ("tests/conformance", "benchmarks", "experiments")
    waiting = [
        path
        for folder in folders
        for path in (HERE / folder).rglob("*.py")
        if not path.name.startswith("test_") and ".venv" not in path.parts
    ]
    seen, bare = set(waiting), []
    while waiting:
        path = waiting.pop()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            bare += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in own]
            found = {HERE / f"{name.replace('.', '/')}.py" for name in names if name.startswith("tests.")}
            new = {one for one in found if one.is_file()} - seen
            seen |= new
            waiting += new
    assert len(seen) > 60
    assert bare == []
