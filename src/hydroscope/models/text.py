"""Text as features: columns with few distinct values are categories, others are left out with a word.

The rule: a text column has few distinct values when they are at most a tenth of the rows
(20 are always few), and at most 1,000. Names, codes of places and kinds pass; remarks, names
of people and numbers of aircraft do not. Who names a column in `x=[...]`, or makes levels of
it before (`astype("enum")`), is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import decode_leaf
from hydroscope.frame.arrow_out import arrow_array
from hydroscope.frame.convert import converted
from hydroscope.frame.vec import Vec, VecType
from hydroscope.node import ports

__all__ = ["FEW_LEVELS", "LEVELS_MAX", "ROWS_PER_LEVEL", "as_levels", "few_levels_max", "usable"]

LEVELS_MAX = 1000
"""Distinct values of a text column that is taken as a category unasked."""

FEW_LEVELS = 20
"""Distinct values that are few in any table."""

ROWS_PER_LEVEL = 10
"""Rows a distinct value must have on average."""


def few_levels_max(n_rows: int) -> int:
    """Return how many distinct values of text are few among `n_rows`."""
    return min(LEVELS_MAX, max(FEW_LEVELS, n_rows // ROWS_PER_LEVEL))


def as_levels(name: str, vec: Vec) -> Vec:
    """Return a text column as levels, any other as it is. Cost: one pass."""
    return converted(vec, VecType.ENUM, name) if vec.type is VecType.STRING else vec


def usable(vecs: Mapping[str, Vec]) -> tuple[dict[str, Vec], tuple[str, ...]]:
    """Return the columns that can be features, text with few values as levels, and a sentence on each other one.

    Cost: two passes over columns of text, none over others.
    """
    found: dict[str, Vec] = {}
    left_out = []
    for name, vec in vecs.items():
        if vec.type is VecType.STRING:
            limit = few_levels_max(vec.n_rows)
            if _has_at_most(vec, limit):
                found[name] = as_levels(name, vec)
            else:
                left_out.append(
                    f"column {name!r} holds text with more than {limit:,} distinct values and is left out; "
                    f"to learn from it, make levels of it with astype('enum') or name it in x=[...]"
                )
        elif vec.type is VecType.UUID:
            left_out.append(f"column {name!r} is of type uuid, every row has its own, and is left out")
        else:
            found[name] = vec
    return found, tuple(left_out)


def _has_at_most(vec: Vec, limit: int) -> bool:
    """Tell whether a text column has at most `limit` distinct values, missing ones not counted."""
    engine = ports.current()
    seen: set[bytes] = set()
    for part in engine.get(list(engine.map(_distinct_of_leaf, [(leaf, limit) for leaf in vec.leaves]))):
        seen.update(part)
    return len(seen) <= limit


def _distinct_of_leaf(chunks: tuple[Chunk, ...], limit: int) -> list[Any]:
    """Return up to limit + 1 distinct values of one leaf."""
    import pyarrow as pa

    array = arrow_array(VecType.STRING, decode_leaf(VecType.STRING, chunks)).cast(pa.large_binary())
    distinct: list[Any] = array.drop_null().unique()[: limit + 1].to_pylist()
    return distinct
