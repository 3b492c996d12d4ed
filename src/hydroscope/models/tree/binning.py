"""Values into bins: edges from a sample of the rows, then one byte a value.

Numbers: up to `max_bins` values get a bin each, with edges midway between neighbours; more
are cut so that bins hold about equally many of the sampled rows, and a value frequent enough
keeps a bin to itself. A number goes to the first bin whose edge is not below it. Levels of a
category are bins; when there are more than `max_bins`, the most frequent keep their own and
the rest share `SHARED_BINS`, neighbours in mean target together. Missing values and levels
the training never saw are in bin 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.access import decode_leaf
from hydroscope.frame.vec import VecType
from hydroscope.ground.jit import kernel
from hydroscope.ground.limits import INT_MISSING
from hydroscope.models.tree.histogram import GROUP, MISSING_BIN
from hydroscope.models.tree.tasks import pieces, run

__all__ = [
    "EDGE_SAMPLE_ROWS",
    "FeatureBins",
    "bin_array",
    "bin_leaves",
    "level_bins",
    "number_edges",
    "sample_rows_evenly",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]

EDGE_SAMPLE_ROWS = 200_000
"""Rows that edges are found from: 784 a bin, so a bin's share is known to 4 %."""

SHARED_BINS = 32
"""Bins for the levels that have none of their own."""

BIN_PIECE_ROWS = 32_768

PRIOR_ROWS = 10.0
"""Rows with the mean target that each rare level is given before rare levels are sorted by their mean."""


@dataclass(frozen=True)
class FeatureBins:
    """How one feature's values become bins.

    Attributes
    ----------
    name : str
    edges : ndarray of float64
        Numbers: upper ends of all bins but the last. Empty for categories.
    domain : tuple of str or None
        Categories: the levels.
    bin_of_level : ndarray of uint8
        Categories: the bin of each level.
    """

    name: str
    edges: F64
    domain: tuple[str, ...] | None
    bin_of_level: U8

    @property
    def n_bins(self) -> int:
        """Bins of values; the missing one is not counted."""
        if self.domain is None:
            return len(self.edges) + 1
        used = self.bin_of_level[self.bin_of_level != MISSING_BIN]
        return int(used.max()) + 1 if len(used) else 1


def sample_rows_evenly(n_rows: int) -> I64:
    """Return up to EDGE_SAMPLE_ROWS row numbers, evenly spread and ascending."""
    n = min(n_rows, EDGE_SAMPLE_ROWS)
    return np.arange(n, dtype=np.int64) * n_rows // max(n, 1)


def number_edges(values: F64, max_bins: int) -> F64:
    """Return the upper ends of the bins of a sample (all but the last bin's); NaN is left out.

    Cost: one sort.
    """
    present = np.sort(values[~np.isnan(values)])
    if len(present) == 0:
        return np.zeros(0)
    fresh = np.flatnonzero(np.concatenate([[True], present[1:] != present[:-1]]))
    distinct = present[fresh]
    counts = np.diff(np.append(fresh, len(present)))
    out = np.empty(max_bins, np.float64)
    return out[: _cut(distinct, counts, max_bins, out)].copy()


@kernel
def _cut(distinct: F64, counts: I64, max_bins: int, out: F64) -> int:
    """Write edges between runs of distinct values that are about equally frequent; return how many.

    A value as frequent as a fair share is *heavy* and has a bin of its own; what is fair is
    then reckoned among the rest, until no more values are heavy.
    """
    n = len(distinct)
    n_light = counts.sum()
    light_bins = max_bins
    heavy = np.zeros(n, np.bool_)
    again = n > max_bins
    while again:
        again = False
        fair = n_light / max(light_bins, 1)
        for i in range(n):
            if not heavy[i] and counts[i] >= fair and light_bins > 1:
                heavy[i] = True
                again = True
                n_light -= counts[i]
                light_bins -= 1
    heavy_left = heavy.sum()
    bins_left = max_bins
    n_edges = 0
    held = 0
    for i in range(n - 1):
        if heavy[i]:
            heavy_left -= 1
        else:
            held += counts[i]
        fair = n_light / max(light_bins, 1)
        if n - 1 - i <= bins_left - 1 or heavy[i]:
            full = True
        elif heavy[i + 1]:
            full = light_bins > heavy_left or 2 * held >= fair
        else:
            full = held >= fair or 2 * held + counts[i + 1] > 2 * fair
        if full and bins_left > 1:
            low, high = distinct[i], distinct[i + 1]
            middle = low + (high - low) / 2
            out[n_edges] = middle if low <= middle < high else low
            n_edges += 1
            bins_left -= 1
            n_light -= held
            held = 0
            if not heavy[i]:
                light_bins -= 1
    return n_edges


def level_bins(counts: I64, target_sums: F64, max_bins: int) -> U8:
    """Return the bin of each level of a category.

    Parameters
    ----------
    counts : ndarray of int64, shape (n_levels,)
        Training rows of each level; levels without any go to the missing bin.
    target_sums : ndarray of float64, shape (n_levels,)
        Sum of the target over them; only rare levels of large domains are sorted by it.
    max_bins : int
    """
    out = np.full(len(counts), MISSING_BIN, np.uint8)
    seen = np.flatnonzero(counts)
    if len(seen) <= max_bins:
        out[seen] = np.arange(len(seen))
        return out
    n_shared = min(SHARED_BINS, max_bins // 2)
    order = seen[np.argsort(-counts[seen], kind="stable")]
    own, rare = np.sort(order[: max_bins - n_shared]), np.sort(order[max_bins - n_shared :])
    out[own] = np.arange(len(own))
    mean = target_sums[seen].sum() / counts[seen].sum()
    means = (target_sums[rare] + PRIOR_ROWS * mean) / (counts[rare] + PRIOR_ROWS)
    rare = rare[np.argsort(means, kind="stable")]
    middle = np.cumsum(counts[rare]) - counts[rare] / 2
    share = (middle * n_shared // counts[rare].sum()).astype(np.int64)
    _, dense = np.unique(np.minimum(share, n_shared - 1), return_inverse=True)
    out[rare] = len(own) + dense
    return out


def bin_array(bins: Sequence[FeatureBins], values: npt.NDArray[Any], threads: bool) -> U32:
    """Return the words of a table of numbers, shape (n_rows, n_features), of any real dtype.

    Returns
    -------
    ndarray of uint32, shape (ceil(n_features / 4), n_rows)
        See `tree.histogram`.

    Notes
    -----
    Cost: one pass, about 4 ns a value.
    """
    n_rows = values.shape[0]
    words = _no_words(len(bins), n_rows)
    places = words.view(np.uint8).reshape(words.shape[0], n_rows, GROUP)
    table, lengths = _edge_table(bins)
    cuts = pieces(0, n_rows, BIN_PIECE_ROWS)

    def fill(i: int) -> None:
        first, last = cuts[i]
        part = np.asfortranarray(values[first:last], np.float64)
        for j in range(len(bins)):
            _bin_numbers(part[:, j], table[j], int(lengths[j]), places[j // GROUP, first:last, j % GROUP])

    run(threads, fill, len(cuts))
    return words


def bin_leaves(
    bins: Sequence[FeatureBins], types: Sequence[VecType], n_rows: Sequence[int], threads: bool, *leaves: Any
) -> U32:
    """Return the words of some leaves of a frame; like `bin_array`.

    Parameters
    ----------
    bins, types : one a feature
    n_rows : one a leaf
    leaves : tuples of chunks
        All features of the first leaf, then of the second, ...

    Notes
    -----
    Cost: decodes every value once, one leaf of one column at a time and thread.
    """
    starts = np.concatenate([[0], np.cumsum(n_rows)]).astype(np.int64)
    words = _no_words(len(bins), int(starts[-1]))
    places = words.view(np.uint8).reshape(words.shape[0], words.shape[1], GROUP)
    table, lengths = _edge_table(bins)

    def fill(i: int) -> None:
        leaf, j = divmod(i, len(bins))
        out = places[j // GROUP, int(starts[leaf]) : int(starts[leaf + 1]), j % GROUP]
        values = decode_leaf(types[j], leaves[i])
        if bins[j].domain is not None and types[j] is VecType.REAL:
            out[:] = MISSING_BIN  # a column without any value: its type was a guess
        elif bins[j].domain is not None:
            _bin_codes(values, bins[j].bin_of_level, out)
        elif types[j] is VecType.REAL:
            _bin_numbers(values, table[j], int(lengths[j]), out)
        else:
            _bin_integers(values, table[j], int(lengths[j]), out)

    run(threads, fill, len(n_rows) * len(bins))
    return words


def _no_words(n_features: int, n_rows: int) -> U32:
    n_groups = -(-n_features // GROUP)
    make = np.zeros if n_features % GROUP else np.empty
    return make((n_groups, n_rows), np.uint32)


def _edge_table(bins: Sequence[FeatureBins]) -> tuple[F64, I64]:
    """Return the edges of all features, each filled up with infinity to 256, and how many are real."""
    table = np.full((len(bins), 256), np.inf)
    for j, each in enumerate(bins):
        table[j, : len(each.edges)] = each.edges
    return table, np.array([len(each.edges) for each in bins], np.int64)


@kernel
def _bin_numbers(values: F64, edges: F64, n_edges: int, out: U8) -> None:
    """Set out to how many edges are below each value, or 255 for NaN: eight halvings, no branch."""
    for i in range(len(values)):
        v = values[i]
        p = np.int64(128) if edges[127] < v else np.int64(0)
        p += 64 if edges[p + 63] < v else 0
        p += 32 if edges[p + 31] < v else 0
        p += 16 if edges[p + 15] < v else 0
        p += 8 if edges[p + 7] < v else 0
        p += 4 if edges[p + 3] < v else 0
        p += 2 if edges[p + 1] < v else 0
        p += 1 if edges[p] < v else 0
        out[i] = p if v == v else 255


@kernel
def _bin_integers(values: I64, edges: F64, n_edges: int, out: U8) -> None:
    """Like `_bin_numbers`, of int64 with INT_MISSING."""
    for i in range(len(values)):
        v = np.float64(values[i])
        p = np.int64(128) if edges[127] < v else np.int64(0)
        p += 64 if edges[p + 63] < v else 0
        p += 32 if edges[p + 31] < v else 0
        p += 16 if edges[p + 15] < v else 0
        p += 8 if edges[p + 7] < v else 0
        p += 4 if edges[p + 3] < v else 0
        p += 2 if edges[p + 1] < v else 0
        p += 1 if edges[p] < v else 0
        out[i] = p if values[i] != INT_MISSING else 255


@kernel
def _bin_codes(values: I64, bin_of_level: U8, out: U8) -> None:
    """Set out to the bin of each code; missing codes and codes beyond the table to 255."""
    n = len(bin_of_level)
    for i in range(len(values)):
        code = values[i]
        out[i] = bin_of_level[code] if 0 <= code < n else 255
