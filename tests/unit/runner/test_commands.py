"""A command ends with a number; what a person can mend is one line."""

import errno
import os

import pytest

from lungline import cli
from lungline.errors import LunglineError
from lungline.runner.commands import exit_code_of
from lungline.storage import hdf5
from lungline.storage.hdf5 import Flag, Header


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (1, 1), (Header("q", "resample"), 0)])
def test_the_exit_code_is_the_number_that_comes_back(answer, code):
    assert exit_code_of("test", lambda: answer) == code


def test_a_stage_on_one_scan_ends_well_from_the_command_line(tmp_path):
    hdf5.write_file(tmp_path / "in.h5", Header("ct_hu", "ingest", (Flag("Q_LIMIT"),)), {})
    assert cli.main(["resample", str(tmp_path / "in.h5"), str(tmp_path / "out.h5"), "--spacing-mm", "1"]) == 0
    assert hdf5.read_header(tmp_path / "out.h5").status == "quarantined"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LunglineError("a.csv: mend it."), "a.csv: mend it."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.h5"), "No space left on device. Mend that, then run"),
        (
            PermissionError(errno.EACCES, "Permission denied", "out/.x.h5.7.tmp"),
            "out: Permission denied. Give yourself",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_line(error, words, capsys):
    def fail():
        raise error

    assert exit_code_of("resample", fail) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"lungline resample: {words}")
    assert said.count("\n") == 1


def test_a_mistake_of_ours_is_raised():
    with pytest.raises(ZeroDivisionError):
        exit_code_of("test", lambda: 1 / 0)
