"""The environment of a cluster: commands work in it, or end in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hdf5plugin
import pytest

from lungline.environment import threads_asked_for
from lungline.storage import hdf5
from scans import chest, write_dicom, write_nifti

#: Variables that are set (None: not there) for a command that reads a scan and writes a file.
ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "our own README's line": {"HDF5_PLUGIN_PATH": hdf5plugin.PLUGINS_PATH},
    "that and another folder": {"HDF5_PLUGIN_PATH": f"/nonexistent:{hdf5plugin.PLUGINS_PATH}"},
    "filters that are not there": {"HDF5_PLUGIN_PATH": "/nonexistent"},
    "no filters at all": {"HDF5_PLUGIN_PRELOAD": "::", "HDF5_PLUGIN_PATH": ""},
    "another layer of HDF5": {"HDF5_VOL_CONNECTOR": "async under_vol=0;under_info={}"},
    "another driver of HDF5": {"HDF5_DRIVER": "mpio", "HDF5_DRIVER_CONFIG": "x"},
    "locks, yes": {"HDF5_USE_FILE_LOCKING": "TRUE"},
    "locks, no": {"HDF5_USE_FILE_LOCKING": "FALSE"},
    "locks, best effort": {"HDF5_USE_FILE_LOCKING": "BEST_EFFORT"},
    "locks, nonsense": {"HDF5_USE_FILE_LOCKING": "maybe"},
    "no folder for temporary files": {"TMPDIR": "/nonexistent"},
    "a file for temporary files": {"TMPDIR": "/etc/passwd"},
    "nowhere to write temporary files": {"TMPDIR": "/proc"},
    "C": {"LC_ALL": "C"},
    "POSIX, as ASCII": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a language that is not there": {"LC_ALL": "xx_YY.UTF-8"},
    "no threads said": {"OMP_NUM_THREADS": None},
    "a word for threads": {"OMP_NUM_THREADS": "all"},
    "no thread": {"OMP_NUM_THREADS": "0"},
    "no home": {"HOME": None},
    "a home that is not there": {"HOME": "/nonexistent"},
    "warnings as errors": {"PYTHONWARNINGS": "error"},
    "another backend": {"MPLBACKEND": "nonsense", "MPLCONFIGDIR": "/proc/none"},
    "no docstrings": {"PYTHONOPTIMIZE": "2"},
}


def lungline(folder: Path, *words: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    changed = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
    command = [sys.executable, "-m", "lungline.cli", *words]
    return subprocess.run(command, cwd=folder, env=changed, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_nifti(folder / "scan.nii.gz", chest())
    write_dicom(folder / "Müller ✓", chest())
    return folder


@pytest.mark.parametrize("variables", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_a_scan_is_read_and_written_in_an_odd_environment(variables, scans, tmp_path) -> None:
    done = lungline(tmp_path, "ingest", str(scans / "scan.nii.gz"), "a.h5", "--source", "nifti", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert hdf5.read_volume(tmp_path / "a.h5", "ct").array.shape == chest().shape


def test_files_are_ours_alone_under_a_strict_umask_and_names_need_no_language(scans, tmp_path) -> None:
    before = os.umask(0o077)
    try:
        words = ("manifest", "folder", str(scans), "out")
        done = lungline(tmp_path, *words, LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert "2 scans of folder" in done.stderr


def test_a_folder_that_is_gone_is_one_line(tmp_path) -> None:
    (tmp_path / "gone").mkdir()
    remove = f"import os; os.rmdir({str(tmp_path / 'gone')!r}); from lungline.cli import main; main(['verify', '.'])"
    done = subprocess.run(
        [sys.executable, "-c", remove], cwd=tmp_path / "gone", capture_output=True, text=True, check=False
    )
    assert done.stderr == "lungline verify: the folder that you are in is gone. Change to one that exists.\n"


@pytest.mark.parametrize("how", ["error", "default"])
def test_pictures_are_drawn_whatever_the_backend_and_the_warnings(how, tmp_path) -> None:
    draw = "from lungline.environment import make_usable; make_usable(); import lungline.reports.scan_figures"
    changed = {**os.environ, "MPLBACKEND": "nonsense", "PYTHONWARNINGS": how}
    done = subprocess.run([sys.executable, "-c", draw], cwd=tmp_path, env=changed, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("word", "threads"),
    [
        ("4", 4),
        ("4,2", 4),
        (" 2 ", 2),
        ("all", None),
        ("0", None),
        ("-1", None),
        ("", None),
        ("1e9", None),
        ("9" * 9, 1024),
    ],
)
def test_a_number_of_threads_is_one_or_none(word, threads, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", word)
    assert threads_asked_for() == threads
