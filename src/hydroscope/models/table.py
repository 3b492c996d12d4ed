"""What a model is fed: features by name and type, out of frames and arrays alike.

A `Table` is either a frame's columns (compressed, leaf by leaf, wherever the engine keeps
them) or one NumPy matrix. Models ask it for a sample of a feature, for the counts of a
feature's levels, and for the rows as words of bins, block by block; never for everything at
float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.access import decode_leaf
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.ground.limits import INT_MISSING, ROWS_PER_LEAF
from hydroscope.models.tree import binning
from hydroscope.models.tree.binning import FeatureBins
from hydroscope.node import ports

__all__ = ["BLOCK_ROWS", "Cut", "Table", "adapt", "bin_edges", "cut_rows", "words_of"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

BLOCK_ROWS = 4 * ROWS_PER_LEAF
"""Rows of one task of an engine that is not of this process."""

NUMBERS = frozenset({VecType.INT, VecType.REAL, VecType.BOOL, VecType.TIME})


@dataclass(frozen=True)
class Table:
    """Features of some rows.

    Attributes
    ----------
    names : tuple of str
    types : tuple of VecType
    domains : tuple of (tuple of str or None)
        Levels of ENUM features.
    n_rows : int
    array : ndarray, shape (n_rows, n_features), or None
    vecs : tuple of Vec
        Columns, when there is no array.
    """

    names: tuple[str, ...]
    types: tuple[VecType, ...]
    domains: tuple[tuple[str, ...] | None, ...]
    n_rows: int
    array: npt.NDArray[Any] | None = None
    vecs: tuple[Vec, ...] = ()

    @classmethod
    def of_array(cls, array: npt.NDArray[Any], names: Sequence[str] | None = None) -> Table:
        """Return the table of a matrix of numbers; features are called x0, x1, ... unless named."""
        n_rows, n_features = array.shape
        found = tuple(names) if names is not None else tuple(f"x{j}" for j in range(n_features))
        return cls(found, (VecType.REAL,) * n_features, (None,) * n_features, n_rows, array)

    @classmethod
    def of_vecs(cls, names: Sequence[str], vecs: Sequence[Vec]) -> Table:
        """Return the table of a frame's columns; text and UUIDs are refused."""
        for name, vec in zip(names, vecs, strict=True):
            if vec.type not in NUMBERS and vec.type is not VecType.ENUM:
                raise UserError(
                    f"column {name!r} is of type {vec.type}: a feature must be int, real, bool, time or enum; "
                    "leave it out with x=[...]"
                )
        n_rows = vecs[0].n_rows if vecs else 0
        return cls(tuple(names), tuple(v.type for v in vecs), tuple(v.domain for v in vecs), n_rows, None, tuple(vecs))

    @property
    def layout(self) -> Layout:
        """How the rows are cut."""
        return self.vecs[0].layout if self.vecs else Layout.regular(self.n_rows)


@dataclass(frozen=True)
class Cut:
    """Rows cut into blocks.

    Attributes
    ----------
    bounds : tuple of (int, int)
        First and last+1 row of each block.
    leaves : tuple of (int, int)
        First and last+1 leaf of each block (frames).
    threads : bool
        Whether the one block is in this process and tasks may spread over its threads.
    """

    bounds: tuple[tuple[int, int], ...]
    leaves: tuple[tuple[int, int], ...]
    threads: bool

    @property
    def sizes(self) -> list[int]:
        """Rows of each block."""
        return [b - a for a, b in self.bounds]

    def slices(self, values: npt.NDArray[Any]) -> list[Any]:
        """Return a handle of each block's part of an array with one value a row."""
        engine = ports.current()
        return [engine.put(values[a:b] if len(values) else values) for a, b in self.bounds]


def cut_rows(table: Table, block_rows: int | None = None) -> Cut:
    """Cut a table into blocks: one on the local engine, else whole leaves of about BLOCK_ROWS.

    `block_rows` (a multiple of 8,192) asks for blocks of that size on any engine.
    """
    n = table.n_rows
    layout = table.layout
    n_leaves = len(layout.leaves)
    if block_rows is None and ports.current().name == "local":
        return Cut(((0, n),), ((0, n_leaves),), True)
    size = block_rows or BLOCK_ROWS
    if table.array is not None:
        bounds = tuple((a, min(a + size, n)) for a in range(0, n, size))
        return Cut(bounds, (), False)
    leaves: list[tuple[int, int]] = []
    first = 0
    for leaf in range(n_leaves):
        if layout.leaf_rows(leaf)[1] - layout.leaf_rows(first)[0] >= size or leaf == n_leaves - 1:
            leaves.append((first, leaf + 1))
            first = leaf + 1
    rows = tuple((layout.leaf_rows(a)[0], layout.leaf_rows(b - 1)[1]) for a, b in leaves)
    return Cut(rows, tuple(leaves), False)


def words_of(table: Table, bins: Sequence[FeatureBins], cut: Cut) -> list[Any]:
    """Return handles of each block's words (see `tree.histogram`). Cost: one pass over the values."""
    engine = ports.current()
    if table.array is not None:
        if cut.threads:
            return [binning.bin_array(bins, table.array, True)]
        parts = [(bins, engine.put(np.ascontiguousarray(table.array[a:b])), False) for a, b in cut.bounds]
        return list(engine.map(binning.bin_array, parts))
    items = []
    for first, last in cut.leaves:
        n_rows = [b - a for a, b in map(table.layout.leaf_rows, range(first, last))]
        handles = [vec.leaves[leaf] for leaf in range(first, last) for vec in table.vecs]
        items.append((bins, table.types, n_rows, cut.threads, *handles))
    return list(engine.map(binning.bin_leaves, items))


def bin_edges(table: Table, kept: npt.NDArray[np.bool_] | None, target: F64, max_bins: int) -> tuple[FeatureBins, ...]:
    """Find how each feature's values become bins, from the rows that are kept.

    Cost: a sort of up to 200,000 values a feature; a pass over every category.
    """
    if kept is None:
        rows = binning.sample_rows_evenly(table.n_rows)
    else:
        present = np.flatnonzero(kept)
        rows = present[binning.sample_rows_evenly(len(present))]
    tasks = [j for j in range(len(table.names)) if table.domains[j] is None]
    edges: dict[int, F64] = {}
    if table.array is not None:
        values = table.array[rows] if len(rows) < table.n_rows else table.array

        def cut_column(i: int) -> F64:
            return binning.number_edges(np.asarray(values[:, tasks[i]], np.float64), max_bins)

        edges = dict(zip(tasks, ports.current().parallel(cut_column, len(tasks)), strict=True))
    elif tasks:
        edges = dict(zip(tasks, _frame_edges(table, rows, tasks, max_bins), strict=True))
    found = []
    for j, name in enumerate(table.names):
        domain = table.domains[j]
        if domain is None:
            found.append(FeatureBins(name, edges[j], None, np.zeros(0, np.uint8)))
        else:
            counts, sums = _level_sums(table, j, kept, target, len(domain) > max_bins)
            found.append(FeatureBins(name, np.zeros(0), domain, binning.level_bins(counts, sums, max_bins)))
    return tuple(found)


def _frame_edges(table: Table, rows: I64, features: list[int], max_bins: int) -> list[F64]:
    layout = table.layout
    bounds = np.array([layout.leaf_rows(leaf)[0] for leaf in range(len(layout.leaves))] + [table.n_rows])
    cuts = np.searchsorted(rows, bounds)
    picks = [rows[cuts[i] : cuts[i + 1]] - bounds[i] for i in range(len(bounds) - 1)]
    items = [(table.types[j], max_bins, picks, *table.vecs[j].leaves) for j in features]
    engine = ports.current()
    return list(engine.get(list(engine.map(_edges_of_column, items))))


def _edges_of_column(type: VecType, max_bins: int, picks: list[I64], *leaves: Any) -> F64:
    """Return the edges of one column from the given rows of its leaves."""
    parts = []
    for pick, leaf in zip(picks, leaves, strict=True):
        values = decode_leaf(type, leaf)
        part = values if len(pick) == len(values) else values[pick]
        reals = part.astype(np.float64)
        if type is not VecType.REAL:
            reals[part == INT_MISSING] = np.nan
        parts.append(reals)
    return binning.number_edges(np.concatenate([np.zeros(0), *parts]), max_bins)


def _level_sums(
    table: Table, j: int, kept: npt.NDArray[np.bool_] | None, target: F64, with_target: bool
) -> tuple[I64, F64]:
    """Return the kept rows of each level and, when asked, the sum of the target over them."""
    vec, layout = table.vecs[j], table.layout
    n_levels = len(table.domains[j] or ())
    items = []
    for leaf, handle in enumerate(vec.leaves):
        a, b = layout.leaf_rows(leaf)
        items.append((handle, n_levels, None if kept is None else kept[a:b], target[a:b] if with_target else None))
    engine = ports.current()
    parts = engine.get(list(engine.map(_level_sums_of_leaf, items)))
    counts, sums = np.zeros(n_levels, np.int64), np.zeros(n_levels)
    for part in parts:
        counts += part[0]
        sums += part[1]
    return counts, sums


def _level_sums_of_leaf(
    leaf: Any, n_levels: int, kept: npt.NDArray[np.bool_] | None, target: F64 | None
) -> tuple[I64, F64]:
    codes = decode_leaf(VecType.ENUM, leaf)
    present = codes >= 0
    if kept is not None:
        present &= kept
    if not present.all():
        codes = codes[present]
        target = None if target is None else target[present]
    counts = np.bincount(codes, minlength=n_levels).astype(np.int64)
    sums = np.zeros(n_levels)
    if target is not None:
        sums += np.bincount(codes, weights=target, minlength=n_levels)
    return counts, sums


def adapt(table: Table, names: Sequence[str], bins: Sequence[FeatureBins]) -> tuple[Table, tuple[FeatureBins, ...]]:
    """Return the columns of a frame in the model's order, and bins for its own levels.

    Levels are matched by name; one the model has never seen counts as missing.

    Raises
    ------
    UnknownNameError
        A column is not there; near misses are named.
    UserError
        A column has levels and the model learnt numbers, or the other way round.
    """
    at = {name: j for j, name in enumerate(table.names)}
    order, found = [], []
    for name, each in zip(names, bins, strict=True):
        if name not in at:
            raise unknown_name("column", name, table.names, "the data to predict (the model was trained on it)")
        j = at[name]
        order.append(j)
        domain = table.domains[j]
        if (domain is None) != (each.domain is None):
            if domain is not None and len(domain) == 0:
                found.append(FeatureBins(name, each.edges, (), np.zeros(0, np.uint8)))
                continue
            if domain is None and table.types[j] is VecType.REAL and _nothing_there(table, j):
                found.append(each)
                continue
            is_, was = ("numbers", "levels") if domain is None else ("levels", "numbers")
            raise UserError(
                f"column {name!r} holds {is_} ({table.types[j]}), the model was trained on {was}; "
                f"read it as {'enum' if was == 'levels' else 'real'} (types={{{name!r}: ...}})"
            )
        if each.domain is not None and domain is not None and domain != each.domain:
            code = {level: i for i, level in enumerate(each.domain)}
            known = np.array([code.get(level, -1) for level in domain], np.int64)
            own = np.full(len(domain), 255, np.uint8)
            own[known >= 0] = each.bin_of_level[known[known >= 0]]
            each = FeatureBins(name, each.edges, domain, own)
        found.append(each)
    chosen = Table(
        tuple(names),
        tuple(table.types[j] for j in order),
        tuple(table.domains[j] for j in order),
        table.n_rows,
        None,
        tuple(table.vecs[j] for j in order),
    )
    return chosen, tuple(found)


def _nothing_there(table: Table, j: int) -> bool:
    """Tell whether a column has no value at all (its type was then a guess)."""
    chunks = table.vecs[j].chunks()
    return all(chunk.n_missing == chunk.n_rows for chunk in chunks)
