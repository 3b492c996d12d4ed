"""Tasks over frames do what a plain loop over the rows does."""

from __future__ import annotations

import gc
import pickle
import uuid
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.frame.frame import Frame
from hydroscope.frame.vec import VecType
from hydroscope.mapreduce import run
from hydroscope.mapreduce.plan import reduce_levels
from hydroscope.weave import loop
from tests.mapreduce import plain, tasks
from tests.weave.columns import codecs_of, frame_of, layout_of, values, vec_of

EDGES = np.array([-1.0, 0.0, 0.5, 40.0, 1e6])
INPUTS = {
    "whole": 3, "real": 0.25, "switch": True, "pair": (0.5, 2), "edges": EDGES, "size": 4,
    "grid": np.arange(6, dtype=np.int32).reshape(2, 3), "mask": np.array([True, False, True]),
}  # fmt: skip

few = settings(max_examples=4)  # nearly every example compiles loops that no other one needs


@st.composite
def tables(draw, least=1, most=6):
    """Columns of one layout, each in one or two codecs; 1 to 9 chunks, so up to three leaves."""
    layout = layout_of(draw(st.lists(st.integers(1, 60), min_size=1, max_size=9)))
    n_columns = draw(st.integers(least, most))
    kinds = st.lists(st.sampled_from(plain.KINDS), min_size=1, max_size=1 if most > 2 else 2)
    missing = st.sampled_from([0.0, 0.25])
    return [plain.made(draw(kinds), layout, draw(st.integers(0, 99)), draw(missing)) for _ in range(n_columns)]


def frame_from(vecs, names="xyzabcdef"):
    return Frame.from_vecs(dict(zip(names, vecs, strict=False)))


def test_the_example_of_the_documentation():
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 1, 1000).round(2), rng.integers(0, 200, 1000)
    frame = hs.Frame({"x": x, "y": y})
    r = tasks.Spread(centre=3.0).do_all(frame[["x", "y"]])
    assert r.n == 1000
    assert r.sse == pytest.approx(((x - 3.0) ** 2).sum(), rel=1e-12)
    np.testing.assert_array_equal(r.hist, np.bincount(y & 63, minlength=64))
    assert r.hist.dtype == np.float64
    assert (type(r.n), type(r.sse)) == (int, float)


@given(tables())
@few
def test_any_columns_of_any_codecs(vecs):
    task = tasks.Moments()
    plain.assert_close(plain.outputs(task.do_all(frame_from(vecs))), plain.sums(task, vecs))


@given(tables(3, 3))
@few
def test_rows_with_gaps_come_when_asked_for(vecs):
    task = tasks.MissingToo()
    plain.assert_close(plain.outputs(task.do_all(frame_from(vecs))), plain.sums(task, vecs))


@given(tables(1, 1))
@few
def test_inputs_of_every_kind(vecs):
    task = tasks.Inputs(**INPUTS)
    plain.assert_close(plain.outputs(task.do_all(frame_from(vecs))), plain.sums(task, vecs))


@given(tables(2, 2))
@few
def test_a_reduce_of_ones_own_gets_later_rows(vecs):
    wanted = plain.sums(tasks.Range(), vecs)
    got = plain.outputs(tasks.Range().do_all(frame_from(vecs)))
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


@given(tables(2, 2))
@few
def test_chunks_as_arrays(vecs):
    done = tasks.ByChunk().do_all(frame_from(vecs))
    live = list(plain.rows(vecs))
    assert done.n == len(live)
    assert done.total == pytest.approx(sum(float(x) - float(y) for x, y in live), rel=1e-9, abs=1e-6)
    products = iter(live)
    wanted = [
        None if None in row else float(np.multiply(*next(products)))
        for row in zip(*(plain.lists(vec) for vec in vecs), strict=True)
    ]
    got = plain.lists(done.frame.vecs["out0"])
    assert [value is None for value in got] == [value is None for value in wanted]


@given(tables(2, 2))
@few
def test_new_columns_keep_the_rows_places(vecs):
    done = tasks.Mixed().do_all(frame_from(vecs))
    wanted = {"ratio": [], "rounded": [], "large": []}
    for row in zip(*(plain.lists(vec) for vec in vecs), strict=True):
        made = (None, None, None) if None in row else tasks.Mixed.map(tasks.Mixed(), *row)
        for column, value in zip(wanted.values(), made, strict=True):
            column.append(value)
    assert {name: vec.type for name, vec in done.frame.vecs.items()} == {
        "ratio": VecType.REAL, "rounded": VecType.INT, "large": VecType.BOOL,
    }  # fmt: skip
    np.testing.assert_allclose(
        np.array(plain.lists(done.frame.vecs["ratio"]), dtype=float), np.array(wanted["ratio"], dtype=float), rtol=1e-15
    )
    assert plain.lists(done.frame.vecs["rounded"]) == wanted["rounded"]
    assert plain.lists(done.frame.vecs["large"]) == [None if value is None else int(value) for value in wanted["large"]]


def test_chosen_rows_keep_all_columns():
    frame = hs.Frame({"x": [1.5, None, 3.0, -1.0, 9.0], "name": ["a", "b", "c", "d", "e"]})
    done = tasks.Above(limit=1.0).do_all(frame[["x"]])
    assert done.seen == 4
    assert done.frame.to_dict() == {"x": [1.5, 3.0, 9.0]}


def test_columns_of_other_types_come_as_integers():
    frame = hs.Frame(
        {
            "level": ["b", "a", "c", "b", None, "b"],
            "at": np.array([1, 5, 3, 2, 9, 4], dtype="datetime64[ms]"),
            "flag": [True, False, True, None, True, True],
        },
        types={"level": "enum"},
    )
    done = tasks.Codes().do_all(frame)
    assert done.by_level.tolist() == [1, 2, 1]  # levels in sorted order; the rows with a gap are out
    assert (done.latest, done.n_true) == (5, 3)


@pytest.mark.filterwarnings("ignore:.*runs interpreted")
def test_strings_and_uuids_come_as_python_values():
    keys = [uuid.UUID(int=k << 120) for k in (0, 0x80, 0xFF, 1)]
    frame = hs.Frame({"text": ["ab", "", None, "äöü"], "key": [str(key) for key in keys]}, types={"key": "uuid"})
    done = tasks.Texts().do_all(frame)
    assert (done.letters, done.high_bits) == (5, 1)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_hardly_any_rows(n_rows):
    frame = hs.Frame({"x": np.full(n_rows, 2.0), "y": np.full(n_rows, 5.0)})
    assert tasks.Sum().do_all(frame["x"]).total == 2.0 * n_rows
    assert tasks.Spread(centre=0.0).do_all(frame).n == n_rows
    assert tasks.Range().do_all(frame).low == (2.0 if n_rows else np.inf)
    assert tasks.Half().do_all(frame["x"]).frame.shape == (n_rows, 1)
    assert tasks.Mixed().do_all(frame).frame.shape == (n_rows, 3)
    assert tasks.Above(limit=9.0).do_all(frame[["x"]]).frame.shape == (0, 1)
    assert tasks.ByChunk().do_all(frame).n == n_rows


@pytest.mark.parametrize("n_leaves", [1, 2, 8, 9, 16, 17, 33, 64, 130])
def test_any_number_of_threads_gives_the_same_bits(n_leaves):
    rng = np.random.default_rng(n_leaves)
    layout = layout_of([25] * (4 * n_leaves - 1))
    wild = [rng.normal(size=25) * 10.0 ** rng.integers(-12, 12, 25) for _ in range(layout.n_chunks)]
    frame = frame_from([vec_of("real", layout, wild), vec_of("real", layout, wild[::-1])])
    seen = set()
    for n_threads in (1, 2, 5):
        with plain.on_threads(n_threads):
            done = tasks.Moments().do_all(frame)
            ends = tasks.Range().do_all(frame)
            seen.add((done.n, done.total.hex(), done.products.hex(), ends.first, ends.last, ends.low))
    ((n, total, *_, first, last, low),) = seen
    assert n == layout.n_rows
    assert float.fromhex(total) == pytest.approx(sum(map(float, np.concatenate(wild))) * 2, rel=1e-6)
    assert (first, last, low) == (wild[0][0], wild[-1][-1], np.concatenate(wild).min())


@given(st.integers(1, 5000))
def test_items_are_runs_that_the_tree_merges_anyway(n_leaves):
    together = run._together(n_leaves)
    assert together == 1 or -(-n_leaves // together) >= run.ITEMS_AT_LEAST
    if n_leaves >= 64:
        assert reduce_levels(n_leaves)[0][0] == range(together)


def test_sparse_columns_side_by_side():
    rng = np.random.default_rng(5)
    layout = layout_of([7000, 1024, 1023, 3000])
    vecs = []
    for family, name in (("real", "sparse"), ("int", "sparse"), ("int", "sparse missing"), ("real", "float64")):
        vecs.append(vec_of(family, layout, [values(family, name, rng, n, 0.01) for n in np.diff(layout.starts)]))
    assert any(codec.name == "SPARSE" for vec in vecs for codec in codecs_of(vec))
    for chosen in (vecs, vecs[:1], vecs[1:3], vecs[::-1]):
        task = tasks.Moments()
        plain.assert_close(plain.outputs(task.do_all(frame_from(chosen))), plain.sums(task, chosen))
    task = tasks.MissingToo()
    plain.assert_close(plain.outputs(task.do_all(frame_from(vecs[:3]))), plain.sums(task, vecs[:3]))


@pytest.mark.parametrize(("family", "name"), [("real", "sparse"), ("int", "sparse"), ("int", "sparse missing")])
@pytest.mark.parametrize("missing", [0.0, 0.02])
def test_rows_that_a_sparse_column_does_not_hold_count_too(family, name, missing):
    rng = np.random.default_rng(6)
    for task, sizes in (
        (tasks.SumsOfSums(), [7000, 1024, 1023, 3000]),  # one leaf: outputs start anew in each
        (tasks.SumsAlone(shift=0.75), [7000, 1024, 1023, 3000, 900, 2000]),
    ):
        layout = layout_of(sizes)
        vec = vec_of(family, layout, [values(family, name, rng, n, missing) for n in sizes])
        assert "SPARSE" in {codec.name for codec in codecs_of(vec)}
        plain.assert_close(plain.outputs(task.do_all(frame_from([vec]))), plain.sums(task, [vec]))
    loops = [each.source for each in tasks.SumsAlone(shift=0.75).explain(frame_from([vec])).loops]
    assert any("_hs_m" in source for source in loops)
    assert not any("_hs_m" in each.source for each in tasks.SumsOfSums().explain(frame_from([vec])).loops)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_absent_rows_add_may_be_infinite():
    column = hs.Frame({"x": np.where(np.arange(3000) % 100 == 0, 2.0, 0.0)})
    assert tasks.Inverses().do_all(column).total == np.inf


@pytest.mark.filterwarnings("error::hydroscope.InterpretedWarning")
def test_a_sparse_column_among_any_number_of_columns_stays_compiled():
    column = hs.Frame({"x": np.where(np.arange(3000) % 100 == 0, 2.0, 0.0)})
    assert tasks.Counted().do_all(column).n == 3000
    assert tasks.Counted().explain(column).compiled


def test_what_is_remembered_follows_what_changes(monkeypatch):
    x = np.arange(100) / 4
    frame, other = frame_of(x=x), frame_of(x=np.arange(100))
    for by in (2, 0.5, True, 3):  # values and kinds of inputs
        assert tasks.Scaled(by=by).do_all(frame).total == pytest.approx(x.sum() * by)
        assert tasks.Scaled(by=by).do_all(other).total == pytest.approx(np.arange(100).sum() * by)
    for factor, table in ((3, [1.0, 10.0]), (4, [1.0, 10.0]), (4.5, [0.0, 7.0]), (4.5, [0, 7])):
        monkeypatch.setattr(tasks, "FACTOR", factor)
        monkeypatch.setattr(tasks, "TABLE", np.array(table))
        assert tasks.WithGlobals().do_all(frame).total == pytest.approx(x.sum() * factor + 100 * table[1])
    tasks.TABLE[1] = 9  # in place
    assert tasks.WithGlobals().do_all(frame).total == pytest.approx(x.sum() * 4.5 + 900)


def test_what_is_remembered_holds_no_data_and_no_address_elsewhere():
    frame = frame_of(x=np.arange(100) / 4)
    given = run.matched(tasks.Sum(), [frame])
    loops = loop.prepare(given.recipe, [run.surveyed(vec) for vec in given.vecs])
    leaves = [[vec.leaves[0] for vec in given.vecs]]
    state, _ = loop.run(given.recipe, loops, leaves, 0)
    assert list(loops.sheets) == [(0, 1)]
    again = pickle.loads(pickle.dumps(loops))
    assert len(again.sheets) == 0
    for part, other in zip(state, loop.run(given.recipe, again, leaves, 0)[0], strict=True):
        np.testing.assert_array_equal(part, other)
    assert len(again.sheets) == 0
    chunk = weakref.ref(given.vecs[0].leaves[0][0].buffers[0])
    del frame, given, leaves
    gc.collect()
    assert chunk() is None


def test_columns_by_name_and_by_place():
    frame = hs.Frame({"y": [1.0, 2.0], "x": [10.0, 20.0], "z": [100.0, 200.0]})
    assert tasks.Range().do_all(frame[["y", "x"]]).high == 20.0  # x is called x
    assert tasks.Range().do_all(frame["z"], frame["y"]).high == 200.0  # no column x: the first one
    assert tasks.Sum().do_all(frame["z"]).total == 300.0
    assert tasks.Sum().do_all(frame["z"] * 2 + frame["x"]).total == 630.0


def test_a_task_can_run_again_and_stays_as_it_was():
    task = tasks.Sum()
    frame = frame_of(x=np.ones(10))
    assert [task.do_all(frame).n for _ in range(3)] == [10, 10, 10]
    assert (task.n, task.total) == (0, 0.0)
    assert tasks.Spread(centre=1.0).do_all(frame_of(x=np.ones(3), y=np.ones(3))).centre == 1.0


def test_in_the_background():
    frame = frame_of(x=np.arange(1000))
    job = tasks.Sum().do_all_async(frame)
    assert job.result(60).total == 499_500.0
    assert (str(job.state), job.progress, job.description) == ("DONE", 1.0, "Sum")


class Endless(hs.MapReduce):
    """Cancels the job it runs in, at its third chunk."""

    n: int = 0

    def map_chunk(self, x):
        from hydroscope.node import jobs

        job = jobs.current()
        assert job is not None
        self.n += 1
        if x[0] >= 1000:  # in the fourth of 13 items
            job.cancel()
            Endless.progress = job.progress


def test_cancelled_in_the_middle():
    layout = layout_of([10] * 400)
    frame = Frame.from_vecs({"x": vec_of("int", layout, [np.arange(10) + 10 * k for k in range(400)])})
    with plain.on_threads(1):
        job = Endless().do_all_async(frame)
        with pytest.raises(hs.CancelledError):
            job.result(60)
    assert str(job.state) == "CANCELLED"
    assert 0 < Endless.progress < 1
    assert tasks.Sum().do_all(frame).n == 4000  # and nothing is lost
