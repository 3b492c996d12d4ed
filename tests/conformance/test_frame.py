"""Frames hold and give the same, to the last bit, wherever their leaves live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.node.ports import Engine
from tests.conformance.compare import bits, frame_bits, on_both

Columns = dict[str, Any]


def assert_same(engine: Engine, local: Engine, work: Callable[[], Any]) -> Any:
    """Run `work` on both; frames among its results are compared chunk by chunk."""

    def compressed() -> Any:
        made = work()
        return frame_bits(made) if isinstance(made, hs.Frame) else bits(made)

    ours, theirs = on_both(engine, local, compressed)
    assert ours == theirs
    return ours


def test_construction(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(columns))


def test_what_goes_in_comes_out(engine: Engine, columns: Columns) -> None:
    frame = hs.Frame(columns)
    assert frame.shape == (len(columns["x"]), len(columns))
    out = frame.to_pandas()
    for name, values in columns.items():
        np.testing.assert_array_equal(out[name].to_numpy(dtype=values.dtype), values)


def test_summaries(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(columns).describe().to_dict())


def test_statistics_of_a_column(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> list[Any]:
        frame = hs.Frame(columns)
        y = frame["y"]
        return [y.sum(), y.mean(), y.sd(), y.var(), y.min(), y.max(), y.n_missing, y.quantile([0.1, 0.5])]

    assert_same(engine, local, work)


def test_unique_and_counts(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(columns)["colour"].value_counts().to_dict())


def test_arithmetic(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> hs.Frame:
        frame = hs.Frame(columns)
        frame["z"] = (frame["x"] * 2 + frame["y"]) / (frame["k"] + 1)
        frame["far"] = (frame["x"] > 60) & ~(frame["y"] < 0)
        return frame[["z", "far"]]

    assert_same(engine, local, work)


def test_filters_keep_order(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> hs.Frame:
        frame = hs.Frame(columns)
        return frame[frame["x"] > 55.5]

    ours = assert_same(engine, local, work)
    assert ours["row"][2][-1] == int((columns["x"] > 55.5).sum())


def test_row_slices(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(columns)[70_001:263_000])
    assert hs.Frame(columns)[["row"]][262_500:262_503].to_dict() == {"row": [262_500, 262_501, 262_502]}


def test_select_rename_drop(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(columns)[["x", "k", "row"]].rename({"x": "price"}).drop("row"))


def test_head_and_codecs(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(columns).head(3).to_dict())
    assert_same(engine, local, lambda: hs.Frame(columns).codecs().to_dict())
    assert_same(engine, local, lambda: hs.Frame(columns).nbytes)


def test_arrow_both_ways(engine: Engine, local: Engine, columns: Columns) -> None:
    assert_same(engine, local, lambda: hs.Frame(hs.Frame(columns).to_arrow()))


def test_csv_and_parquet_exits(engine: Engine, local: Engine, columns: Columns, tmp_path: Any) -> None:
    def work() -> list[Any]:
        frame = hs.Frame(columns)[:70_000]
        frame.write_csv(tmp_path / "a.csv", overwrite=True)
        frame.write_parquet(tmp_path / "a.parquet", overwrite=True)
        back = hs.read(tmp_path / "a.parquet")
        return [(tmp_path / "a.csv").read_bytes(), frame_bits(back)]

    assert_same(engine, local, work)


def test_a_frame_made_here_is_usable_there(engine: Engine, local: Engine, columns: Columns) -> None:
    made: list[hs.Frame] = []
    on_both(local, local, lambda: made.append(hs.Frame(columns)))
    assert made[0]["row"].sum() == int(columns["row"].sum())
    assert made[0][made[0]["k"] == 7]["row"].max() == int(columns["row"][columns["k"] == 7].max())


def test_a_missing_column_is_told_with_a_hint(engine: Engine, columns: Columns) -> None:
    with pytest.raises(hs.UnknownNameError, match="did you mean 'colour'"):
        hs.Frame(columns)["color"]
