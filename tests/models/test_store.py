"""Model files: what comes back is the same to the last bit, and damage is never believed."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.models import store
from tests.models.test_gbm import FOREST


def learnt(kind):
    """Return a frame and a model of it: levels, missing values, and a target of each kind."""
    draw = np.random.default_rng(1)
    n = 300
    x = draw.normal(size=n)
    x[::7] = np.nan
    place = np.array(["café", "b", "c"])[draw.integers(0, 3, n)]
    targets = {
        "number": np.nan_to_num(x) + (place == "b"),
        "text": np.where(place == "b", "late", "on time"),
        "bool": place == "b",
        "three": draw.integers(0, 3, n) * 10,
    }
    frame = hs.Frame({"x": x, "place": place, "y": targets[kind]}, types={"place": "enum"})
    estimator = hs.GBMRegressor if kind == "number" else hs.GBMClassifier
    more = {"class_weight": {"late": 2.0}} if kind == "text" else {}
    return frame, estimator(n_estimators=4, min_rows=5, random_state=2**63 + 5, **more).fit(frame, "y")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, two_threads):
    from hydroscope.node import ports

    before = ports.install(two_threads)
    _, model = learnt("text")
    ports.restore(before)
    path = tmp_path_factory.mktemp("store") / "model.hs"
    model.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["number", "text", "bool", "three"])
def test_a_model_comes_back_to_the_last_bit(kind, tmp_path):
    frame, model = learnt(kind)
    model.save(tmp_path / "model.hs")
    back = hs.load_model(tmp_path / "model.hs")
    assert type(back) is type(model)
    assert back.get_params() == model.get_params()
    assert (back.target_, back.seed_, back.notes_) == (model.target_, model.seed_, model.notes_)
    assert back.feature_names_in_.tolist() == ["x", "place"]
    assert back.predict(frame).to_dict() == model.predict(frame).to_dict()
    for name in FOREST:
        np.testing.assert_array_equal(getattr(back._model.forest, name), getattr(model._model.forest, name))
    assert back.scoring_history_.to_dict() == model.scoring_history_.to_dict()
    if kind != "number":
        assert back.classes_.dtype == model.classes_.dtype
        assert back.classes_.tolist() == model.classes_.tolist()
        assert back.predict_proba(frame).to_dict() == model.predict_proba(frame).to_dict()
    back.save(tmp_path / "again.hs")
    assert (tmp_path / "again.hs").read_bytes() == (tmp_path / "model.hs").read_bytes()


def test_a_model_of_arrays_comes_back(tmp_path):
    X = np.arange(60.0).reshape(-1, 2)
    model = hs.GBMRegressor(n_estimators=3, min_rows=2).fit(X, X[:, 0])
    model.save(tmp_path / "model.hs")
    np.testing.assert_array_equal(hs.load_model(tmp_path / "model.hs").predict(X), model.predict(X))


def test_a_file_is_not_replaced_unasked_and_the_path_is_said(tmp_path):
    _, model = learnt("number")
    model.save(tmp_path / "model.hs")
    with pytest.raises(hs.UserError, match="exists already"):
        model.save(tmp_path / "model.hs")
    model.save(tmp_path / "model.hs", overwrite=True)
    with pytest.raises(hs.UserError, match=r"nowhere/model\.hs' was not written: there is no folder"):
        model.save(tmp_path / "nowhere" / "model.hs")
    assert [each.name for each in tmp_path.iterdir()] == ["model.hs"]


def test_a_changed_byte_is_always_found(saved, tmp_path):
    path = tmp_path / "model.hs"
    for at in [*range(48), *range(48, len(saved), 97)]:
        for change in (1, 0x80):
            data = bytearray(saved)
            data[at] ^= change
            path.write_bytes(data)
            with pytest.raises(hs.CorruptError):
                hs.load_model(path)


def test_a_cut_or_longer_file_is_always_found(saved, tmp_path):
    path = tmp_path / "model.hs"
    for size in [*range(60), *np.random.default_rng(2).integers(60, len(saved), 60).tolist(), len(saved) - 1]:
        path.write_bytes(saved[:size])
        with pytest.raises(hs.CorruptError):
            hs.load_model(path)
    path.write_bytes(saved + b"\0")
    with pytest.raises(hs.CorruptError, match="longer than it says"):
        hs.load_model(path)


def forged(saved, change, tensor=None):
    """Return the file with another header, and one tensor replaced, checksums as they should be."""
    length = int.from_bytes(saved[8:16], "little")
    header, body = json.loads(saved[48 : 48 + length]), saved[48 + length :]
    if tensor is not None:
        name, edit = tensor
        line = next(each for each in header["tensors"] if each["name"] == name)
        size = int(np.prod(line["shape"])) * np.dtype(store.DTYPES[line["dtype"]]).itemsize
        values = np.frombuffer(body[line["offset"] : line["offset"] + size], store.DTYPES[line["dtype"]]).copy()
        edit(values)
        line["sha256"] = hashlib.sha256(values.tobytes()).hexdigest()
        body = body[: line["offset"]] + values.tobytes() + body[line["offset"] + size :]
    change(header)
    text = json.dumps(header).encode()
    return saved[:8] + len(text).to_bytes(8, "little") + hashlib.sha256(text).digest() + text + body


def put(key, value):
    return lambda header: header.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("version", 99), "format version 99"),
        (put("algorithm", "forest"), "do not fit"),
        (put("loss", "softmax"), "do not fit"),
        (put("kind", "regressor"), "kind and classes"),
        (put("classes", None), "kind and classes|do not fit"),
        (put("extra", 1), "header"),
        (put("features", []), "split's feature"),
        (lambda header: header.pop("seed"), "header"),
        (lambda header: header["tensors"].pop(), "longer than it says"),
        (lambda header: header["tensors"][0].update(shape=[2**40]), "cut short|described wrongly"),
        (lambda header: header["tensors"][0].update(shape=[-1]), "described wrongly"),
        (lambda header: header["tensors"][0].update(dtype="O"), "described wrongly"),
        (lambda header: header["features"][1].update(levels=["a"]), "levels of feature"),
        (lambda header: header["parameters"].update(shape=3), "unexpected keyword argument"),
        (lambda header: header["parameters"].update(max_depth=-3), "max_depth=-3"),
        (lambda header: header["classes"].update(labels=["late"]), "number of classes"),
    ],
)
def test_a_header_that_lies_is_refused(saved, tmp_path, change, said):
    (tmp_path / "model.hs").write_bytes(forged(saved, change))
    with pytest.raises(hs.CorruptError, match=said):
        hs.load_model(tmp_path / "model.hs")


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("forest.feature", 0, 7),
        ("forest.feature", 0, -2),
        ("forest.left", 0, 0),
        ("forest.left", 0, 10**6),
        ("forest.left", -1, -1),
        ("forest.starts", 1, 10**9),
        ("forest.starts", 0, -1),
        ("forest.depths", 0, 2**31 - 1),
        ("forest.output", 0, 5),
    ],
)
def test_an_index_that_leads_nowhere_is_refused(saved, tmp_path, name, place, value):
    (tmp_path / "model.hs").write_bytes(
        forged(saved, lambda header: None, (name, lambda values: values.__setitem__(place, value)))
    )
    with pytest.raises(hs.CorruptError):
        hs.load_model(tmp_path / "model.hs")
