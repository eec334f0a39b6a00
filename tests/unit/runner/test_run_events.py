"""What a run of the workflow does at its start and its end, as Snakemake's log tells of it."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from lungline.runner.locks import hold
from lungline.runner.run_events import GOES_ON, attend


class Version9:
    """A logger of the standard library."""

    def __init__(self) -> None:
        self.logger = logging.Logger("of Snakemake 9", logging.INFO)

    def log(self, event: str, **told: object) -> None:
        self.logger.info("", extra={"event": SimpleNamespace(value=event), **told})


class Version8:
    """A logger of Snakemake's own."""

    def __init__(self) -> None:
        self.logger = SimpleNamespace(log_handler=[])

    def log(self, event: str, **told: object) -> None:
        for hear in self.logger.log_handler:
            hear({"level": event, **told})


@pytest.fixture(params=[Version8, Version9])
def snakemake(request: pytest.FixtureRequest) -> Version8 | Version9:
    return request.param()


def test_the_folder_is_held_from_the_first_job_on_and_once(snakemake, tmp_path: Path) -> None:
    begun: list[int] = []
    for number in (1, 2):  # each `use rule` reads the Snakefile again
        attend(snakemake.logger, tmp_path, lambda number=number: begun.append(number), RuntimeError, lambda: False)
    snakemake.log("info")
    assert begun == []
    snakemake.log("run_info")
    snakemake.log("run_info")
    assert begun == [2]
    with pytest.raises(Exception, match="another run is at work here"):
        hold(tmp_path)


def test_a_folder_that_another_run_holds_ends_this_one(snakemake, tmp_path: Path) -> None:
    held = hold(tmp_path)
    attend(snakemake.logger, tmp_path, lambda: None, RuntimeError, lambda: False)
    with pytest.raises(RuntimeError, match="another run is at work here"):
        snakemake.log("run_info")
    held.close()


def test_a_dry_run_holds_and_says_nothing(snakemake, tmp_path: Path, capsys) -> None:
    attend(snakemake.logger, tmp_path, lambda: pytest.fail("begun"), RuntimeError, lambda: True)
    snakemake.log("run_info")
    snakemake.log("progress", done=3, total=3)
    assert capsys.readouterr().out == ""
    hold(tmp_path).close()


def test_a_failed_job_is_told_once_and_the_end_sums_up(snakemake, tmp_path: Path, capsys) -> None:
    (tmp_path / "predictions.csv").write_text("scan,status\na,ok\nb,quarantined\n", encoding="utf-8")
    attend(snakemake.logger, tmp_path, lambda: None, RuntimeError, lambda: False)
    snakemake.log("run_info")
    snakemake.log("job_error")
    snakemake.log("job_error")
    assert capsys.readouterr().out == f"{GOES_ON}\n"
    snakemake.log("progress", done=2, total=3)
    assert capsys.readouterr().out == ""
    snakemake.log("progress", done=3, total=3)
    assert "(1 ok, 1 quarantined)" in capsys.readouterr().out
