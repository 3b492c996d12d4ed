"""What columns say about their values: sums, extremes, quantiles, distinct values, sizes."""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import CODECS
from hydroscope.codecs.text import text_bytes
from hydroscope.frame.access import Text, Words, build_vec, concat_values, decode_leaf, encode_leaf, leaf_values
from hydroscope.frame.arrow_in import arrow_values
from hydroscope.frame.arrow_out import arrow_array
from hydroscope.frame.expression import Node, evaluate_rollups
from hydroscope.frame.layout import Layout
from hydroscope.frame.levels import tally, tally_vec
from hydroscope.frame.operators import EPOCH, NUMERIC
from hydroscope.frame.quantiles import quantiles
from hydroscope.frame.rollups import Rollups, rollups
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import CHUNKS_PER_LEAF, INT_MISSING
from hydroscope.node import ports

if TYPE_CHECKING:
    from hydroscope.frame.column import Column

__all__ = [
    "Sizes",
    "as_datetime",
    "compressed_bytes",
    "extreme",
    "fill_texts",
    "numbers",
    "of_node",
    "python_values",
    "quantile",
    "sizes",
]

UNCOMPRESSED_BYTES = {VecType.BOOL: 1, VecType.ENUM: 4, VecType.UUID: 16}
"""Bytes a row of the plain array that other libraries hold (8 where not named; strings: 4 and their text)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a column costs: bytes as held, bytes as a plain array, and the codecs of its chunks."""

    nbytes: int
    plain: int
    codecs: tuple[tuple[str, int], ...]


def compressed_bytes(vec: Vec) -> int:
    """Return what a column holds. Cost: one small task a leaf the first time, then free; no row is touched."""
    known = vec.remembered.get("nbytes")
    if known is None:
        engine = ports.current()
        known = sum(engine.get(engine.map(_leaf_bytes, [(leaf,) for leaf in vec.leaves])))
        known += sum(len(level.encode()) for level in vec.domain or ())
        vec.remembered["nbytes"] = known
    return int(known)


def sizes(vec: Vec) -> Sizes:
    """Return a column's sizes. Cost: one small task a leaf the first time, then free; of strings, codes are decoded."""
    known = vec.remembered.get("sizes")
    if known is None:
        engine = ports.current()
        parts = engine.get(engine.map(_leaf_sizes, [(vec.type, leaf) for leaf in vec.leaves]))
        codecs: Counter[int] = Counter()
        for _, each in parts:
            codecs.update(each)
        named = tuple((row.name, codecs[row.codec]) for row in CODECS if codecs[row.codec])
        domain = sum(len(level.encode()) for level in vec.domain or ())
        known = Sizes(compressed_bytes(vec), sum(n for n, _ in parts) + domain, named)
        vec.remembered["sizes"] = known
    found: Sizes = known
    return found


def _leaf_bytes(chunks: tuple[Chunk, ...]) -> int:
    return sum(chunk.nbytes for chunk in chunks)


def _leaf_sizes(type: VecType, chunks: tuple[Chunk, ...]) -> tuple[int, dict[int, int]]:
    plain = sum(chunk.n_rows for chunk in chunks) * UNCOMPRESSED_BYTES.get(type, 8)
    if type is VecType.STRING:
        plain = sum(4 * (chunk.n_rows + 1) + text_bytes(chunk) for chunk in chunks)
    return plain, dict(Counter(int(chunk.codec) for chunk in chunks))


def of_node(node: Node) -> Rollups:
    """Return the rollups of a column or of an expression, which is not encoded for that."""
    return rollups(node.vecs[0]) if node.op == "vec" else evaluate_rollups(node)


def numbers(column: Column, what: str, times: bool = False) -> Rollups:
    """Return the rollups of a column that must have numbers."""
    type = column.node.type
    if type not in NUMERIC and not (times and type is VecType.TIME):
        way = {
            VecType.ENUM: "use value_counts(), or astype('real') where its levels are numbers",
            VecType.STRING: "use value_counts(), or astype('real') where its texts are numbers",
            VecType.TIME: "use min(), max() and quantile(), or astype('int') for milliseconds since 1970",
            VecType.UUID: "use n_missing or unique()",
        }[type]
        raise UserError(f"{what}() needs numbers, and column {column.name!r} is of type {type}; {way}")
    return column.rollups


def truths(column: Column, what: str) -> Rollups:
    """Return the rollups of a column that must have truth values."""
    if column.node.type is not VecType.BOOL:
        raise UserError(f"{what}() needs truth values, and column {column.name!r} is of type {column.type}; compare it")
    return column.rollups


def extreme(column: Column, which: str) -> Any:
    """Return the smallest or largest value as Python has it."""
    type = column.node.type
    if type in (VecType.STRING, VecType.UUID):
        distinct, _ = tally(column.vec)
        if len(distinct) == 0:
            return None
        return _distinct(type, distinct[0 if which == "min" else -1])
    value = getattr(column.rollups, which)
    return None if value is None else _scalar(type, value, column.node.domain)


def quantile(column: Column, q: float | Sequence[float]) -> Any:
    """Return one quantile or a list of them."""
    type = column.node.type
    if type not in (*NUMERIC, VecType.TIME):
        numbers(column, "quantile")
    single = isinstance(q, int | float | np.number)
    found: list[Any] = quantiles(column.vec, [q] if single else list(q))  # type: ignore[list-item, arg-type]
    if type is VecType.TIME:
        found = [None if np.isnan(each) else as_datetime(each) for each in found]
    return found[0] if single else found


def unique(vec: Vec) -> Vec:
    """Return the distinct values present as a column, ascending."""
    return tally_vec(vec.type, tally(vec)[0], None, vec.domain)


def value_counts(vec: Vec, name: str, missing: bool) -> dict[str, Vec]:
    """Return the columns of distinct values and counts, most frequent first."""
    distinct, counts = tally(vec)
    order = np.lexsort((np.arange(len(counts)), -counts))
    values, total = tally_vec(vec.type, distinct, order, vec.domain), counts[order]
    if missing:
        n_missing = rollups(vec).n_missing
        layout = Layout.regular(len(total) + 1)
        known = [leaf_values(values, leaf) for leaf in range(len(values.leaves))]
        all_values = concat_values(vec.type, [*known, _one_missing(vec.type)])
        values, total = build_vec(vec.type, layout, all_values, vec.domain), np.append(total, n_missing)
    count = "count" if name != "count" else "n"
    return {name: values, count: build_vec(VecType.INT, values.layout, total)}


def _one_missing(type: VecType) -> Any:
    gone = np.zeros(1, np.bool_)
    if type is VecType.STRING:
        return Text(np.zeros(2, np.int64), np.empty(0, np.uint8), gone)
    if type is VecType.UUID:
        return Words(np.zeros(2, np.uint64), gone)
    return np.array([np.nan]) if type is VecType.REAL else np.array([INT_MISSING])


def fill_texts(vec: Vec, value: Any) -> Vec:
    """Return a string or UUID column with `value` where it was missing. Cost: one pass."""
    fill: Any
    if vec.type is VecType.STRING:
        if not isinstance(value, str):
            raise UserError(f"a string column is filled with a text, not with {value!r}")
        fill = value
    else:
        if not isinstance(value, uuid.UUID):
            raise UserError(f"a uuid column is filled with a uuid.UUID, not with {value!r}")
        fill = (value.int >> 64, value.int & (2**64 - 1))
    items = [(vec.type, leaf, fill) for leaf in vec.leaves]
    return Vec(vec.type, vec.layout, tuple(ports.current().map(_fill_leaf, items)))


def _fill_leaf(type: VecType, chunks: tuple[Chunk, ...], fill: Any) -> tuple[Chunk, ...]:
    filled: list[Chunk] = []
    for chunk in chunks:
        if chunk.n_missing == 0:
            filled.append(chunk)
            continue
        values = decode_leaf(type, [chunk])
        if isinstance(values, Words):
            words = np.where(values.valid[:, None], values.words.reshape(-1, 2), np.array([fill], np.uint64))  # type: ignore[index]
            whole: Any = Words(np.ascontiguousarray(words).reshape(-1), None)
        else:
            whole = arrow_values("", type, arrow_array(type, values).fill_null(fill))
        filled += encode_leaf(type, np.array([0, chunk.n_rows]), whole)
    return tuple(filled)


def values(vec: Vec) -> Iterator[Any]:
    """Yield a column's values as Python objects, None where missing."""
    for leaf in range(len(vec.leaves)):
        yield from python_values(vec.type, leaf_values(vec, leaf), vec.domain)


def value_at(vec: Vec, row: int, name: str) -> Any:
    """Return one value. Cost: decodes one chunk."""
    n_rows = vec.n_rows
    if not -n_rows <= row < n_rows:
        raise UserError(
            f"row {row} of column {name!r}: there are {n_rows:,} rows, so rows are {-n_rows} to {n_rows - 1}"
        )
    row += n_rows if row < 0 else 0
    index = int(np.searchsorted(vec.layout.starts, row, side="right")) - 1
    leaf = index // CHUNKS_PER_LEAF
    chunk = ports.current().get(vec.leaves[leaf])[index - vec.layout.leaves[leaf][0]]
    at = row - int(vec.layout.starts[index])
    decoded = decode_leaf(vec.type, [chunk])
    if isinstance(decoded, Text):
        gone = decoded.valid is not None and not decoded.valid[at]
        return (
            None if gone else decoded.data[int(decoded.offsets[at]) : int(decoded.offsets[at + 1])].tobytes().decode()
        )
    if isinstance(decoded, Words):
        one = Words(decoded.words[2 * at : 2 * at + 2], None if decoded.valid is None else decoded.valid[at : at + 1])
        return python_values(vec.type, one, None)[0]
    return python_values(vec.type, decoded[at : at + 1], vec.domain)[0]


def python_values(type: VecType, values: Any, domain: tuple[str, ...] | None) -> list[Any]:
    """Return decoded values as Python objects, None where missing."""
    if isinstance(values, Text):
        return [None if each is None else each.decode() for each in _bytes(values)]
    if isinstance(values, Words):
        valid = [True] * (len(values.words) // 2) if values.valid is None else values.valid.tolist()
        pairs = values.words.reshape(-1, 2).tolist()
        return [uuid.UUID(int=(a << 64) | b) if here else None for (a, b), here in zip(pairs, valid, strict=True)]
    if type is VecType.TIME:
        return [None if each == INT_MISSING else as_datetime(each) for each in values.tolist()]
    gone = np.isnan(values) if type is VecType.REAL else values == INT_MISSING
    if type is VecType.BOOL:
        found = (values == 1).tolist()
    elif type is VecType.ENUM:
        found = np.array([*(domain or ()), None], object)[np.where(gone, -1, values)].tolist()
    else:
        found = values.tolist()
    for row in np.flatnonzero(gone).tolist():
        found[row] = None
    return list(found)


def _bytes(values: Text) -> list[bytes | None]:
    blob = values.data.tobytes()
    ends = values.offsets.tolist()
    texts: list[bytes | None] = [blob[a:b] for a, b in pairwise(ends)]
    if values.valid is not None:
        for row in np.flatnonzero(~values.valid).tolist():
            texts[row] = None
    return texts


def _scalar(type: VecType, value: Any, domain: tuple[str, ...] | None) -> Any:
    if type is VecType.BOOL:
        return bool(value)
    if type is VecType.ENUM:
        return (domain or ())[value]
    return as_datetime(value) if type is VecType.TIME else value


def _distinct(type: VecType, value: Any) -> Any:
    if type is VecType.STRING:
        return value.decode()
    return uuid.UUID(int=(int(value["high"]) << 64) | int(value["low"]))


def as_datetime(milliseconds: float) -> Any:
    """Return a datetime in UTC; what lies outside the years 1 to 9999 as numpy.datetime64."""
    try:
        return EPOCH + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return np.datetime64(int(milliseconds), "ms")
