"""Woven loops do what Python does, over any mixture of codecs."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydroscope.engine.local import LocalEngine
from hydroscope.frame.access import column_values
from hydroscope.frame.frame import Frame
from hydroscope.mapreduce import run
from hydroscope.node import ports
from hydroscope.weave.branchless import only_sums
from tests.weave import tasks
from tests.weave.columns import INTS, REALS, layout_of, values, vec_of

EVERYTHING = {"edges": np.array([-1.0, 0.0, 0.5, 40.0]), "weights": (0.5, 2), "centre": 1, "n_bins": 3}


@contextmanager
def interpreted():
    """Run tasks by the reference."""
    with mock.patch.object(run, "_loops", return_value=None):
        yield


@contextmanager
def on_threads(n):
    engine = LocalEngine(n)
    before = ports.install(engine)
    try:
        yield
    finally:
        ports.restore(before)
        engine.shutdown()


def outputs(task):
    return {name: getattr(task, name) for name in type(task)._declared.outputs}


def new_columns(task):
    vecs = task._frame.vecs if task._frame is not None else {}
    return {name: (vec.type, column_values(vec)) for name, vec in vecs.items()}


def assert_same(task, vecs: Sequence, exact: bool = False):
    """Run woven and interpreted; counts and new columns agree exactly, sums to rounding."""
    frame = Frame.from_vecs({f"c{k}": vec for k, vec in enumerate(vecs)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        woven = task.do_all(frame)
    with interpreted():
        plain = task.do_all(frame)
    for name, wanted in outputs(plain).items():
        got = outputs(woven)[name]
        assert type(got) is type(wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9, err_msg=name)
        if exact or np.asarray(wanted).dtype.kind in "ib":
            np.testing.assert_array_equal(got, wanted, err_msg=name)
    for name, (kind, wanted) in new_columns(plain).items():
        assert new_columns(woven)[name][0] == kind
        np.testing.assert_allclose(new_columns(woven)[name][1], wanted, rtol=1e-14, err_msg=name)
    return woven


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize(("family", "codec"), [("int", k) for k in INTS] + [("real", k) for k in REALS])
def test_every_codec_fused_and_by_tiles(family, codec, missing):
    rng = np.random.default_rng(1)
    layout = layout_of([1500, 700])
    parts = [values(family, codec, rng, n, missing) for n in (1500, 700)]
    vec = vec_of(family, layout, parts)
    fused = assert_same(tasks.Count(), [vec])
    with mock.patch.dict("hydroscope.weave.columns.FUSABLE", {family: {}}):
        tiled = assert_same(tasks.Count(), [vec_of(family, layout, parts)])  # a column nobody has looked at
    assert (fused.n, fused.any_big) == (tiled.n, tiled.any_big)
    whole = np.concatenate(parts)
    live = whole[whole != -(2**63)] if family == "int" else whole[~np.isnan(whole)]
    assert fused.n == len(live)
    np.testing.assert_allclose(fused.total, live.astype(float).sum(), rtol=1e-9)


@st.composite
def columns(draw, n_columns, families=("int", "real")):
    """Columns of one layout, each in a few codecs."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    layout = layout_of(sizes)
    made = []
    for _ in range(n_columns):
        family = draw(st.sampled_from(families))
        names = draw(st.lists(st.sampled_from(sorted(INTS if family == "int" else REALS)), min_size=1, max_size=2))
        missing = draw(st.sampled_from([0.0, 0.2]))
        made.append(
            vec_of(
                family, layout, [values(family, names[i % len(names)], rng, n, missing) for i, n in enumerate(sizes)]
            )
        )
    return made


few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.integers(1, 6).flatmap(columns))
@few
def test_any_arity(vecs):
    assert_same(tasks.Row(), vecs)


@given(columns(2))
@few
def test_sums_alone(vecs):
    assert_same(tasks.Sums(shift=0.5), vecs)


def test_gaps_that_hold_infinities_and_nan():
    x = np.array([1.0, np.nan, np.inf, np.nan, 2.0, 3.0] * 50)
    layout = layout_of([100, 200])
    vecs = [vec_of("real", layout, np.split(column, [100])) for column in (x, np.roll(x, 2))]
    done = assert_same(tasks.Sums(shift=np.inf), vecs)
    assert np.isnan(done.squares)
    assert assert_same(tasks.Lines(), vecs[:1]).counts.tolist() == [200.0] * 3


@pytest.mark.parametrize(("low", "high"), [(-2048, -1794), (1793, 2047), (-100, 154), (1794, 2048), (-2049, -1795)])
def test_small_integers_multiplied(low, high):
    """At and beyond the ends of 12 bits."""
    x = np.arange(low, high + 1)
    layout = layout_of([len(x)])
    vecs = [vec_of("int", layout, [x]), vec_of("int", layout, [x[::-1]])]
    done = assert_same(tasks.Products(), vecs)
    assert done.total == int(((x - x[::-1] * 3) * x).sum())
    assert done.powers == int((x**5).sum())


@pytest.mark.parametrize(
    ("body", "branchless"),
    [
        ("self.n += 1", True),
        ("self.n += 1; self.s -= x * 2.5 + self.c", True),
        ("y = abs(x); self.s += y", False),
        ("y = -x / 3; self.s += (y > 1) + y ** 2", True),
        ("self.s += x ** y", False),
        ("self.s += x ** 99", False),
        ("self.s += x % 3", False),
        ("self.s += x // 3", False),
        ("self.s *= x", False),
        ("self.s = x", False),
        ("self.a += x", False),
        ("self.a[0] += x", False),
        ("other.s += x", False),
        ("if x > 0: self.n += 1", False),
        ("self.n += 0 < x < 3", False),
        ("self.n += x > 0 and x < 3", False),
        ("self.s += math.pi * x", True),
        ("", False),
    ],
)
def test_what_is_branchless(body, branchless):
    assert only_sums(ast.parse(body).body, "self", {"n", "s"}) is branchless


@given(columns(2))
@few
def test_own_reduce(vecs):
    assert_same(tasks.Extremes(), vecs, exact=True)


@given(st.tuples(columns(3)).map(lambda each: each[0]))
@few
def test_everything_in_the_body(vecs):
    *rest, last = vecs
    rng = np.random.default_rng(3)
    whole = vec_of("int", last.layout, [rng.integers(0, 99, n) for n in np.diff(last.layout.starts)])
    assert_same(tasks.Everything(**EVERYTHING), [*rest, whole])


@given(columns(2))
@few
def test_new_columns(vecs):
    woven = assert_same(tasks.NewColumns(shift=0.25), vecs)
    assert list(woven.frame.vecs) == ["scaled", "whole", "positive"]


@given(columns(1))
@few
def test_one_new_column(vecs):
    assert_same(tasks.OneColumn(), vecs)


@given(columns(2))
@few
def test_missing_rows_on_request(vecs):
    assert_same(tasks.WithMissing(), vecs)


@given(columns(2))
@few
def test_chunks_as_arrays(vecs):
    done = tasks.Chunked().do_all(Frame.from_vecs({"x": vecs[0], "y": vecs[1]}))
    x, y = (_floats(vec) for vec in vecs)
    live = ~(np.isnan(x) | np.isnan(y))
    assert done.n == live.sum()
    np.testing.assert_allclose(done.total, (x * 0.5 + y)[live].sum(), rtol=1e-9)
    np.testing.assert_allclose(column_values(done.frame.vecs["out0"]), np.where(live, x - y, np.nan))


def _floats(vec):
    found = column_values(vec)
    return np.where(found == -(2**63), np.nan, found) if found.dtype == np.int64 else found


@pytest.mark.parametrize("task", [tasks.Extremes(), tasks.NewColumns(shift=3.0)], ids=lambda task: type(task).__name__)
def test_threads_do_not_change_a_bit(task):
    rng = np.random.default_rng(2)
    sizes = [50] * 400  # 100 leaves: runs of leaves are merged in one item
    layout = layout_of(sizes)
    vecs = [vec_of("real", layout, [values("real", "float64", rng, n, 0.1) for n in sizes]) for _ in range(2)]
    frame = Frame.from_vecs({"x": vecs[0], "y": vecs[1]})
    seen = set()
    for n in (1, 2, 3, 4):
        with on_threads(n):
            done = task.do_all(frame)
            seen.add(
                repr(sorted(outputs(done).items())) + repr([each.tobytes() for _, each in new_columns(done).values()])
            )
    assert len(seen) == 1


def test_a_run_of_leaves_merges_like_single_leaves(monkeypatch):
    rng = np.random.default_rng(4)
    sizes = [30] * 4 * 70
    layout = layout_of(sizes)
    vec = vec_of("real", layout, [values("real", "float64", rng, n, 0.1) for n in sizes])
    frame = Frame.from_vecs({"x": vec})
    together = tasks.Count().do_all(frame)
    monkeypatch.setattr(run, "_together", lambda n_leaves: 1)
    assert outputs(tasks.Count().do_all(frame)) == outputs(together)
