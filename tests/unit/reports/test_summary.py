from pathlib import Path

from lungline.reports.summary import summarise
from lungline.storage.results import write_result


def figure(value: float | None, low: float | None = None, high: float | None = None, reason: str = "") -> dict:
    return {"value": value, "low": low, "high": high, "method": "", "reason": reason}


def write_predictions(folder: Path) -> None:
    (folder / "predictions.csv").write_text("scan,status\na,ok\nb,ok\nc,quarantined\n", encoding="utf-8")


def test_nothing_is_said_before_there_are_predictions(tmp_path: Path) -> None:
    assert summarise(tmp_path) == ""


def test_the_summary_counts_the_answers_and_gives_the_figures_beside_their_rulers(tmp_path: Path) -> None:
    write_predictions(tmp_path)
    detection = {"split": "test", "candidates": {"found": 9, "nodules": 10, "recall": figure(0.9, 0.6, 0.98)}}
    write_result(tmp_path / "evaluate" / "detection-demo.json", detection)
    test = {
        "scored": 40,
        "metrics": {"auc": figure(0.91, 0.8, 1.0), "log_loss": figure(0.4, 0.3, 0.5)},
        "baselines": {"constant_prior": {"log_loss": figure(0.693)}},
        "diameter_alone": {"auc": figure(None, reason="one class only")},
    }
    write_result(tmp_path / "evaluate" / "cancer-m2.json", {"splits": {"test": test}})
    told = summarise(tmp_path)
    assert "2 ok, 1 quarantined" in told
    assert "demo, test scans: 9 of 10, recall 0.900 (0.600 to 0.980)" in told
    assert "ROC AUC 0.910 (0.800 to 1.000), log loss 0.400 (0.300 to 0.500), constant prior 0.693;" in told
    assert "diameter alone not known (one class only)" in told
    assert "browser" not in told
    assert "Not a medical device." in told
    (tmp_path / "pages" / "demo").mkdir(parents=True)
    (tmp_path / "pages" / "demo" / "index.html").touch()
    assert f"in a browser: {tmp_path / 'pages' / 'demo' / 'index.html'}" in summarise(tmp_path)


def test_a_result_without_test_patients_is_named(tmp_path: Path) -> None:
    write_predictions(tmp_path)
    write_result(tmp_path / "evaluate" / "cancer-m2.json", {"splits": {"train": {}}})
    assert "no labelled test patients" in summarise(tmp_path)


def test_labelled_scans_without_any_training_patient_have_no_prior(tmp_path: Path) -> None:
    write_predictions(tmp_path)
    test = {
        "scored": 2,
        "metrics": {"auc": figure(0.5), "log_loss": figure(0.7)},
        "baselines": {"constant_prior": {"probability": None, "reason": "no labelled training patient"}},
    }
    write_result(tmp_path / "evaluate" / "cancer-m2.json", {"splits": {"test": test}})
    assert "constant prior not known (no labelled training patient)" in summarise(tmp_path)
