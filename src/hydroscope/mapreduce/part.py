"""Some rows of what `map_leaves` is given: how an engine finds the row that kills processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hydroscope.chunks.rows import slice_chunk
from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.encode import encode_int, encode_real
from hydroscope.mapreduce.run import Order
from hydroscope.weave import loop
from hydroscope.weave.columns import Survey, survey

__all__ = ["name_of", "part_of", "rows_of", "warm_up"]

Arguments = tuple[Any, ...]


def warm_up() -> None:
    """Load what is needed to read chunks: who forks afterwards has it. Cost: about a second, once a process."""
    numbers = np.arange(300)
    decode_int(slice_chunk(encode_int(numbers * 1000), 1, 200))
    decode_int(encode_int(numbers % 2))
    decode_real(slice_chunk(encode_real(numbers / 10), 1, 200))


def name_of(order: Order, *_: Any) -> str:
    """Return what the user calls it."""
    return order.recipe.name


def rows_of(order: Order, number: int, first_row: int, *chunks: tuple[Chunk, ...]) -> tuple[int, int]:
    """Return the first row of the frame, and the one behind the last."""
    n_rows = sum(chunk.n_rows for leaf in chunks[:: len(order.recipe.families)] for chunk in leaf)
    return first_row, first_row + n_rows


def part_of(low: int, high: int, order: Order, number: int, first_row: int, *chunks: tuple[Chunk, ...]) -> Arguments:
    """Return the arguments for rows low..high, counted from the first one, as a single leaf.

    Cost: O(rows kept); the loops are planned again, for a part may be stored in other codecs.
    """
    recipe = order.recipe
    n_columns = len(recipe.families)
    columns: list[tuple[Chunk, ...]] = []
    for k in range(n_columns):
        kept, at = [], 0
        for chunk in (chunk for leaf in chunks[k::n_columns] for chunk in leaf):
            first, last = max(low - at, 0), min(high - at, chunk.n_rows)
            if first < last:
                kept.append(slice_chunk(chunk, first, last))
            at += chunk.n_rows
        columns.append(tuple(kept))
    if order.loops is not None:
        surveys = [Survey((survey(family, kept),)) for family, kept in zip(recipe.families, columns, strict=True)]
        order = replace(order, loops=loop.prepare(recipe, surveys))
    return order, 0, first_row + low, *columns
