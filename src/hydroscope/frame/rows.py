"""Which rows: slices, filters, splits, and rows of several frames one after the other.

A slice keeps the chunks it covers wholly as they are (they are shared) and cuts the two at
its ends::

    chunks    |----0----|----1----|----2----|----3--|
    rows           [a                  b)
    result         |-0'-|----1----|-2'-|

A filter first makes, leaf by leaf, the list of rows that stay; then new chunks of full size
are gathered from as many old leaves as it takes, so that a filter that keeps little does
not leave thousands of tiny chunks behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import concat_values, decode_leaf, encode_leaf, slice_values, take_values, values_length
from hydroscope.frame.domains import recode, unite
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground import rng
from hydroscope.ground.errors import DataError, UserError
from hydroscope.node import ports

__all__ = ["concat_rows", "filter_rows", "rechunk", "slice_rows", "split_rows"]

Pick = tuple[int, int, int, int]
"""Leaf among those given, chunk in that leaf, first and last+1 row in that chunk."""

TINY = 4
"""Chunks for each one that a regular layout would have, from which on rows are laid out anew."""


def slice_rows(vecs: dict[str, Vec], layout: Layout, start: int, stop: int) -> tuple[dict[str, Vec], Layout]:
    """Return rows start..stop. Cost: whole chunks are shared, the two at the ends are encoded anew."""
    start, stop = max(start, 0), min(stop, layout.n_rows)
    if start == 0 and stop == layout.n_rows:
        return dict(vecs), layout
    if start >= stop:
        empty = Layout.regular(0)
        return {name: Vec(vec.type, empty, (), vec.domain) for name, vec in vecs.items()}, empty
    first = int(np.searchsorted(layout.starts, start, side="right")) - 1
    last = int(np.searchsorted(layout.starts, stop, side="left"))
    starts = np.clip(layout.starts[first : last + 1], start, stop) - start
    cut = Layout(starts)
    sources = []
    leaf_of = _leaf_of_chunk(layout)
    for chunk in range(first, last):
        low, high = int(layout.starts[chunk]), int(layout.starts[chunk + 1])
        leaf = int(leaf_of[chunk])
        sources.append((leaf, chunk - layout.leaves[leaf][0], max(start, low) - low, min(stop, high) - low))
    return {name: _gathered(vec.type, vec.domain, vec.leaves, sources, cut) for name, vec in vecs.items()}, cut


def rechunk(vec: Vec, layout: Layout) -> Vec:
    """Return the column cut as `layout` says. Cost: free when it is already, else one pass."""
    if vec.layout.same_rows(layout):
        return vec if vec.layout is layout else Vec(vec.type, layout, vec.leaves, vec.domain)
    if vec.n_rows != layout.n_rows:
        raise UserError(
            f"a column of {vec.n_rows:,} rows does not fit a frame of {layout.n_rows:,} rows; both must have the same"
        )
    items = []
    for leaf, (first, last) in enumerate(layout.leaves):
        start, stop = layout.leaf_rows(leaf)
        spans, handles = _spanned(vec.layout, start, stop)
        bounds = layout.starts[first : last + 1] - start
        items.append((vec.type, bounds, spans, *(vec.leaves[i] for i in handles)))
    return Vec(vec.type, layout, tuple(ports.current().map(_recut, items)), vec.domain)


def filter_rows(
    vecs: dict[str, Vec], layout: Layout, kept: Sequence[ports.Handle], counts: Sequence[int]
) -> tuple[dict[str, Vec], Layout]:
    """Return the rows that are kept, in order.

    Parameters
    ----------
    kept : one handle a leaf, each of an int32 array of ascending rows within the leaf
    counts : how many rows each of them has

    Notes
    -----
    Cost: one pass over the chunks that keep a row.
    """
    ends = np.cumsum(np.asarray([0, *counts], np.int64))
    result = Layout.regular(int(ends[-1]))
    plans = []
    for leaf, (first, last) in enumerate(result.leaves):
        start, stop = result.leaf_rows(leaf)
        low = int(np.searchsorted(ends, start, side="right")) - 1
        high = int(np.searchsorted(ends, stop, side="left"))
        sources = [i for i in range(low, high) if counts[i]]
        spans = tuple((max(start - int(ends[i]), 0), min(stop - int(ends[i]), counts[i])) for i in sources)
        plans.append((result.starts[first : last + 1] - start, spans, sources))
    items = []
    for vec in vecs.values():
        for bounds, spans, sources in plans:
            pairs = [handle for i in sources for handle in (vec.leaves[i], kept[i])]
            items.append((vec.type, bounds, spans, *pairs))
    handles = ports.current().map(_take, items)
    n = len(plans)
    return {
        name: Vec(vec.type, result, tuple(handles[i * n : (i + 1) * n]), vec.domain)
        for i, (name, vec) in enumerate(vecs.items())
    }, result


def split_rows(
    vecs: dict[str, Vec], layout: Layout, ratios: Sequence[float], seed: int
) -> list[tuple[dict[str, Vec], Layout]]:
    """Return parts of random rows, each in the order of the whole. Cost: one pass."""
    edges = np.cumsum(np.asarray(ratios, np.float64))
    stream = rng.key(seed, 0x5711)
    items = [(stream, *layout.leaf_rows(leaf), edges) for leaf in range(len(layout.leaves))]
    n_parts = len(edges) + 1
    results = ports.current().map(_draw, items, n_returns=n_parts + 1)
    all_counts = ports.current().get([each[-1] for each in results])
    return [
        filter_rows(vecs, layout, [each[part] for each in results], [int(each[part]) for each in all_counts])
        for part in range(n_parts)
    ]


def concat_rows(parts: Sequence[tuple[dict[str, Vec], Layout]]) -> tuple[dict[str, Vec], Layout]:
    """Return the rows of all parts, one after the other; all have the same column names.

    Cost: chunks are shared, except of columns whose type or levels differ between parts.
    """
    starts = [np.zeros(1, np.int64)]
    for _, layout in parts:
        starts.append(layout.starts[1:] + starts[-1][-1])
    whole = Layout(np.concatenate(starts))
    sources: list[Pick] = []
    n_leaves = 0
    for _, layout in parts:
        sizes = np.diff(layout.starts).tolist()
        for leaf, (first, last) in enumerate(layout.leaves):
            sources += [(n_leaves + leaf, i - first, 0, sizes[i]) for i in range(first, last)]
        n_leaves += len(layout.leaves)
    vecs = {}
    regular = Layout.regular(whole.n_rows)
    for name in parts[0][0]:
        same = _one_type(name, [vecs_[name] for vecs_, _ in parts])
        leaves = tuple(leaf for vec in same for leaf in vec.leaves)
        vecs[name] = _gathered(same[0].type, same[0].domain, leaves, sources, whole)
        if whole.n_chunks > TINY * regular.n_chunks + TINY:
            vecs[name] = rechunk(vecs[name], regular)
    return vecs, next(iter(vecs.values())).layout if vecs else whole


def _one_type(name: str, vecs: list[Vec]) -> list[Vec]:
    """Return the columns in one type and with one domain."""
    from hydroscope.frame.convert import converted

    types = {vec.type for vec in vecs}
    if types == {VecType.ENUM}:
        domain, tables = unite([vec.domain or () for vec in vecs])
        return [recode(vec, domain, table) for vec, table in zip(vecs, tables, strict=True)]
    if len(types) == 1:
        return vecs
    for wide, narrow in (
        (VecType.REAL, {VecType.REAL, VecType.INT, VecType.BOOL}),
        (VecType.INT, {VecType.INT, VecType.BOOL}),
        (VecType.STRING, {VecType.STRING, VecType.ENUM}),
    ):
        if wide in types and types <= narrow:
            return [converted(vec, wide, name) for vec in vecs]
    gone = [vec for vec in vecs if vec.type is VecType.REAL and _all_missing(vec)]
    others = [vec for vec in vecs if vec not in gone]
    if gone and len({vec.type for vec in others}) == 1:
        return _one_type(name, [_nothing(others[0], vec.layout) if vec in gone else vec for vec in vecs])
    kinds = " and ".join(sorted(types))
    raise DataError(f"column {name!r} is {kinds} in the frames to join; make them one type with astype() before")


def _all_missing(vec: Vec) -> bool:
    from hydroscope.frame.rollups import rollups

    return rollups(vec).n_missing == vec.n_rows


def _nothing(like: Vec, layout: Layout) -> Vec:
    """Return a column of missing values of the type of `like`."""
    items = []
    for first, last in layout.leaves:
        items.append((like.type, layout.starts[first : last + 1] - layout.starts[first]))
    return Vec(like.type, layout, tuple(ports.current().map(_missing_leaf, items)), like.domain)


def _missing_leaf(type: VecType, bounds: npt.NDArray[np.int64]) -> tuple[Chunk, ...]:
    from hydroscope.codecs.table import Codec

    return tuple(Chunk(Codec.MISSING, n, n) for n in np.diff(bounds).tolist())


def _leaf_of_chunk(layout: Layout) -> npt.NDArray[np.int64]:
    sizes = [last - first for first, last in layout.leaves]
    return np.repeat(np.arange(len(sizes)), sizes)


def _gathered(
    type: VecType,
    domain: tuple[str, ...] | None,
    leaves: Sequence[ports.Handle],
    sources: Sequence[Pick],
    layout: Layout,
) -> Vec:
    """Return the column whose chunks are the given pieces of chunks, in order."""
    items = []
    for first, last in layout.leaves:
        here = sources[first:last]
        needed = sorted({leaf for leaf, *_ in here})
        place = {leaf: i for i, leaf in enumerate(needed)}
        picks = tuple((place[leaf], chunk, low, high) for leaf, chunk, low, high in here)
        items.append((type, picks, *(leaves[leaf] for leaf in needed)))
    return Vec(type, layout, tuple(ports.current().map(_pick, items)), domain)


def _pick(type: VecType, picks: Sequence[Pick], *leaves: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    chunks = []
    for leaf, index, low, high in picks:
        chunk = leaves[leaf][index]
        if low > 0 or high < chunk.n_rows:
            part = slice_values(type, decode_leaf(type, [chunk]), low, high)
            (chunk,) = encode_leaf(type, np.array([0, high - low]), part)
        chunks.append(chunk)
    return tuple(chunks)


def _spanned(layout: Layout, start: int, stop: int) -> tuple[tuple[tuple[int, int], ...], list[int]]:
    """Return which rows of which leaves make up rows start..stop."""
    borders = [layout.leaf_rows(leaf) for leaf in range(len(layout.leaves))]
    firsts = [first for first, _ in borders]
    low = int(np.searchsorted(firsts, start, side="right")) - 1
    spans, leaves = [], []
    for leaf in range(low, len(borders)):
        first, last = borders[leaf]
        if first >= stop:
            break
        spans.append((max(start, first) - first, min(stop, last) - first))
        leaves.append(leaf)
    return tuple(spans), leaves


def _recut(
    type: VecType, bounds: npt.NDArray[np.int64], spans: Sequence[tuple[int, int]], *leaves: tuple[Chunk, ...]
) -> tuple[Chunk, ...]:
    parts = []
    for (low, high), chunks in zip(spans, leaves, strict=True):
        parts.append(slice_values(type, decode_leaf(type, chunks), low, high))
    return encode_leaf(type, bounds, concat_values(type, parts))


def _take(
    type: VecType, bounds: npt.NDArray[np.int64], spans: Sequence[tuple[int, int]], *pairs: Any
) -> tuple[Chunk, ...]:
    """Encode one leaf of a filter's result; `pairs` are the leaves it comes from and their kept rows."""
    parts = []
    for i, (low, high) in enumerate(spans):
        chunks, kept = pairs[2 * i], pairs[2 * i + 1][low:high]
        first_row = 0
        for chunk in chunks:
            # Of the rows' own dtype, or all of them would be converted for it.
            a, b = np.searchsorted(kept, np.array([first_row, first_row + chunk.n_rows], kept.dtype))
            if b > a:
                rows = kept[a:b].astype(np.int64) - first_row
                values = decode_leaf(type, [chunk])
                whole = len(rows) == values_length(type, values)
                parts.append(values if whole else take_values(type, values, rows))
            first_row += chunk.n_rows
    return encode_leaf(type, bounds, concat_values(type, parts))


def _draw(stream: int, start: int, stop: int, edges: npt.NDArray[np.float64]) -> tuple[Any, ...]:
    """Return the rows of each part, and their counts: row i's part is a hash of the seed and i."""
    part = np.searchsorted(edges, rng.uniforms(stream, start, stop - start), side="right")
    rows = [np.flatnonzero(part == each).astype(np.int32) for each in range(len(edges) + 1)]
    return (*rows, np.array([len(each) for each in rows]))
