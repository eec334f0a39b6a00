"""The later scan of which the motion is known, and how pairs of marks are counted."""

import numpy as np
import pytest

from experiments.pairing import APEX_MM, Move, judge, table


def test_the_base_of_the_lungs_moves_by_what_was_asked_and_what_is_far_from_them_not() -> None:
    lungs = np.zeros((120, 60, 100), bool)
    lungs[10:110, 10:50, 10:90] = True
    drawn = Move.drawn(lungs, 20.0, np.random.default_rng(0))
    still = Move(np.eye(3), np.zeros(3), drawn.middle, 20.0, np.ones(lungs.shape, np.float32), drawn.ends)
    points = np.array([[10.0, 30, 50], [109, 30, 50]]).T
    assert (points - still.earlier(points))[0] == pytest.approx([20, APEX_MM])
    assert drawn.free[60, 30, 50] > 0.99
    assert drawn.free[0, 0, 0] < 0.2
    assert np.linalg.norm(drawn.turn - np.eye(3)) > 0.01


def test_pairs_are_counted_as_right_wrong_and_missing() -> None:
    moved = np.array([[0.0, 0, 0], [40, 0, 0], [80, 0, 0], [120, 0, 0]])
    young = np.array([[1.0, 0, 0], [41, 0, 0], [119, 0, 0]])
    counts = judge(moved, [0, 1, 2, -1], young, [0, 2, -1])
    assert counts == {"both": 2, "right": 1, "wrong": 0, "not": 1, "alone": 2, "alone_paired": 2}
    assert judge(moved[1:3], [1, 2], young[1:2], [2])["not"] == 1
    crossed = judge(moved[:2], [1, 0], young[:2], [0, 1])
    assert (crossed["right"], crossed["wrong"]) == (0, 2)
    line = {"kind": "rigid", "base_mm": 10.0, "cpu_s": 3.0, "off_mm": [1.0, 2.0], "lower": [True, False], **counts}
    assert table([line])["rows"]["rigid_10"]["right"] == "1 of 2: 50 % (9 to 91)"
