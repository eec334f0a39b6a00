"""What the fault plan calls a failure."""

from pathlib import Path

from benchmarks.faults.__main__ import table
from benchmarks.faults.place import SETTINGS, Place, differences

from lungline.io.seals import write_sealed_text


def test_a_missing_a_changed_and_an_added_file_are_differences() -> None:
    expected = {"a": "1", "b": "2", "c": "3"}
    assert list(differences(expected, expected)) == []
    assert list(differences(expected, {"a": "1", "b": "x", "d": "4"})) == ["differs: b", "missing: c", "too many: d"]


def test_a_torn_file_is_found(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = tmp_path / SETTINGS["outdir"] / "predict_cancer" / "m2.csv"
    write_sealed_text(file, "scan,probability\n")
    assert place.torn() == []
    file.write_text("scan,prob", encoding="utf-8")
    assert len(place.torn()) == 1


def test_forgetting_a_step_removes_all_that_follows_and_nothing_before(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for step in ("resample", "detect", "train_system"):
        (place.results / step).mkdir(parents=True)
    (place.results / "predictions.csv").touch()
    place.forget_from("detect")
    assert [path.name for path in place.results.iterdir()] == ["resample"]


def test_the_table_says_what_was_not_run() -> None:
    lines = table({"kills": [{"passed": True}, {"passed": False}]}).splitlines()
    assert lines[2].endswith("| 1 of 2 |")
    assert lines[3].endswith("| not run |")
