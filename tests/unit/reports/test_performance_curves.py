"""Curves show the numbers they are given."""

import numpy as np

from lungline.evaluation.free_response import Finding, ScanMarks
from lungline.evaluation.marks import describe_froc
from lungline.reports.performance_curves import plot_froc, plot_learning_curves, plot_roc_and_reliability


def test_roc_and_reliability_are_drawn_with_their_figures():
    figure = plot_roc_and_reliability(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]), "m2, test")
    roc, reliability = figure.axes
    assert "ROC AUC 0.750" in roc.get_title()
    assert roc.lines[0].get_xydata()[-1].tolist() == [1, 1]
    assert reliability.lines[0].get_xydata().tolist() == [[0.1, 0], [0.4, 1], [0.6, 0], [0.9, 1]]
    assert "4 patients, 2 with cancer" in figure.get_suptitle()


def test_one_class_gives_words_instead_of_a_curve():
    figure = plot_roc_and_reliability(np.array([1, 1]), np.array([0.2, 0.3]), "m2")
    assert "one class" in figure.axes[0].texts[0].get_text()


def test_froc_is_drawn_as_it_was_written():
    scans = {str(i): ScanMarks([(0, 0, 0), (50, 0, 0)], [i / 10, 0.5], [Finding((0, 0, 0), 5)]) for i in range(8)}
    result = describe_froc(scans)
    figure = plot_froc(result, "FROC")
    line = figure.axes[0].lines[0]
    assert line.get_ydata().tolist() == result["curve"]["sensitivity"]
    assert "8 nodules in 8 scans" in figure.get_suptitle()
    assert f"CPM {result['cpm']['value']:.3f} (" in figure.axes[0].get_title()


def test_froc_without_nodules_gives_the_reason():
    figure = plot_froc(describe_froc({"a": ScanMarks([], [], [])}), "FROC")
    assert "no annotated nodule" in figure.axes[0].texts[0].get_text()


def test_froc_of_one_scan_has_no_band():
    figure = plot_froc(describe_froc({"a": ScanMarks([(0, 0, 0)], [1], [Finding((0, 0, 0), 5)])}), "FROC")
    assert not figure.axes[0].collections


def test_learning_curves_mark_the_kept_weights():
    curve = {"step": np.array([1.0, 2, 3]), "train_loss": np.array([3.0, 2, 1]), "valid_loss": np.array([3.0, 1, 2])}
    figure = plot_learning_curves(dict.fromkeys("abcd", curve))
    kept = figure.axes[3].lines[2]
    assert kept.get_xydata().tolist() == [[2, 1]]
    assert figure.axes[0].get_title() == "a"
