"""Losses, their gradients and the integers they become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from hydroscope.models import losses, quantise, scoring
from hydroscope.models.boosting import auc_of_ranks

EMPTY = np.zeros(0)


def rows(seed, n=3000, n_classes=3):
    draw = np.random.default_rng(seed)
    scores = 6 * draw.normal(size=(n_classes, n))
    return scores, draw.integers(0, n_classes, n).astype(float), draw.random(n) + 0.1


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_the_book(weighted):
    scores, target, weight = rows(1)
    given_, factor = (weight, weight) if weighted else (EMPTY, np.ones(len(weight)))
    n = len(target)
    assert losses.squared_loss(scores[0], target, given_, 0, n) == pytest.approx(
        (factor * (scores[0] - target) ** 2).sum(), rel=1e-12
    )
    flag = (target > 0) * 1.0
    wanted = factor * np.logaddexp(0, np.where(flag > 0, -scores[0], scores[0]))
    assert losses.logistic_loss(scores[0], flag, given_, 0, n) == pytest.approx(wanted.sum(), rel=1e-12)
    assert losses.logistic_loss(scores[0], flag, given_, 17, 1200) == pytest.approx(wanted[17:1200].sum(), rel=1e-12)
    chosen = scores[target.astype(int), np.arange(n)]
    wanted = factor * (logsumexp(scores, axis=0) - chosen)
    assert losses.softmax_loss(scores, target, given_, 0, n) == pytest.approx(wanted.sum(), rel=1e-12)


@given(st.floats(-800, 800))
def test_the_loss_of_one_row_is_exact_however_far_the_score(score):
    for target in (0.0, 1.0):
        found = losses.logistic_loss(np.array([score]), np.array([target]), EMPTY, 0, 1)
        wanted = np.logaddexp(0, -score if target else score)
        assert found == pytest.approx(wanted, rel=4e-15, abs=1e-300)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
def test_gradients_are_slopes_of_the_loss_rounded_to_steps(loss, weighted):
    scores, target, weight = rows(2, n_classes=3 if loss == "softmax" else 1)
    given_, factor = (weight, weight) if weighted else (EMPTY, np.ones(len(weight)))
    if loss == "softmax":
        out = np.empty_like(scores)
        losses.softmax(scores, 0, len(target), out)
        np.testing.assert_allclose(out, np.exp(scores - logsumexp(scores, axis=0)), rtol=1e-13)
        g, h, scores = out[1] - (target == 1), out[1] * (1 - out[1]), out
    elif loss == "logistic":
        target = (target > 0) * 1.0
        p = 1 / (1 + np.exp(-scores[0]))
        g, h = p - target, p * (1 - p)
    else:
        g, h = scores[0] - target, np.ones(len(target))
    steps = quantise.first_steps(
        2 * float((factor * np.abs(g)).sum()), 2 * float((factor * h).sum()), len(g), loss == "squared" and not weighted
    )
    form = (steps.g_scale, steps.h_scale, steps.shift)
    _, packed, sums = scoring.gradients(
        loss, scores, int(loss == "softmax"), target, given_, form, None, None, None, True
    )
    found_g, found_h = packed >> steps.shift, packed & ((1 << steps.shift) - 1)
    assert np.abs(found_g / steps.g_scale - factor * g).max() <= 0.51 / steps.g_scale
    assert np.abs(found_h / steps.h_scale - factor * h).max() <= 0.51 / steps.h_scale
    assert sums.tolist() == [np.abs(found_g).sum(), found_h.sum()]
    assert quantise.fits(steps, *sums.tolist())


@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12), st.integers(1, 10**8), st.booleans())
def test_steps_are_as_fine_as_the_sums_allow(g_bound, h_bound, n_rows, counts):
    steps = quantise.first_steps(g_bound, h_bound, n_rows, counts)
    g_bits = min(63 - steps.shift, quantise.G_BITS_MAX)
    assert quantise.fits(steps, int(g_bound * steps.g_scale), 0)
    assert (
        steps.g_log2 == quantise.STEP_LOG2_MAX or g_bound * steps.g_scale * 4 * quantise.HEADROOM > 2**g_bits - n_rows
    )
    if counts:
        assert steps.h_scale == 1.0
        assert quantise.fits(steps, 0, n_rows)
    else:
        assert quantise.fits(steps, 0, int(h_bound * steps.h_scale))


def test_sums_that_grew_too_far_are_seen():
    steps = quantise.first_steps(1.0, 1.0, 100, False)
    assert not quantise.fits(steps, int(4 * steps.g_scale), 0)
    after = quantise.next_steps(steps, int(4 * steps.g_scale), int(steps.h_scale), 100)
    assert quantise.fits(after, int(4 * after.g_scale), int(after.h_scale))


def test_the_auc_of_ranks_is_near_the_exact_one():
    scores, target, _ = rows(3, n=20_000, n_classes=2)
    counts = scoring.rank_counts(scores[:1], target, np.zeros(0, np.int64), True)
    assert auc_of_ranks(counts) == pytest.approx(roc_auc_score(target, scores[0]), abs=1e-4)
    assert counts.sum() == 20_000
    doubled = scoring.rank_counts(scores[:1], target, np.full(20_000, 2), False)
    np.testing.assert_array_equal(doubled, 2 * counts)


def test_scores_grow_by_the_values_of_leaves_in_place_or_not():
    scores = np.zeros((2, 5))
    leaf, values = np.array([0, 1, 2, 1, 0], np.uint32), np.array([0.5, -1.0, 2.0])
    copy = scoring.advance(scores, 1, leaf, values, False)
    assert scores.sum() == 0.0
    assert copy.tolist() == [[0.0] * 5, [0.5, -1.0, 2.0, -1.0, 0.5]]
    assert scoring.advance(scores, 1, leaf, values, True) is scores
