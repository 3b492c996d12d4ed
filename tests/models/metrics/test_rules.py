"""Missing values, refusals, tables and how records print."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import INT_MISSING
from hydroscope.models.metrics import binary, multinomial, regression


def test_rows_with_anything_missing_are_left_out_and_counted():
    whole = binary([0, 1, 1, 0], [0.2, 0.7, 0.1, 0.4], [1, 2, 1, 1])
    holed = binary(
        np.array([0, 1, 1, 0, INT_MISSING, 1, 0, 1]),
        [0.2, 0.7, 0.1, 0.4, 0.5, np.nan, 0.9, 0.9],
        [1, 2, 1, 1, 1, 1, np.nan, 0],
    )
    assert (whole.n_missing, holed.n_missing) == (0, 4)
    assert whole.n_rows == holed.n_rows == 4
    assert whole.auc == holed.auc
    assert whole.logloss == holed.logloss


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 1], [0.1, 0.2]), "all 2 actual values are '1'; metrics of two classes need rows of both"),
        (([0, 0], [0.1, 0.2]), "all 2 actual values are '0'"),
        (([0, 2], [0.1, 0.2]), "actual value 2 at row 1"),
        (([0, 1], [0.1, 1.2]), "score 1.2 at row 1: a score is the probability of class 1"),
        (([0, 1], [0.1]), "2 actual values but 1 scores"),
        (([0, 1], [0.1, 0.2], [1, -1]), "weight -1.0 at row 1: weights are finite and not negative"),
        (([0, 1], [0.1, 0.2], [1]), "weights has 1 rows"),
        (([0, 1], [0.1, 0.2], [0, 0]), "none of the 2 rows can be measured"),
        ((["a", "b"], [0.1, 0.2]), "metrics take numbers"),
        (([[0, 1]], [0.1, 0.2]), "shape (1, 2)"),
        (([0, 1], [np.nan, np.nan]), "none of the 2 rows can be measured"),
    ],
)
def test_binary_refusals_name_value_and_rule(arguments, said):
    with pytest.raises(UserError) as caught:
        binary(*arguments)
    assert said in str(caught.value)


def test_other_refusals():
    with pytest.raises(UserError, match="actual code 3 at row 1: with 3 classes, codes are 0 to 2"):
        multinomial([0, 3], np.full((2, 3), 1 / 3), ["a", "b", "c"])
    with pytest.raises(UserError, match=r"probability -0.5 at row 0, class 1"):
        multinomial([0], [[0.5, -0.5]], ["a", "b"])
    with pytest.raises(UserError, match="need"):
        multinomial([0, 1], [[1.0, 0.0]], ["a", "b"])
    with pytest.raises(UserError, match="3 actual values but 1 predictions"):
        regression([1, 2, 3], [1])
    with pytest.raises(UserError, match="predicted value inf at row 1"):
        regression([1, 2], [1, np.inf])
    with pytest.raises(UserError, match="groups=0"):
        binary([0, 1], [0.1, 0.2]).gains(0)
    with pytest.raises(UserError, match="threshold nan"):
        binary([0, 1], [0.1, 0.2]).confusion(float("nan"))


def test_gains_cut_rows_into_equal_groups_and_keep_ties_together():
    rng = np.random.default_rng(1)
    score = rng.permutation(1_000) / 1_000
    actual = rng.random(1_000) < score
    table = binary(actual, score).gains(10)
    assert len(table) == 10
    order = np.argsort(-score)
    for group in range(10):
        rows = order[group * 100 : (group + 1) * 100]
        assert table["response_rate"][group] == pytest.approx(actual[rows].mean())
        assert table["score"][group] == pytest.approx(score[rows].mean())
        assert table["lift"][group] == pytest.approx(actual[rows].mean() / actual.mean())
        assert table["lower_threshold"][group] == score[rows].min()
    assert table["cumulative_capture"][-1] == 1.0
    assert table["cumulative_lift"][-1] == pytest.approx(1.0)
    tied = binary(actual, np.where(score > 0.5, 1.0, 0.25)).gains(10)
    assert list(tied["lower_threshold"]) == [1.0, 0.25]


def test_thinned_curves_keep_ends_and_stay_close():
    rng = np.random.default_rng(2)
    score = rng.random(20_000)
    found = binary(rng.random(20_000) < score, score)
    full, thin = found.roc(), found.roc(200)
    assert len(thin) <= 202 < len(full)
    assert (thin["fpr"][0], thin["tpr"][0], thin["fpr"][-1], thin["tpr"][-1]) == (0, 0, 1, 1)
    drawn = np.interp(full["fpr"], thin["fpr"], thin["tpr"])
    assert np.abs(drawn - full["tpr"]).max() < 0.02
    assert found.max_f1_threshold in found.thresholds(50)["threshold"]


def test_records_are_frozen_and_print():
    found = binary([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], classes=["on <time>", "late"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.auc = 1.0
    text = repr(found)
    assert "auc" in text
    assert "0.75" in text
    assert "threshold 0.35" in text
    assert "on &lt;time&gt;" in found._repr_html_()
    many = multinomial([0, 2], [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]], ["a", "b", "c"])
    assert "3 classes" in repr(many)
    assert "<table>" in many._repr_html_()
    assert many.hit_ratio_table(2).rows() == [["1", "0.5"], ["2", "1"]]
    numbers = regression([1, 2, 3], [1, 2, 5])
    assert "rmse" in repr(numbers)
    assert "rmse" in numbers._repr_html_()
    assert set(numbers.to_dict()) >= {"rmse", "mae", "r2"}


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(9)
    actual, score = rng.integers(0, 2, 5_000), rng.integers(0, 300, 5_000) / 300
    shuffle = rng.permutation(5_000)
    one, two = binary(actual, score), binary(actual[shuffle], score[shuffle])
    assert one.auc == two.auc
    assert one.pr_auc == two.pr_auc
    np.testing.assert_array_equal(one._tps, two._tps)
