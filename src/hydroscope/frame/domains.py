"""Levels of enum columns: united, found again, and recoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import decode_leaf, encode_leaf
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

__all__ = ["look_up", "recode", "unite"]

Table = npt.NDArray[np.int64]


def unite(domains: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], list[Table]]:
    """Return the sorted union of domains, and for each of them its codes' new codes.

    Examples
    --------
    >>> unite([("a", "c"), ("b", "c")])
    (('a', 'b', 'c'), [array([0, 2]), array([1, 2])])
    """
    united = tuple(sorted(set().union(*domains)))
    code = {level: i for i, level in enumerate(united)}
    return united, [np.array([code[level] for level in domain], np.int64) for domain in domains]


def recode(vec: Vec, domain: tuple[str, ...], table: Table) -> Vec:
    """Return the enum column with another domain; code c becomes table[c]. Cost: one pass, free if none changes."""
    if vec.domain == domain or np.array_equal(table, np.arange(len(table))):
        return vec if vec.domain == domain else Vec(VecType.ENUM, vec.layout, vec.leaves, domain)
    items = [(leaf, table) for leaf in vec.leaves]
    return Vec(VecType.ENUM, vec.layout, tuple(ports.current().map(_recode_leaf, items)), domain)


def look_up(codes: npt.NDArray[np.int64], table: Table) -> npt.NDArray[np.int64]:
    """Return table[code], and missing where the code is missing."""
    gone = codes == INT_MISSING
    if len(table) == 0:
        return codes
    return np.where(gone, INT_MISSING, table[np.where(gone, 0, codes)])


def _recode_leaf(chunks: tuple[Chunk, ...], table: Table) -> tuple[Chunk, ...]:
    bounds = np.cumsum([0, *(chunk.n_rows for chunk in chunks)])
    return encode_leaf(VecType.ENUM, bounds, look_up(decode_leaf(VecType.ENUM, chunks), table))
