"""Text as features: few distinct values are levels, many are left out aloud."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.models.text import few_levels_max


def table(n_rows=400):
    draw = np.random.default_rng(1)
    colour = np.array(["blue", "green", "red"])[draw.integers(0, 3, n_rows)]
    return {
        "colour": colour,
        "remark": np.array([f"remark {k}" for k in range(n_rows)]),
        "size": draw.normal(size=n_rows),
        "y": (colour == "green") * 2.0 + 0.1 * draw.normal(size=n_rows),
    }


def test_what_few_means():
    assert [few_levels_max(n) for n in (5, 200, 201, 5_000, 10_000, 10**9)] == [20, 20, 20, 500, 1000, 1000]


def test_text_of_few_values_is_a_category_and_other_text_is_left_out_aloud():
    columns = table()
    frame = hs.Frame(columns)
    with pytest.warns(UserWarning, match=r"'remark' holds text with more than 40 distinct .* astype\('enum'\)"):
        model = hs.GBMRegressor(n_estimators=20).fit(frame, "y")
    assert model.feature_names_in_.tolist() == ["colour", "size"]
    assert "'remark'" in model.notes_[0]
    levels = hs.Frame({**columns, "colour": columns["colour"]}, types={"colour": "enum"})
    same = hs.GBMRegressor(n_estimators=20).fit(levels, "y", x=["colour", "size"])
    np.testing.assert_array_equal(model.predict(frame).to_dict()["predict"], same.predict(levels).to_dict()["predict"])
    assert model.score(frame) > 0.9


def test_other_text_is_learnt_from_when_it_is_named_or_made_levels():
    frame = hs.Frame(table())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = hs.GBMRegressor(n_estimators=5).fit(frame, "y", x=["remark", "size"])
    assert named.feature_names_in_.tolist() == ["remark", "size"]
    assert len(named.predict(frame).to_dict()["predict"]) == 400


@pytest.mark.filterwarnings("ignore:column 'remark'")
def test_text_of_pandas_is_text_whatever_its_dtype():
    columns = table()
    y = columns.pop("y")
    frame = hs.Frame({**columns, "y": y})
    wanted = hs.GBMRegressor(n_estimators=10).fit(frame, "y").predict(frame).to_dict()["predict"]
    plain = frame.to_pandas().drop(columns="y")
    for dtype in ("object", "category", "string"):
        X = plain.assign(colour=plain["colour"].astype(dtype), remark=plain["remark"].astype(object))
        model = hs.GBMRegressor(n_estimators=10).fit(X, y)
        assert model.feature_names_in_.tolist() == ["colour", "size"]
        np.testing.assert_array_equal(model.predict(X), wanted)
        np.testing.assert_array_equal(model.predict(plain), wanted)


def test_text_alone_that_cannot_be_used_is_an_error_with_a_way_out():
    frame = hs.Frame(table())[["remark", "y"]]
    with pytest.raises(hs.UserError, match=r"no feature to learn from.*'remark'.*name it in x"):
        hs.GBMRegressor().fit(frame, "y")
