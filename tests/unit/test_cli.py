"""The command line is the stages' signatures; a user's mistake is one line and exit code 2."""

from pathlib import Path
from typing import Literal

import pytest

from lungline import NOTICE
from lungline.cli import commands, main, parser_of


def run(
    source: Path,
    output: Path,
    *,
    axis: Literal["z", "y"],
    files: list[Path],
    kinds: tuple[str, ...] = ("a",),
    keep: bool = False,
    limit: int | None = None,
    threshold: float = 0.8,
) -> None:
    """Do something."""


WORDS = ["in.h5", "out.h5", "--axis", "z", "--files", "x", "y"]


def test_words_become_values_of_the_annotated_types():
    options = vars(parser_of(run, "test").parse_args([*WORDS, "--keep", "true", "--limit", "none"]))
    assert options == {
        "source": Path("in.h5"),
        "output": Path("out.h5"),
        "axis": "z",
        "files": [Path("x"), Path("y")],
        "keep": True,
        "limit": None,
        "threshold": 0.8,
    }
    assert parser_of(run, "test").parse_args([*WORDS, "--limit", "3"]).limit == 3


def test_an_option_that_is_given_twice_adds_its_words_to_each_other_and_to_no_default():
    options = parser_of(run, "test").parse_args([*WORDS, "--files", "z", "--kinds", "b"])
    assert options.files == [Path("x"), Path("y"), Path("z")]
    assert options.kinds == ["b"]


@pytest.mark.parametrize("wrong", [["--axis", "w"], ["--keep", "yes"], ["--threshold", "high"]])
def test_a_word_that_is_no_such_value_is_refused(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        parser_of(run, "test").parse_args([*WORDS, *wrong])
    assert stop.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_every_command_has_a_summary_and_a_parser():
    import importlib

    assert {"ingest", "resample", "segment-lungs", "cache-volume", "train-unet", "detect"} <= set(commands())
    for name, summary in commands().items():
        assert summary.endswith("."), name
        module = importlib.import_module(f"lungline.stages.{name.replace('-', '_')}")
        assert parser_of(module.run, name).format_help()


def test_a_missing_file_is_one_line_and_exit_code_2(capsys, tmp_path):
    assert main(["resample", str(tmp_path / "absent.h5"), str(tmp_path / "out.h5"), "--spacing-mm", "1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "absent.h5" in lines[0]


def test_an_unknown_command_is_named(capsys):
    assert main(["resampel"]) == 2
    assert "no command 'resampel'" in capsys.readouterr().err


def test_help_and_version_say_research_use_only(capsys):
    assert main([]) == 0
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out.count(NOTICE) == 2
    assert "segment-lungs" in out


def test_an_error_is_one_line_that_no_terminal_obeys(capsys, tmp_path):
    assert main(["show", str(tmp_path / "two\nlines\x1b[2J.h5")]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said
