"""A logistic regression does not depend on the units of its columns."""

from __future__ import annotations

import numpy as np

from lungline.training.logistic import regress

RNG = np.random.default_rng(1)
COLUMNS = RNG.normal(size=(200, 3)) * [1.0, 5.0, 0.2] + [0.0, 40.0, -3.0]
LABELS = (RNG.random(200) < 1 / (1 + np.exp(-COLUMNS @ [1.0, -0.3, 4.0] - 24))).astype(np.int64)


def test_it_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    theirs = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(COLUMNS, LABELS)
    mine = regress(LABELS, COLUMNS)
    np.testing.assert_allclose(mine.weights, theirs.coef_[0], rtol=0.01)
    np.testing.assert_allclose(mine.logits(COLUMNS), theirs.decision_function(COLUMNS), atol=0.05)


def test_units_change_the_weights_and_not_the_logits() -> None:
    units, zeros = np.array([0.001, 1000.0, 10.0]), np.array([1.0, 273.15, -7.0])
    told = np.array([1.0, 0.0, 2.0])
    mine = regress(LABELS, COLUMNS, about=told)
    other = regress(LABELS, COLUMNS * units + zeros, about=told / units)
    np.testing.assert_allclose(other.weights * units, mine.weights, rtol=1e-6)
    np.testing.assert_allclose(other.logits(COLUMNS * units + zeros), mine.logits(COLUMNS), atol=1e-6)


def test_a_column_that_never_changes_tells_nothing() -> None:
    flat = np.column_stack([COLUMNS, np.full(200, 7.0)])
    mine = regress(LABELS, flat)
    assert mine.weights[-1] == 0.0
    np.testing.assert_allclose(mine.logits(flat), regress(LABELS, COLUMNS).logits(COLUMNS), atol=1e-9)


def test_the_prior_holds_the_weights_where_labels_are_told_apart_without_a_mistake() -> None:
    column = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    labels = np.array([0, 1, 0, 1])
    assert regress(labels, column, about=np.array([30.0])).weights[0] > 29.9
    assert 0 < regress(labels, column).weights[0] < 30
