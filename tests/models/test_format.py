"""The page docs/model-format.md is enough to read a model and to predict: here is a reader made from it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

import hydroscope as hs

MAGIC = bytes.fromhex("8948534D0D0A1A0A")


def read(path):
    """Return header and tensors of a model file."""
    data = path.read_bytes()
    assert data[:8] == MAGIC
    length = int.from_bytes(data[8:16], "little")
    text = data[48 : 48 + length]
    assert hashlib.sha256(text).digest() == data[16:48]
    header = json.loads(text)
    tensors, at = {}, 48 + length
    for line in header["tensors"]:
        dtype = np.dtype(f"<{line['dtype']}")
        size = dtype.itemsize * int(np.prod(line["shape"]))
        raw = data[at + line["offset"] : at + line["offset"] + size]
        assert hashlib.sha256(raw).hexdigest() == line["sha256"]
        tensors[line["name"]] = np.frombuffer(raw, dtype).reshape(line["shape"])
    return header, tensors


def bin_of(header, tensors, j, value):
    levels = header["features"][j]["levels"]
    if value is None or value != value:
        return 255
    if levels is None:
        return int((tensors[f"edges.{j}"] < value).sum())
    return int(tensors[f"bins.{j}"][levels.index(value)]) if value in levels else 255


def predict(header, tensors, row):
    """Return the mean, or the probabilities of the classes, of one row: a dict by feature."""
    bins = [bin_of(header, tensors, j, row[each["name"]]) for j, each in enumerate(header["features"])]
    scores = tensors["base"].copy()
    forest = {name.removeprefix("forest."): values for name, values in tensors.items() if name.startswith("forest.")}
    for tree, start in enumerate(forest["starts"][:-1]):
        node = int(start)
        while forest["feature"][node] >= 0:
            b = bins[forest["feature"][node]]
            goes_left = int(forest["mask"][node, b // 64]) >> (b % 64) & 1
            node = int(start + forest["left"][node] + 1 - goes_left)
        scores[forest["output"][tree]] += forest["value"][node]
    if header["loss"] == "squared":
        return scores
    if header["loss"] == "logistic":
        chance = 1 / (1 + np.exp(-scores[0]))
        return np.array([1 - chance, chance])
    return np.exp(scores) / np.exp(scores).sum()


@pytest.mark.parametrize("kind", ["squared", "logistic", "softmax"])
def test_a_reader_made_from_the_page_predicts_the_same(kind, tmp_path):
    draw = np.random.default_rng(1)
    n = 500
    x = draw.normal(size=n)
    x[::6] = np.nan
    place = draw.choice(["a", "b", "c", "d"], n)
    y = np.nan_to_num(x) + (place == "b") + 0.1 * draw.normal(size=n)
    target = {"squared": y, "logistic": y > 0.5, "softmax": np.digitize(y, [0.0, 1.0])}[kind]
    frame = hs.Frame({"x": x, "place": place, "y": target}, types={"place": "enum"})
    estimator = hs.GBMRegressor if kind == "squared" else hs.GBMClassifier
    model = estimator(n_estimators=6, min_rows=5).fit(frame, "y")
    model.save(tmp_path / "model.hs")
    header, tensors = read(tmp_path / "model.hs")
    assert header["loss"] == kind
    new = hs.Frame({"x": [0.3, np.nan, -9.0, 2.0], "place": ["a", "b", None, "never seen"]}, types={"place": "enum"})
    found = (model.predict(new) if kind == "squared" else model.predict_proba(new)).to_dict()
    for i in range(4):
        row = {"x": new.to_dict()["x"][i], "place": new.to_dict()["place"][i]}
        wanted = predict(header, tensors, {**row, "x": np.nan if row["x"] is None else row["x"]})
        np.testing.assert_allclose([column[i] for column in found.values()], wanted, rtol=1e-12)
