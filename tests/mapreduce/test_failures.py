"""What users are told when their function cannot be compiled, or raises."""

from __future__ import annotations

import pickle
import re
import warnings

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.frame.frame import Frame
from hydroscope.mapreduce.task import MapError
from hydroscope.weave import InterpretedWarning
from tests.mapreduce import tasks
from tests.weave.columns import frame_of, layout_of, vec_of


def test_what_cannot_be_compiled_runs_and_says_so_once():
    frame = frame_of(k=np.arange(50))
    with pytest.warns(InterpretedWarning) as told:
        assert tasks.AlsoUncompiled().do_all(frame).n == 50
    (warning,) = told
    text = str(warning.message)
    assert re.search(r"AlsoUncompiled.map runs interpreted, a few us a row: .*\n  at .*tasks.py:\d+: ", text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tasks.AlsoUncompiled().do_all(frame).n == 50
        assert tasks.AlsoUncompiled().do_all(frame_of(k=np.arange(7))).n == 7


def test_the_reason_names_the_line():
    with pytest.warns(InterpretedWarning, match=r"comb(.|\n)*tasks.py:\d+: self.n_pairs \+= math.comb\(k, 2\)"):
        assert tasks.Uncompiled().do_all(frame_of(k=np.arange(10))).n_pairs == 120


def many_leaves(bad_row):
    """Return a frame of five leaves whose column x is 1.0 but for one row."""
    x = np.ones(200)
    x[bad_row] = 99.5
    layout = layout_of([10] * 20)
    k = np.arange(200) * 3
    return Frame.from_vecs(
        {
            "x": vec_of("real", layout, np.split(x, 20)),
            "k": vec_of("int", layout, np.split(k, 20)),
        }
    )


@pytest.mark.parametrize("bad_row", [0, 39, 40, 123, 199])
def test_an_error_says_which_row_it_was(bad_row):
    with pytest.raises(MapError) as caught:
        tasks.Picky(limit=50.0).do_all(many_leaves(bad_row))
    error = caught.value
    assert error.row == bad_row
    assert error.values == (("x", "99.5"), ("k", str(3 * bad_row)))
    assert error.source is None
    text = str(error)
    assert "Picky.map raised ValueError: too large" in text
    assert re.search(r'at .*tasks.py:\d+: raise ValueError\("too large"\)', text)
    assert f"in row {bad_row} of the frame: x = 99.5, k = {3 * bad_row}" in text
    assert isinstance(error.__cause__, ValueError)


def test_the_first_row_that_fails_is_named():
    frame = frame_of(x=np.array([1.0, 60.0, 2.0, 70.0]), k=np.arange(4))
    with pytest.raises(MapError, match=r"in row 1 of the frame: x = 60.0, k = 1"):
        tasks.Picky(limit=50.0).do_all(frame)


def test_an_error_names_file_and_line_of_the_data(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("x,k\n1.5,1\n\n2.5,2\n99.5,3\n3.5,4\n")
    frame = hs.read_csv(path)
    for given in (frame, frame[["x", "k"]], frame.rename({"k": "j"})):
        with pytest.raises(MapError) as caught:
            tasks.Picky(limit=50.0).do_all(given)
        assert caught.value.row == 2
        assert str(caught.value.source) == f"{path}:5"
        assert f"which was read from {path}:5" in str(caught.value)


def test_indices_are_checked_by_compiled_loops():
    frame = frame_of(k=np.array([0, 3, 4, 1]))
    with pytest.raises(MapError, match=r"IndexError(.|\n)*in row 2 of the frame: k = 4"):
        tasks.Indexing().do_all(frame)
    assert tasks.Indexing().do_all(frame_of(k=np.array([-1, 0]))).counts.tolist() == [1, 0, 0, 1]


class BadReduce(hs.MapReduce):
    n: int = 0

    def map(self, x):
        self.n += 1

    def reduce(self, other):
        raise KeyError("nowhere")


class BadChunk(hs.MapReduce):
    n: int = 0

    def map_chunk(self, x):
        self.n += len(x)
        if x[0] > 40:
            raise ValueError("this chunk")


def test_errors_of_reduce_and_of_chunk_functions_say_where():
    layout = layout_of([10] * 9)
    frame = Frame.from_vecs({"x": vec_of("int", layout, np.split(np.arange(90), 9))})
    with pytest.raises(MapError, match=r"BadReduce.reduce raised KeyError: 'nowhere'\n  at .*failures.py:\d+: raise"):
        BadReduce().do_all(frame)
    with pytest.raises(MapError, match=r"ValueError: this chunk, in the chunk of rows 50 to 59"):
        BadChunk().do_all(frame)


def test_errors_survive_the_way_between_processes():
    error = MapError("A.map", "ValueError: no", "a.py:3: x", 7, (("x", "1.0"),), None).located("f.csv:9")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.row, again.values, again.source) == (7, (("x", "1.0"),), "f.csv:9")


class PutsFloatIntoInt(hs.MapReduce):
    n: int = 0

    def map(self, x):
        self.n += x


@pytest.mark.filterwarnings("ignore:.*runs interpreted")
def test_a_float_is_never_cut_to_an_int():
    with pytest.raises(hs.UserError, match=r"puts .* into 'n', which is declared int; declare it `n: float = 0.0`"):
        PutsFloatIntoInt().do_all(frame_of(x=np.array([0.5])))


def test_explain_shows_loops_or_the_reason():
    rng = np.random.default_rng(0)
    frame = frame_of(x=rng.integers(0, 500, 300) / 4, y=rng.integers(0, 9, 300))
    shown = tasks.Spread(centre=1.0).explain(frame)
    assert shown.compiled
    assert shown.columns == ("x: real, 1 INT16", "y: int, 1 INT8")
    (loop,) = shown.loops
    assert (loop.codecs, loop.n_rows) == (("INT16", "INT8"), 300)
    assert "for _hs_i in range(_hs_n):" in loop.source
    assert "Spread.map over 300 rows (leaves: 1), compiled (loops: 1)" in str(shown) == repr(shown)
    compile(loop.source, "loop", "exec")
    why = tasks.AlsoUncompiled().explain(frame["y"])
    assert not why.compiled
    assert "tasks.py" in why.line
    assert f"interpreted: {why.reason}" in str(why)
    assert "map_chunk" in str(tasks.ByChunk().explain(frame))
    text = hs.Frame({"text": ["a"], "key": ["b"]})
    assert "string column" in tasks.Texts().explain(text).reason
