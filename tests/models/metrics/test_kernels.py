"""The kernels agree with their reference twins, which are definitions written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.models.metrics import binary, kernels, multinomial, reference, regression

scores = st.one_of(st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0]), st.floats(0.0, 1.0))
weights = st.sampled_from([0.5, 1.0, 2.0, 3.25])
binary_rows = st.lists(st.tuples(st.integers(0, 1), scores, weights), min_size=2, max_size=40).filter(
    lambda rows: len({row[0] for row in rows}) == 2
)


@given(binary_rows, st.booleans())
def test_ranking_metrics_are_their_definitions(rows, weighted):
    actual, score, weight = (list(column) for column in zip(*rows, strict=True))
    weight = weight if weighted else [1.0] * len(actual)
    found = binary(actual, score, weight if weighted else None)
    assert found.auc == pytest.approx(reference.pairwise_auc(actual, score, weight), abs=1e-12)
    assert found.pr_auc == pytest.approx(reference.average_precision(actual, score, weight), abs=1e-12)
    thresholds, tps, fps = reference.cumulative_counts(actual, score, weight)
    np.testing.assert_array_equal(found._thresholds, thresholds)
    np.testing.assert_allclose(found._tps, tps, rtol=1e-15)
    np.testing.assert_allclose(found._fps, fps, rtol=1e-15)


@given(binary_rows)
def test_losses_are_their_definitions(rows):
    actual, score, weight = (list(column) for column in zip(*rows, strict=True))
    found = binary(actual, score, weight)
    log_loss, squared = reference.binary_losses(actual, score, weight)
    assert found.logloss == pytest.approx(log_loss / sum(weight), rel=1e-12)
    assert found.mse == pytest.approx(squared / sum(weight), rel=1e-12)


@given(
    st.integers(2, 5).flatmap(
        lambda k: st.lists(st.tuples(st.integers(0, k - 1), st.tuples(*[scores] * k), weights), min_size=1, max_size=30)
    )
)
def test_multinomial_pass_is_its_definition(rows):
    actual, probabilities, weight = (list(column) for column in zip(*rows, strict=True))
    n_classes = len(probabilities[0])
    found = multinomial(actual, probabilities, [str(c) for c in range(n_classes)], weight)
    confusion, ranks, log_loss, squared = reference.multinomial_pass(actual, probabilities, weight)
    np.testing.assert_array_equal(found.confusion().counts, confusion)
    np.testing.assert_allclose(found.hit_ratios, np.cumsum(ranks) / sum(weight), rtol=1e-14)
    assert found.logloss == pytest.approx(log_loss / sum(weight), rel=1e-12)
    assert found.mse == pytest.approx(squared / sum(weight), rel=1e-12)


reals = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(reals, reals, weights), min_size=1, max_size=40))
def test_regression_sums_are_their_definitions(rows):
    actual, predicted, weight = (list(column) for column in zip(*rows, strict=True))
    found = regression(actual, predicted, weight)
    squared, absolute, about_mean = reference.regression_sums(actual, predicted, weight)
    assert found.mse == pytest.approx(squared / sum(weight), rel=1e-12)
    assert found.mae == pytest.approx(absolute / sum(weight), rel=1e-12)
    if about_mean > 1e-3 and len(rows) > 1:
        assert found.r2 == pytest.approx(1 - squared / about_mean, rel=1e-9)


def test_sums_over_many_tiles_do_not_drift():
    n = 50 * kernels.TILE_ROWS + 7
    actual = np.full(n, 0.1)
    found = regression(actual, np.zeros(n))
    assert found.mae == pytest.approx(0.1, rel=1e-15)
    assert found.mse == pytest.approx(0.1 * 0.1, rel=1e-15)


def test_auc_of_counts_is_the_correctly_rounded_ratio():
    rng = np.random.default_rng(3)
    actual = rng.integers(0, 2, 3_000)
    score = rng.integers(0, 50, 3_000) / 50
    positives, negatives = score[actual == 1], score[actual == 0]
    twice_won = int(2 * (positives[:, None] > negatives).sum() + (positives[:, None] == negatives).sum())
    assert binary(actual, score).auc == twice_won / (2 * len(positives) * len(negatives))


def test_weights_of_two_are_rows_given_twice():
    rng = np.random.default_rng(5)
    actual = rng.integers(0, 2, 500)
    score = rng.integers(0, 20, 500) / 20
    twice = rng.integers(0, 2, 500).astype(bool)
    doubled = binary(np.concatenate([actual, actual[twice]]), np.concatenate([score, score[twice]]))
    weighted = binary(actual, score, 1.0 + twice)
    for name in ("auc", "pr_auc", "logloss", "rmse", "max_f1", "max_f1_threshold", "ks"):
        assert getattr(weighted, name) == pytest.approx(getattr(doubled, name), rel=1e-12), name
    assert math.isclose(weighted.gini, 2 * weighted.auc - 1)
