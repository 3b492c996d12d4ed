"""Frames whose rows are cut at odd places: what slices, filters and joins leave behind."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from hydroscope.frame.frame import Frame
from hydroscope.frame.layout import Layout
from hydroscope.frame.rows import rechunk
from tests.frame.tables import TYPES, tables

__all__ = ["cut_frames", "frame_cut", "rows_of"]


def frame_cut(table: dict[str, list[Any]], starts: list[int]) -> Frame:
    """Return a frame with chunks that begin at `starts` (and end with the last row)."""
    frame = Frame(table, types={name: name.rstrip("2") for name in table})
    layout = Layout(np.array(starts, np.int64))
    return Frame.from_vecs({name: rechunk(vec, layout) for name, vec in frame.vecs.items()})


@st.composite
def cut_frames(draw: st.DrawFn, types: tuple[str, ...] = TYPES) -> tuple[dict[str, list[Any]], Frame]:
    """Return a table, and a frame of it whose chunks have from one row on."""
    table = draw(tables(types))
    n_rows = len(next(iter(table.values())))
    inner = draw(st.sets(st.integers(1, n_rows - 1))) if n_rows > 1 else set()
    return table, frame_cut(table, sorted({0, n_rows} | inner))


def rows_of(table: dict[str, list[Any]], rows: Any) -> dict[str, list[Any]]:
    """Return those rows of a table."""
    return {name: [values[row] for row in rows] for name, values in table.items()}
