"""Distinct values of a column, and how often each occurs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import Text, Values, Words, build_vec, decode_leaf
from hydroscope.frame.arrow_in import arrow_values
from hydroscope.frame.arrow_out import arrow_array
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

__all__ = ["Tally", "tally", "tally_vec"]

REMEMBERED_MAX = 10_000
"""Distinct values that are kept for the next time; more would be memory that `nbytes` does not tell of."""

Tally = tuple[Any, npt.NDArray[np.int64]]
"""Distinct values in ascending order (of strings: a list of bytes) and the count of each."""


def tally(vec: Vec) -> Tally:
    """Return the distinct values present, ascending, and how often each occurs.

    Cost: one pass; memory for the distinct values of every leaf.
    """
    known = vec.remembered.get("tally")
    if known is None:
        engine = ports.current()
        known = _united(vec.type, engine.get(engine.map(_tally_leaf, [(vec.type, leaf) for leaf in vec.leaves])))
        if len(known[0]) <= REMEMBERED_MAX:
            vec.remembered["tally"] = known
    found: Tally = known
    return found


def tally_vec(type: VecType, distinct: Any, order: npt.NDArray[np.int64] | None, domain: tuple[str, ...] | None) -> Vec:
    """Return distinct values (in `order`) as a column."""
    n = len(distinct)
    rows = np.arange(n) if order is None else order
    values: Values
    if type is VecType.STRING:
        parts = [distinct[i] for i in rows.tolist()]
        offsets = np.cumsum([0, *(len(each) for each in parts)], dtype=np.int64)
        values = Text(offsets, np.frombuffer(b"".join(parts), np.uint8), None)
    elif type is VecType.UUID:
        values = Words(distinct.view(np.uint64).reshape(-1, 2)[rows].reshape(-1), None)
    else:
        values = distinct[rows]
    return build_vec(type, Layout.regular(n), values, domain)


_PAIR = np.dtype([("high", np.uint64), ("low", np.uint64)])


def _nothing(type: VecType) -> Tally:
    if type is VecType.STRING:
        return [], np.zeros(0, np.int64)
    dtype = {VecType.REAL: np.dtype(np.float64), VecType.UUID: _PAIR}.get(type, np.dtype(np.int64))
    return np.zeros(0, dtype), np.zeros(0, np.int64)


def _tally_leaf(type: VecType, chunks: tuple[Chunk, ...]) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return distinct values (strings: a Text, in any order) and their counts."""
    values = decode_leaf(type, chunks)
    if isinstance(values, Text):
        return _tally_text(values)
    if isinstance(values, Words):
        pairs = values.words.view(_PAIR)
        return np.unique(pairs if values.valid is None else pairs[values.valid], return_counts=True)
    if type is VecType.REAL:
        return np.unique(values[~np.isnan(values)] + 0.0, return_counts=True)
    return np.unique(values[values != INT_MISSING], return_counts=True)


def _tally_text(values: Text) -> tuple[Text, npt.NDArray[np.int64]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = pc.value_counts(arrow_array(VecType.STRING, values).cast(pa.large_binary()).drop_null())
    distinct = arrow_values("", VecType.STRING, pairs.field(0).cast(pa.large_string()))
    assert isinstance(distinct, Text)
    return distinct, np.asarray(pairs.field(1).to_numpy(), np.int64)


def _united(type: VecType, parts: list[tuple[Any, npt.NDArray[np.int64]]]) -> Tally:
    """Return the tally of a column from those of its leaves: all at once, so that each value is met once a leaf."""
    if not parts:
        return _nothing(type)
    counts = np.concatenate([each for _, each in parts])
    if type is VecType.STRING:
        return _united_texts([each for each, _ in parts], counts)
    values, place = np.unique(np.concatenate([each for each, _ in parts]), return_inverse=True)
    return values, np.bincount(place, counts, len(values)).astype(np.int64)


def _united_texts(parts: list[Text], counts: npt.NDArray[np.int64]) -> Tally:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.concat_arrays([arrow_array(VecType.STRING, each).cast(pa.large_binary()) for each in parts])
    coded = texts.dictionary_encode()  # three times as fast as grouping
    summed = np.bincount(coded.indices.to_numpy(), counts, len(coded.dictionary)).astype(np.int64)
    order = pc.sort_indices(coded.dictionary)
    return coded.dictionary.take(order).to_pylist(), summed[order.to_numpy()]
