"""A column of one type as a column of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import decode_leaf, encode_leaf
from hydroscope.frame.arrow_in import vec_from_arrow
from hydroscope.frame.arrow_out import arrow_array
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

__all__ = ["converted"]


def converted(vec: Vec, wanted: VecType, name: str) -> Vec:
    """Return the column as another type; what does not fit is an error that names it.

    Cost: one pass (free when it is of that type already).
    """
    if vec.type is wanted:
        return vec
    if vec.type is VecType.BOOL and wanted is VecType.INT:
        return Vec(wanted, vec.layout, vec.leaves)
    if vec.type in (VecType.INT, VecType.BOOL) and wanted is VecType.REAL:
        leaves = ports.current().map(_to_real, [(vec.type, leaf) for leaf in vec.leaves])
        return Vec(wanted, vec.layout, tuple(leaves))
    import pyarrow as pa

    engine = ports.current()
    arrays = [_exported(vec.type, vec.domain, engine.get(leaf)) for leaf in vec.leaves]
    whole = pa.chunked_array(arrays or [arrow_array(vec.type, _nothing(vec), vec.domain)])
    return vec_from_arrow(name, whole, vec.layout, wanted)


def _to_real(type: VecType, chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    bounds = np.cumsum([0, *(chunk.n_rows for chunk in chunks)])
    return encode_leaf(VecType.REAL, bounds, as_real(decode_leaf(type, chunks)))


def as_real(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return ints as the nearest floats, missing ones as NaN."""
    reals = values.astype(np.float64)
    reals[values == INT_MISSING] = np.nan
    return reals


def _exported(type: VecType, domain: tuple[str, ...] | None, chunks: tuple[Chunk, ...]) -> Any:
    return arrow_array(type, decode_leaf(type, chunks), domain)


def _nothing(vec: Vec) -> Any:
    from hydroscope.frame.access import column_values

    return column_values(vec)
