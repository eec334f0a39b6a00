"""Rules give every answer that the facts allow, and none that they do not: compared with trying all of them."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungline.errors import LunglineError
from lungline.nodules.rule_evaluator import Interval, Row, answers_of, deciding_facts, outcomes

DOMAINS = {"type": ("solid", "ground-glass"), "new": (True, False)}
ROWS = (
    Row({"type": "ground-glass", "size": {"below": 30}}, "2", "small ground glass"),
    Row({"type": "ground-glass"}, "3", "large ground glass"),
    Row({"new": True, "size": {"from": 4, "to": 6}}, "3", "new"),
    Row({"size": {"above": 8}}, "4", "large"),
    Row({}, "2", "else"),
)


def answers(**facts) -> set[str]:
    return set(answers_of(outcomes(ROWS, facts, DOMAINS)))


def test_what_is_known_gives_one_answer() -> None:
    assert answers(type="solid", new=False, size=8) == {"2"}
    assert answers(type="solid", new=False, size=8.1) == {"4"}
    assert answers(type="solid", new=True, size=4) == answers(type="solid", new=True, size=6) == {"3"}


def test_a_fact_that_is_not_asked_for_need_not_be_known() -> None:
    found = outcomes(ROWS, {"type": "ground-glass", "size": 10}, DOMAINS)
    assert (answers_of(found), deciding_facts(found)) == (["2"], [])


def test_an_unknown_fact_is_tried_and_named() -> None:
    found = outcomes(ROWS, {"type": "solid", "size": 5}, DOMAINS)
    assert sorted(answers_of(found)) == ["2", "3"]
    assert deciding_facts(found) == ["new"]
    found = outcomes(ROWS, {"type": ("solid",), "new": False}, DOMAINS)
    assert (sorted(answers_of(found)), deciding_facts(found)) == (["2", "4"], ["size"])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([None, "solid", "ground-glass", ("solid", "ground-glass")]),
    st.sampled_from([None, True, False]),
    st.integers(0, 400),
    st.integers(0, 100),
)
def test_the_answers_are_those_of_all_states(kind, new, low, width) -> None:
    """Of sizes in tenths, whose borders are tenths too, trying each of them is trying all."""
    size = Interval(low / 10, (low + width) / 10)
    kinds = DOMAINS["type"] if kind is None else kind if isinstance(kind, tuple) else (kind,)
    states = itertools.product(kinds, DOMAINS["new"] if new is None else (new,), range(low, low + width + 1))
    tried = {answer for a, b, tenth in states for answer in answers(type=a, new=b, size=tenth / 10)}
    assert answers(type=kind, new=new, size=size) == tried


def test_a_border_belongs_to_one_side() -> None:
    assert Interval(1, 3).cut(2, keep_left=True) == (Interval(1, 2), Interval(2, 3, low_open=True))
    assert Interval(1, 3).cut(2, keep_left=False) == (Interval(1, 2, high_open=True), Interval(2, 3))
    assert Interval(1, 3).cut(3, keep_left=True) == (Interval(1, 3), None)
    assert Interval(1, 3).cut(1, keep_left=False) == (None, Interval(1, 3))
    assert Interval(2, 2).cut(2, keep_left=False) == (None, Interval(2, 2))


def test_rules_that_leave_a_state_open_are_refused() -> None:
    with pytest.raises(LunglineError, match="no row of the table fits"):
        outcomes(ROWS[:1], {"type": "solid", "size": 5}, DOMAINS)


@pytest.mark.parametrize(("low", "high"), [(2, 1), (math.nan, 1), (1, math.nan)])
def test_limits_that_are_none_are_refused(low, high) -> None:
    with pytest.raises(LunglineError, match="ascending order"):
        Interval(low, high)
