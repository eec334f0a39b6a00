"""What the fault plan calls a failure."""

from pathlib import Path

from lungline.storage.checksums import write_checksummed_text
from tests.conformance.faults.__main__ import table
from tests.conformance.faults.kills import called
from tests.conformance.faults.workspace import SETTINGS, Workspace, differences


def test_a_missing_a_changed_and_an_added_file_are_differences() -> None:
    expected = {"a": "1", "b": "2", "c": "3"}
    assert list(differences(expected, expected)) == []
    assert list(differences(expected, {"a": "1", "b": "x", "d": "4"})) == ["differs: b", "missing: c", "too many: d"]


def test_a_torn_file_is_found(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    file = tmp_path / SETTINGS["outdir"] / "predict_cancer" / "m2.csv"
    write_checksummed_text(file, "scan,probability\n")
    assert place.torn() == []
    file.write_text("scan,prob", encoding="utf-8")
    assert len(place.torn()) == 1


def test_forgetting_a_step_removes_all_that_follows_and_nothing_before(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    for step in ("resample", "detect", "train_classifier"):
        (place.results / step).mkdir(parents=True)
    (place.results / "predictions.csv").touch()
    place.forget_from("detect")
    assert [path.name for path in place.results.iterdir()] == ["resample"]


def test_a_process_is_called_by_what_it_does() -> None:
    python = "/venv/bin/python3"
    assert called([python, "run", "--configfile", "config/micro.yaml"]) == "./run"
    assert called([python, "/venv/bin/snakemake", "--cores", "2"]) == "snakemake"
    assert called([python, "/venv/bin/lungline", "train-unet", "results"]) == "train-unet"
    assert called(["/bin/bash", "-c", "lungline ingest raw"]) == "shell"
    assert called([]) == ""


def test_the_table_counts_kill_points_says_whom_they_met_and_what_was_not_run() -> None:
    everything = {"whom": "everything", "killed": {"./run": 1, "snakemake": 1, "ingest": 2}}
    one = {"whom": "one process", "killed": {"ingest": 1}}
    runs = [{"passed": True, "kills": [everything, everything, one]}, {"passed": False, "kills": [one]}]
    lines = table({"kills": runs}).splitlines()
    assert lines[2].endswith("| 3 of 4 kill points, 1 of 2 runs |")
    assert lines[3].endswith("| not run |")
    assert "| everything | 2 | ingest 4, ./run 2, snakemake 2 |" in lines
    assert "| one process | 2 | ingest 2 |" in lines
