"""Chunks as the words that a woven loop reads, and what is common to the chunks of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import Codec
from hydroscope.weave.fragments import FUSABLE, SLOT, ColumnFlags
from hydroscope.weave.recipe import Family

__all__ = ["LeafCodecs", "common_flags", "describe", "survey"]

_POWERS = [int(np.float64(10.0**d).view(np.int64)) for d in range(23)]
_INVERSES = [int(np.float64(1.0 / 10.0**d).view(np.int64)) for d in range(23)]
_RAW_LIMIT = {Codec.INT8: 254, Codec.INT16: 65_534, Codec.INT32: 2**32 - 2}
_EXACT = 2**53
_NO_INNER = (0,) * (SLOT // 2)


@dataclass(frozen=True, slots=True)
class LeafCodecs:
    """One leaf of one column, as far as the choice of loops needs it."""

    codecs: tuple[Codec, ...]
    rows: tuple[int, ...]
    fusable: tuple[bool, ...]
    flags: ColumnFlags


def survey(family: Family, chunks: Sequence[Chunk]) -> LeafCodecs:
    """Look at one leaf's chunks, not at their values. Cost: about 1 us a chunk."""
    table = FUSABLE[family]
    missing = decimals = False
    narrow = True
    fusable = []
    for chunk in chunks:
        codec = chunk.codec
        missing |= chunk.n_missing > 0
        decimals |= chunk.decimals > 0
        exact = True
        if codec in _RAW_LIMIT:
            bias, step = chunk.bias, chunk.step
            last = bias + step * _RAW_LIMIT[codec]
            narrow &= min(bias, last) >= -(2**31) and max(bias, last) < 2**31
            exact = family == "int" or (abs(bias) <= _EXACT and abs(step) <= _EXACT)
        fusable.append(codec in table and exact)
    rows = tuple(chunk.n_rows for chunk in chunks)
    return LeafCodecs(
        tuple(chunk.codec for chunk in chunks), rows, tuple(fusable), ColumnFlags(missing, decimals, narrow)
    )


def common_flags(leaves: Sequence[LeafCodecs]) -> ColumnFlags:
    """Return what holds for a whole column."""
    return ColumnFlags(
        any(leaf.flags.missing for leaf in leaves),
        any(leaf.flags.decimals for leaf in leaves),
        all(leaf.flags.narrow for leaf in leaves),
    )


def describe(
    families: Sequence[Family], leaf: Sequence[Sequence[Chunk]], outs: Sequence[int], words: list[int]
) -> None:
    """Append the description of one leaf to `words`, one row a chunk (see `weave.fragments`).

    Parameters
    ----------
    leaf : sequence of sequence of Chunk
        For each column, its chunks.
    outs : sequence of int
        Addresses of the new columns' first rows in this leaf, 8 bytes a row.
    words : list of int
        Appended to: rows; SLOT words a column; one address a new column.
    """
    offset = 0
    for chunks in zip(*leaf, strict=True):
        n_rows = chunks[0].n_rows
        words.append(n_rows)
        for family, chunk in zip(families, chunks, strict=True):
            assert chunk.n_rows == n_rows
            _column(family == "real", chunk, words)
            inner = chunk.inner
            if inner is None:
                words += _NO_INNER
            else:
                _column(family == "real", inner, words)
        words += [out + 8 * offset for out in outs]
        offset += n_rows


def _column(real: bool, chunk: Chunk, words: list[int]) -> None:
    buffers = chunk.buffers
    n = len(buffers)
    first = buffers[0].__array_interface__["data"][0] if n else 0
    if chunk.codec == Codec.SPARSE:
        second = len(buffers[0])
    else:
        second = buffers[1].__array_interface__["data"][0] if n > 1 else 0
    d = chunk.decimals
    words += (first, second, chunk.bias, chunk.step, _POWERS[d], _INVERSES[d], int(chunk.codec), int(real))


def address(array: npt.NDArray[np.generic]) -> int:
    """Return where an array's data lie."""
    return int(array.__array_interface__["data"][0])
