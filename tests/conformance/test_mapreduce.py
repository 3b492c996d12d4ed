"""Map/reduce gives the same bits wherever the leaves live."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.node.ports import Engine
from tests.conformance import tasks
from tests.conformance.compare import bits, frame_bits, on_both

Columns = dict[str, Any]


def test_sums(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> Any:
        done = tasks.Spread(centre=50.0).do_all(hs.Frame(columns)[["x", "k"]])
        return bits([done.n, done.sse, done.hist])

    ours, theirs = on_both(engine, local, work)
    assert ours == theirs
    assert ours[0] == len(columns["x"])


def test_a_reduce_of_ones_own(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> Any:
        done = tasks.Extremes().do_all(hs.Frame(columns)[["x", "y"]])
        return bits([done.low, done.high])

    ours, theirs = on_both(engine, local, work)
    assert ours == theirs
    here = ~np.isnan(columns["y"])
    assert ours[0] == bits(np.array([columns["x"][here].min(), columns["y"][here].min()]))


def test_new_columns(engine: Engine, local: Engine, columns: Columns) -> None:
    ours, theirs = on_both(engine, local, lambda: frame_bits(tasks.Ratio().do_all(hs.Frame(columns)[["x", "k"]]).frame))
    assert ours == theirs
    assert list(ours) == ["ratio", "even"]


def test_chosen_rows(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> Any:
        frame = hs.Frame(columns)
        return frame_bits(tasks.Above(limit=70.0).do_all(frame[["x"]]).frame)

    ours, theirs = on_both(engine, local, work)
    assert ours == theirs
    assert ours["x"][2][-1] == int((columns["x"] > 70.0).sum())


def test_chunks_as_arrays(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> Any:
        done = tasks.ByChunk().do_all(hs.Frame(columns)[["x", "k"]].rename({"k": "y"}))
        return bits([done.total, done.n_chunks])

    ours, theirs = on_both(engine, local, work)
    assert ours == theirs


@pytest.mark.filterwarnings("ignore:.*runs interpreted")
def test_what_cannot_be_compiled(engine: Engine, columns: Columns) -> None:
    k = columns["k"][:2000]
    assert tasks.Interpreted().do_all(hs.Frame({"k": k})).n_pairs == int((k * (k - 1) // 2).sum())


def test_an_error_comes_home_with_its_row(engine: Engine, columns: Columns) -> None:
    bad = 262_500
    with pytest.raises(hs.HydroscopeError, match=r"262,?500") as caught:
        tasks.Picky(bad=bad).do_all(hs.Frame({"row": columns["row"]}))
    assert "this one" in str(caught.value)


def test_in_the_background(engine: Engine, columns: Columns) -> None:
    job = tasks.Spread(centre=0.0).do_all_async(hs.Frame(columns)[["x", "k"]])
    assert job.result(60).n == len(columns["x"])
    assert job.progress == 1.0
