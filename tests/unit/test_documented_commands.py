"""Every command of the documentation is read by the real parser; those of the first run are run.

Commands in blocks are read word by word. Commands in a sentence may be cut short, so of them only the name and the
options are read. `ONLY_READ` says of every kind of command that no test here runs why not.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lungline.cli import commands, main, parser_of
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from tests.repository import REPOSITORY
from tests.unit.test_documentation import LINKED, name_of

PAGES = [page for page in LINKED if page.name != "CHANGELOG.md"]
FIRST_RUN, YOUR_DATA = (REPOSITORY / "docs" / name for name in ("getting-started/first-run.md", "how-to/your-data.md"))
OURS = ("lungline ", "snakemake ", "./run", "python -m ", "pytest ")

#: Kinds of commands that are read and not run here, and why. The first that fits counts.
ONLY_READ = {
    r"\./run test\b": "runs this test",
    r"\./run\b|snakemake\b": "minutes to days; plans and whole runs of every preset are tests/workflow",
    r"lungline \S": "needs files of a run, or of yours; tests of the stage, and the first run below, run the command",
    r"python -m (benchmarks|experiments|tests\.conformance)\b": "minutes to hours, or the sample data",
    r"python -m tests\.unit\.workflow\.test_graphs": "writes the pages; the test beside it compares",
    r"python3? -m venv|pip install|\S+/bin/pip|git clone|\. \.venv|export |cd ": "installs, or changes the shell",
    r"pre-commit|pytest|\S+/bin/": "runs the checks or other tests",
    r"sbatch": "needs a Slurm; tests/slurm runs one",
    r"findings/NAME.sh": "installs from a package index",
}  # fmt: skip


def blocks(page: Path) -> Iterator[str]:
    """The lines of all blocks without a language, continued lines joined."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if command := re.sub(r"(^|\s)#.*", "", line).strip():
                yield from (part.strip() for part in command.split("&&"))


def spans(page: Path) -> Iterator[str]:
    """Commands in a sentence."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`]+)`", text):
        span = " ".join(span.split())
        if span.startswith(OURS):
            yield span


def lungline_parser(name: str) -> argparse.ArgumentParser:
    assert name in commands(), f"no command {name}"
    return parser_of(importlib.import_module(f"lungline.stages.{name.replace('-', '_')}").run, name)


def read_snakemake(words: list[str]) -> argparse.Namespace:
    from snakemake.cli import get_argument_parser

    parsed = get_argument_parser().parse_args(words)
    for file in parsed.configfile or ():
        assert Path(file).name in ("FILE", "my-folders.yaml", "my-scans.yaml") or (REPOSITORY / file).is_file(), file
    return parsed


class _ReadError(Exception):
    """The words of a module have been read."""


def read_module(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a module read its words as it does when it is run, and stop it there."""
    spec = importlib.util.find_spec(name)
    assert spec, name
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{name}.__main__")
        assert spec, name
    assert spec.origin
    source = Path(spec.origin).read_text(encoding="utf-8")
    if "parse_args(" not in source:
        assert not words or "sys.argv" in source, f"{name} reads no words"
        return
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, args=None, namespace=None):
        parse(self, args, namespace)
        raise _ReadError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(_ReadError):
        runpy.run_module(name, run_name="__main__")


def read(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a whole command as the program that it names does."""
    words = shlex.split(command, comments=True)
    if words[0] == "lungline":
        lungline_parser(words[1]).parse_args(words[2:])
    elif words[0] == "snakemake" or (words[0] == "./run" and words[1:2] != ["test"]):
        read_snakemake(words[1:])
    elif words[0] == "sbatch":
        read(words[words.index("--wrap") + 1], monkeypatch)
    elif words[:2] == ["python", "-m"] and words[2] != "venv":
        read_module(words[2], words[3:], monkeypatch)
    elif words[:2] == ["./run", "test"] or words[0] == "pytest":
        assert all((REPOSITORY / word).exists() for word in words if word.startswith("tests/")), command
    else:
        assert any(re.match(kind, command) for kind in ONLY_READ), f"what is {command}?"
        assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_real_parsers_take_every_command_in_a_block(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in blocks(page):
        try:
            with monkeypatch.context() as patch:
                read(command, patch)
        except SystemExit:
            pytest.fail(f"{name_of(page)}: {command}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_sentence_has_a_name_and_options_that_exist(page: Path) -> None:
    for span in spans(page):
        words = re.sub(r"[\[\]]|\.\.\.", " ", span).split()
        if words[0] == "lungline" and words[1:] and words[1] not in ("COMMAND", "--version"):
            known = lungline_parser(words[1])._option_string_actions
            assert [word for word in words[2:] if word.startswith("--") and word not in known] == [], span
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), span
        elif words[0] == "snakemake" or words[0] == "./run":
            from snakemake.cli import get_argument_parser

            known = get_argument_parser()._option_string_actions
            options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
            assert [option for option in options if option not in known] == [], span


@pytest.mark.parametrize("command", ["lungline predct SCAN", "lungline show", "snakemake --coers 2", "reboot now"])
def test_a_wrong_command_is_found(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((SystemExit, AssertionError)):
        read(command, monkeypatch)


def test_every_command_is_run_or_it_is_said_why_not() -> None:
    ran = {command for page in (FIRST_RUN, YOUR_DATA) for command in blocks(page)}
    for page in PAGES:
        for command in blocks(page):
            assert command in ran or any(re.match(kind, command) for kind in ONLY_READ), f"{name_of(page)}: {command}"


def test_the_first_run_goes_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "SCAN").mkdir()
    write_mhd(tmp_path / "SCAN/chest.mhd", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.3)))
    for copy in ("SCANS", "EARLIER", "LATER"):
        shutil.copytree(tmp_path / "SCAN", tmp_path / copy)
    monkeypatch.chdir(tmp_path)
    commands_ = [command for command in blocks(FIRST_RUN) if command.startswith("lungline ")]
    assert len(commands_) == 7
    pseudonym = "scan-0123456789"
    for command in commands_:
        command = command.replace("SCAN --private", "chest --private").replace("scan-0123456789", pseudonym)
        command = re.sub(r"\b(SCAN|EARLIER|LATER)\b(?! --private)", r"\1/chest.mhd", command)
        code = main(shlex.split(command)[1:])
        out, err = capfd.readouterr()
        assert not code, f"{command}: {err}"
        if found := re.search(r"scan-[0-9a-f]{10}", out):
            pseudonym = found[0]
    assert (tmp_path / "mine/index.html").is_file()
    assert (tmp_path / "scan.png").is_file()
    assert (tmp_path / "follow-up/follow-up.html").is_file()
    assert (tmp_path / "answers/predictions.csv").is_file()


def test_the_list_of_your_scans_is_made_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    write_mhd(tmp_path / "scans/SCAN.mhd", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.3)))
    (tmp_path / "my-scans.yaml").write_text("data: {folder: scans, labels: null}\n")
    monkeypatch.chdir(tmp_path)
    listing, who, export = blocks(YOUR_DATA)
    assert not main(shlex.split(listing)[1:])
    assert (tmp_path / "results/real/manifest.csv").read_text().count("\n") == 2
    assert not main(shlex.split(who)[1:])
    assert "SCAN.mhd" in capfd.readouterr().out
    assert main(shlex.split(export)[1:]) == 2  # nothing is answered yet, and that is what it says
    assert "predictions.csv" in capfd.readouterr().err
