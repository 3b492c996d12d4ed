"""Decoded values out of vecs, and vecs out of decoded values, leaf by leaf.

The only place above the codecs that turns chunks into arrays and arrays into chunks. What
a leaf decodes to depends on the column's type:

===================  ==========================================================
INT BOOL ENUM TIME   int64, `INT_MISSING` where missing
REAL                 float64, NaN where missing
STRING               `Text`: offsets, UTF-8 bytes, validity (None: none missing)
UUID                 `Words`: two uint64 a row, validity (None: none missing)
===================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import text
from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.encode import encode_int, encode_real
from hydroscope.codecs.text_kernels import copy_texts
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import InternalError
from hydroscope.node import ports

__all__ = [
    "Array",
    "Text",
    "Values",
    "Words",
    "build_vec",
    "column_values",
    "concat_values",
    "decode_leaf",
    "encode_leaf",
    "leaf_values",
    "slice_values",
    "take_values",
    "values_length",
]

Array: TypeAlias = npt.NDArray[Any]


class Text(NamedTuple):
    """Strings in Arrow's form: row i is data[offsets[i]:offsets[i + 1]]."""

    offsets: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    valid: npt.NDArray[np.bool_] | None


class Words(NamedTuple):
    """UUIDs: row i is words[2 * i] (high) and words[2 * i + 1] (low)."""

    words: npt.NDArray[np.uint64]
    valid: npt.NDArray[np.bool_] | None


Values: TypeAlias = Array | Text | Words


def leaf_values(vec: Vec, leaf: int) -> Any:
    """Return the decoded values of one leaf: int64, float64, Text or Words (see above).

    Cost: decodes one leaf, O(rows of the leaf).
    """
    return decode_leaf(vec.type, ports.current().get(vec.leaves[leaf]))


def column_values(vec: Vec) -> Any:
    """Return the decoded values of a whole column. Cost: one parallel pass; 8 bytes a row."""
    engine = ports.current()
    leaves: list[tuple[Chunk, ...]] = list(engine.get(list(vec.leaves)))
    if vec.type in (VecType.STRING, VecType.UUID):
        return concat_values(
            vec.type,
            engine.parallel(lambda leaf: decode_leaf(vec.type, leaves[leaf]), len(leaves)),
        )
    out = np.empty(vec.n_rows, _dtype(vec.type))

    def decode(leaf: int) -> None:
        first, last = vec.layout.leaf_rows(leaf)
        decode_leaf(vec.type, leaves[leaf], out[first:last])

    engine.parallel(decode, len(leaves))
    return out


def build_vec(
    type: VecType,
    layout: Layout,
    values: Values | Sequence[Values],
    domain: tuple[str, ...] | None = None,
) -> Vec:
    """Encode decoded values and return the column that holds them.

    Parameters
    ----------
    type : VecType
    layout : Layout
        How the rows are cut.
    values : ndarray, Text or Words; or a list of them, one a leaf
        The whole column, or its leaves. Narrower integers, booleans and float32 are widened.
    domain : tuple of str, optional
        ENUM: the levels in sorted order.

    Notes
    -----
    Cost: one parallel pass.
    """
    if isinstance(values, np.ndarray | Text | Words):
        _expect(values_length(type, values), layout.n_rows)
        parts: Sequence[Values] = [slice_values(type, values, *layout.leaf_rows(i)) for i in range(len(layout.leaves))]
    else:
        parts = values
    _expect(len(parts), len(layout.leaves))
    items = []
    for leaf, part in enumerate(parts):
        first, last = layout.leaves[leaf]
        items.append((type, layout.starts[first : last + 1] - layout.starts[first], part))
    handles = ports.current().map(encode_leaf, items)
    return Vec(type, layout, tuple(handles), domain)


def decode_leaf(type: VecType, chunks: Sequence[Chunk], out: Array | None = None) -> Any:
    """Return the values of a leaf's chunks, in `out` when given (int64 and float64 only)."""
    if type is VecType.STRING:
        return concat_values(type, [Text(*text.decode_text(chunk)) for chunk in chunks])
    if type is VecType.UUID:
        return concat_values(type, [Words(*text.decode_uuid(chunk)) for chunk in chunks])
    if out is None:
        out = np.empty(sum(chunk.n_rows for chunk in chunks), _dtype(type))
    at = 0
    for chunk in chunks:
        if type is VecType.REAL:
            decode_real(chunk, out[at : at + chunk.n_rows])
        else:
            decode_int(chunk, out[at : at + chunk.n_rows])
        at += chunk.n_rows
    return out


def encode_leaf(type: VecType, bounds: npt.NDArray[np.int64], values: Values) -> tuple[Chunk, ...]:
    """Return the chunks of one leaf; `bounds` are its chunks' first rows, from 0, and its row count."""
    _expect(values_length(type, values), int(bounds[-1]))
    type = VecType(type)
    chunks = []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        part = slice_values(type, values, first, last)
        if type is VecType.STRING:
            own = cast("Text", part)
            chunks.append(text.encode_text(own.offsets, own.data, own.valid))
        elif type is VecType.UUID:
            words = cast("Words", part)
            chunks.append(text.encode_uuid(words.words, words.valid))
        elif type is VecType.REAL:
            chunks.append(encode_real(np.ascontiguousarray(part, np.float64)))
        else:
            chunks.append(encode_int(np.ascontiguousarray(part, np.int64)))
    return tuple(chunks)


def values_length(type: VecType, values: Values) -> int:
    """Return the number of rows of decoded values."""
    if isinstance(values, Text):
        return len(values.offsets) - 1
    if isinstance(values, Words):
        return len(values.words) // 2
    return len(values)


def slice_values(type: VecType, values: Values, first: int, last: int) -> Values:
    """Return rows first..last of decoded values; numbers as a view, strings with offsets from 0."""
    if isinstance(values, Text):
        offsets = values.offsets[first : last + 1]
        data = values.data[int(offsets[0]) : int(offsets[-1])]
        return Text(
            offsets - offsets[0],
            data,
            None if values.valid is None else values.valid[first:last],
        )
    if isinstance(values, Words):
        valid = None if values.valid is None else values.valid[first:last]
        return Words(values.words[2 * first : 2 * last], valid)
    return values[first:last]


def take_values(type: VecType, values: Values, rows: npt.NDArray[np.int64]) -> Values:
    """Return the given rows of decoded values, in the order given."""
    if isinstance(values, Text):
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(np.diff(values.offsets)[rows], out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        copy_texts(np.ascontiguousarray(values.offsets), np.ascontiguousarray(values.data), rows, offsets, data)
        return Text(offsets, data, None if values.valid is None else values.valid[rows])
    if isinstance(values, Words):
        words = values.words.reshape(-1, 2)[rows].reshape(-1)
        return Words(words, None if values.valid is None else values.valid[rows])
    return values[rows]


def concat_values(type: VecType, parts: Sequence[Any]) -> Any:
    """Return the parts' rows one after the other."""
    if len(parts) == 1:
        return parts[0]
    if type is VecType.STRING:
        sizes = np.cumsum([0] + [int(part.offsets[-1] - part.offsets[0]) for part in parts])
        offsets = [np.zeros(1, np.int64)]
        offsets += [part.offsets[1:] - part.offsets[0] + base for part, base in zip(parts, sizes[:-1], strict=True)]
        data = [part.data[int(part.offsets[0]) : int(part.offsets[-1])] for part in parts]
        return Text(
            np.concatenate(offsets),
            np.concatenate([np.empty(0, np.uint8), *data]),
            _concat_valid(type, parts),
        )
    if type is VecType.UUID:
        words = np.concatenate([np.empty(0, np.uint64), *[part.words for part in parts]])
        return Words(words, _concat_valid(type, parts))
    return np.concatenate([np.empty(0, _dtype(type)), *parts])


def _concat_valid(type: VecType, parts: Sequence[Any]) -> npt.NDArray[np.bool_] | None:
    if all(part.valid is None for part in parts):
        return None
    whole = [np.ones(values_length(type, part), np.bool_) if part.valid is None else part.valid for part in parts]
    return np.concatenate(whole)


def _dtype(type: VecType) -> Any:
    return np.float64 if type is VecType.REAL else np.int64


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise InternalError(f"{found} values for {wanted} rows; values and layout must agree")
