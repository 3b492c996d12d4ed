"""Chunks as the words that a woven loop reads, and what is common to the chunks of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import Codec
from hydroscope.weave.fragments import FUSABLE, ROWS, SLOT, ColumnFlags
from hydroscope.weave.recipe import Family

__all__ = ["LeafCodecs", "Survey", "address", "common_flags", "describe", "survey"]

Words = npt.NDArray[np.int64]

_POWERS = [int(np.float64(10.0**d).view(np.int64)) for d in range(23)]
_INVERSES = [int(np.float64(1.0 / 10.0**d).view(np.int64)) for d in range(23)]
_RAW_LIMIT = {Codec.INT8: 254, Codec.INT16: 65_534, Codec.INT32: 2**32 - 2}
_EXACT = 2**53
_NO_INNER = (0,) * 8


@dataclass(frozen=True, slots=True)
class LeafCodecs:
    """One leaf of one column, as far as the choice of loops needs it."""

    codecs: tuple[Codec, ...]
    rows: tuple[int, ...]
    fusable: tuple[bool, ...]
    flags: ColumnFlags


@dataclass(frozen=True, eq=False)
class Survey:
    """All leaves of one column. Equal only to itself: who has seen it need not look again."""

    leaves: tuple[LeafCodecs, ...]


def survey(family: Family, chunks: Sequence[Chunk]) -> LeafCodecs:
    """Look at one leaf's chunks, not at their values. Cost: about 1 us a chunk."""
    table = FUSABLE[family]
    missing = decimals = False
    narrow = tiny = unit = True
    fusable = []
    for chunk in chunks:
        codec = chunk.codec
        missing |= chunk.n_missing > 0
        decimals |= chunk.decimals > 0
        exact = True
        if codec in _RAW_LIMIT:
            bias, step = chunk.bias, chunk.step
            last = bias + step * _RAW_LIMIT[codec]
            low, high = min(bias, last), max(bias, last)
            narrow &= low >= -(2**31) and high < 2**31
            unit &= step == 1
            tiny &= low >= -(2**11) and high < 2**11
            exact = family == "int" or (abs(bias) <= _EXACT and abs(step) <= _EXACT)
        fusable.append(codec in table and exact)
    rows = tuple(chunk.n_rows for chunk in chunks)
    return LeafCodecs(
        tuple(chunk.codec for chunk in chunks),
        rows,
        tuple(fusable),
        ColumnFlags(missing, decimals, narrow, tiny, unit),
    )


def common_flags(leaves: Sequence[LeafCodecs]) -> ColumnFlags:
    """Return what holds for a whole column."""
    return ColumnFlags(
        any(leaf.flags.missing for leaf in leaves),
        any(leaf.flags.decimals for leaf in leaves),
        all(leaf.flags.narrow for leaf in leaves),
        all(leaf.flags.tiny for leaf in leaves),
        all(leaf.flags.unit for leaf in leaves),
    )


def describe(families: Sequence[Family], leaf: Sequence[Sequence[Chunk]]) -> Words:
    """Return the description of one leaf: one row a chunk, SLOT words a column (see `weave.fragments`).

    Cost: about 3 us a chunk of each column. `leaf` holds the chunks by column.
    """
    parts = [_words(family == "real", chunks) for family, chunks in zip(families, leaf, strict=True)]
    assert all(np.array_equal(words[:, ROWS], parts[0][:, ROWS]) for words in parts)
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def _words(real: bool, chunks: Sequence[Chunk]) -> Words:
    words: list[int] = []
    for chunk in chunks:
        _column(real, chunk, words)
        if chunk.inner is None:
            words += _NO_INNER
        else:
            _column(real, chunk.inner, words)
        words.append(chunk.n_rows)
    return np.array(words, dtype=np.int64).reshape(-1, SLOT)


def _column(real: bool, chunk: Chunk, words: list[int]) -> None:
    buffers = chunk.buffers
    n = len(buffers)
    first = address(buffers[0]) if n else 0
    if chunk.codec == Codec.SPARSE:
        second = len(buffers[0])
    else:
        second = address(buffers[1]) if n > 1 else 0
    d = chunk.decimals
    words += (first, second, chunk.bias, chunk.step, _POWERS[d], _INVERSES[d], int(chunk.codec), int(real))


def address(array: npt.NDArray[Any]) -> int:
    """Return where an array's data lie."""
    return int(array.__array_interface__["data"][0])
