"""The families of values that chunks hold, as a table: how to measure, cut, join and encode each.

Values travel as tuples of arrays:

========  ================================================================
INT       (int64 values, INT_MISSING where missing)
REAL      (float64 values, NaN where missing)
DECIMAL   (int64 mantissas, uint8 decimals); decodes as REAL
TEXT      (int64 offsets, uint8 data, bool validity or None)
UUID      (uint64 words, two a row, bool validity or None)
========  ================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.encode import encode_decimal, encode_int, encode_real
from hydroscope.codecs.text import decode_text, decode_uuid, encode_text, encode_uuid

__all__ = ["DECIMAL", "INT", "REAL", "TEXT", "UUID", "Family", "Values"]

Values: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes
    ----------
    name : str
    encode, decode : callable
        `encode(*values)` gives a chunk, `decode(chunk)` its values.
    n_rows : callable
        `n_rows(values)`.
    cut : callable
        `cut(values, start, stop)` gives those rows; views, nothing is copied.
    join : callable
        `join([values, ...])` gives the rows of all, one after the other.
    """

    name: str
    encode: Callable[..., Chunk]
    decode: Callable[[Chunk], Values]
    n_rows: Callable[[Values], int]
    cut: Callable[[Values, int, int], Values]
    join: Callable[[Sequence[Values]], Values]


def _flat_rows(values: Values) -> int:
    return len(values[0])


def _flat_cut(values: Values, start: int, stop: int) -> Values:
    return tuple(each[start:stop] for each in values)


def _flat_join(parts: Sequence[Values]) -> Values:
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def _text_cut(values: Values, start: int, stop: int) -> Values:
    offsets, data, valid = values
    return offsets[start : stop + 1], data, None if valid is None else valid[start:stop]


def _text_join(parts: Sequence[Values]) -> Values:
    n_bytes = 0
    all_offsets: list[Any] = [np.zeros(1, np.int64)]
    for offsets, _, _ in parts:
        all_offsets.append(offsets[1:] - offsets[0] + n_bytes)
        n_bytes += int(offsets[-1] - offsets[0])
    data = np.concatenate([data[offsets[0] : offsets[-1]] for offsets, data, _ in parts])
    return np.concatenate(all_offsets), data, _join_valid(parts, [len(offsets) - 1 for offsets, _, _ in parts])


def _uuid_cut(values: Values, start: int, stop: int) -> Values:
    words, valid = values
    return words[2 * start : 2 * stop], None if valid is None else valid[start:stop]


def _uuid_join(parts: Sequence[Values]) -> Values:
    return np.concatenate([words for words, _ in parts]), _join_valid(parts, [len(words) // 2 for words, _ in parts])


def _join_valid(parts: Sequence[Values], n_rows: Sequence[int]) -> Any:
    if all(values[-1] is None for values in parts):
        return None
    masks = [
        np.ones(n, np.bool_) if values[-1] is None else values[-1] for values, n in zip(parts, n_rows, strict=True)
    ]
    return np.concatenate(masks)


INT = Family("int", encode_int, lambda chunk: (decode_int(chunk),), _flat_rows, _flat_cut, _flat_join)
REAL = Family("real", encode_real, lambda chunk: (decode_real(chunk),), _flat_rows, _flat_cut, _flat_join)
DECIMAL = Family("decimal", encode_decimal, lambda chunk: (decode_real(chunk),), _flat_rows, _flat_cut, _flat_join)
TEXT = Family("text", encode_text, decode_text, lambda values: len(values[0]) - 1, _text_cut, _text_join)
UUID = Family("uuid", encode_uuid, decode_uuid, lambda values: len(values[0]) // 2, _uuid_cut, _uuid_join)
