"""The metrics agree with scikit-learn's on the same rows, ties and weights included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hydroscope.models.metrics import binary, multinomial, regression


def binary_sample(seed: int, weighted: bool):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 400))
    actual = rng.integers(0, 2, n)
    actual[:2] = [0, 1]
    levels = int(rng.choice([2, 5, 1_000]))  # few levels: many ties
    score = np.clip(rng.integers(0, levels + 1, n) / levels + rng.choice([0.0, 0.05]) * actual, 0, 1)
    weight = rng.choice([0.0, 0.3, 1.0, 7.5], n) if weighted else np.ones(n)
    weight[:2] = 1.0
    return actual, score, weight


@given(st.integers(0, 10_000), st.booleans())
def test_binary_metrics(seed, weighted):
    actual, score, weight = binary_sample(seed, weighted)
    found = binary(actual, score, weight if weighted else None)
    assert found.auc == pytest.approx(oracle.roc_auc_score(actual, score, sample_weight=weight), abs=1e-10)
    assert found.pr_auc == pytest.approx(oracle.average_precision_score(actual, score, sample_weight=weight), abs=1e-10)
    assert found.logloss == pytest.approx(oracle.log_loss(actual, score, sample_weight=weight), rel=1e-10)
    assert found.mse == pytest.approx(oracle.brier_score_loss(actual, score, sample_weight=weight), rel=1e-10)


@given(st.integers(0, 10_000), st.booleans(), st.floats(-0.1, 1.1))
def test_confusion_at_any_threshold(seed, weighted, threshold):
    actual, score, weight = binary_sample(seed, weighted)
    found = binary(actual, score, weight if weighted else None)
    for at in (threshold, float(score[0]), found.max_f1_threshold):
        confusion = found.confusion(at)
        expected = oracle.confusion_matrix(actual, score >= at, sample_weight=weight)
        np.testing.assert_allclose(confusion.counts, expected, rtol=1e-12, atol=1e-12)
        recalls = np.diagonal(expected) / expected.sum(axis=1)
        assert confusion.mean_per_class_error == pytest.approx(1 - recalls.mean(), abs=1e-12)
        assert confusion.accuracy == pytest.approx(oracle.accuracy_score(actual, score >= at, sample_weight=weight))


@given(st.integers(0, 10_000), st.booleans())
def test_roc_and_max_f1(seed, weighted):
    actual, score, weight = binary_sample(seed, weighted)
    found = binary(actual, score, weight if weighted else None)
    curve = found.roc()
    kept = weight > 0  # scikit-learn keeps thresholds of rows without weight
    fpr, tpr, thresholds = oracle.roc_curve(
        actual[kept], score[kept], sample_weight=weight[kept], drop_intermediate=False
    )
    np.testing.assert_array_equal(curve["threshold"], thresholds)
    np.testing.assert_allclose(curve["fpr"], fpr, atol=1e-12)
    np.testing.assert_allclose(curve["tpr"], tpr, atol=1e-12)
    precision, recall, _ = oracle.precision_recall_curve(actual[kept], score[kept], sample_weight=weight[kept])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    assert found.max_f1 == pytest.approx(f1.max(), abs=1e-12)
    best = oracle.f1_score(actual, score >= found.max_f1_threshold, sample_weight=weight)
    assert best == pytest.approx(f1.max(), abs=1e-12)


@given(st.integers(0, 10_000))
def test_threshold_table(seed):
    actual, score, _ = binary_sample(seed, weighted=False)
    table = binary(actual, score).thresholds(None)
    rows = np.random.default_rng(seed)
    precision, recall, thresholds = oracle.precision_recall_curve(actual, score)
    np.testing.assert_array_equal(table["threshold"], thresholds[::-1])
    np.testing.assert_allclose(table["precision"], precision[-2::-1], atol=1e-12)
    np.testing.assert_allclose(table["recall"], recall[-2::-1], atol=1e-12)
    row = int(rows.integers(len(table)))
    said = score >= table["threshold"][row]
    assert table["f1"][row] == pytest.approx(oracle.f1_score(actual, said))
    assert table["accuracy"][row] == pytest.approx(oracle.accuracy_score(actual, said))


@given(st.integers(0, 10_000), st.booleans())
def test_multinomial_metrics(seed, weighted):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(5, 200)), int(rng.integers(3, 7))
    actual = rng.integers(0, k, n)
    probabilities = rng.dirichlet(np.ones(k), n)
    weight = rng.choice([0.3, 1.0, 7.5], n) if weighted else np.ones(n)
    found = multinomial(actual, probabilities, [f"c{i}" for i in range(k)], weight if weighted else None)
    expected = oracle.log_loss(actual, probabilities, sample_weight=weight, labels=range(k))
    assert found.logloss == pytest.approx(expected, rel=1e-9)
    said = probabilities.argmax(axis=1)
    np.testing.assert_allclose(
        found.confusion().counts, oracle.confusion_matrix(actual, said, sample_weight=weight, labels=range(k))
    )
    assert found.accuracy == pytest.approx(oracle.accuracy_score(actual, said, sample_weight=weight))
    for top in range(1, k):
        assert found.hit_ratios[top - 1] == pytest.approx(
            oracle.top_k_accuracy_score(actual, probabilities, k=top, sample_weight=weight, labels=range(k))
        )


@given(st.integers(0, 10_000), st.booleans())
def test_regression_metrics(seed, weighted):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 3_000))
    actual = rng.normal(5, 2, n).round(int(rng.integers(0, 3)))
    predicted = actual + rng.normal(0, 1, n)
    weight = rng.choice([0.0, 0.3, 7.5], n) if weighted else np.ones(n)
    weight[:2] = 1.0
    found = regression(actual, predicted, weight if weighted else None)
    assert found.rmse == pytest.approx(oracle.root_mean_squared_error(actual, predicted, sample_weight=weight))
    assert found.mae == pytest.approx(oracle.mean_absolute_error(actual, predicted, sample_weight=weight))
    kept = weight > 0
    assert found.r2 == pytest.approx(
        oracle.r2_score(actual[kept], predicted[kept], sample_weight=weight[kept]), rel=1e-9, abs=1e-9
    )


def test_constant_target_has_scikit_learns_r2():
    assert regression([2.0, 2.0], [2.0, 2.0]).r2 == oracle.r2_score([2, 2], [2, 2]) == 1.0
    assert regression([2.0, 2.0], [2.0, 3.0]).r2 == oracle.r2_score([2, 2], [2, 3]) == 0.0
