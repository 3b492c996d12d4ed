"""A re-chunker: values in pieces of any size go in, full chunks come out.

::

    add    |--|-------|---|--------------------|-|
    out    |---------|---------|---------|--------|   the last one by finish()
"""

from __future__ import annotations

from typing import Any

from hydroscope.chunks.families import Family, Values
from hydroscope.codecs.chunk import Chunk
from hydroscope.ground.limits import ROWS_PER_CHUNK

__all__ = ["Builder"]


class Builder:
    """Collect values of one family and encode them in chunks of the same number of rows.

    Parameters
    ----------
    family : Family
    rows_per_chunk : int
        At most 65,536.

    Examples
    --------
    >>> import numpy as np
    >>> from hydroscope.chunks.families import INT
    >>> builder = Builder(INT, rows_per_chunk=4)
    >>> [chunk.n_rows for chunk in builder.add(np.arange(9))]
    [4, 4]
    >>> [chunk.n_rows for chunk in builder.finish()]
    [1]
    """

    def __init__(self, family: Family, rows_per_chunk: int = ROWS_PER_CHUNK) -> None:
        assert 0 < rows_per_chunk <= ROWS_PER_CHUNK, f"{rows_per_chunk} rows a chunk; at most {ROWS_PER_CHUNK}"
        self._family = family
        self._rows_per_chunk = rows_per_chunk
        self._pending: list[Values] = []
        self._n_pending = 0

    def add(self, *values: Any) -> list[Chunk]:
        """Take more rows and return the chunks that are full now.

        The arrays must stay as they are until their rows are encoded: only rows that do not
        fill a chunk wait, and they wait as views. Cost: that of encoding; no row is copied
        but those of pieces shorter than a chunk, once.
        """
        family, size = self._family, self._rows_per_chunk
        n_rows = family.n_rows(values)
        chunks = []
        start = 0
        while n_rows - start >= size - self._n_pending:
            stop = start + size - self._n_pending
            self._pending.append(family.cut(values, start, stop))
            chunks.append(self._flush())
            start = stop
        if start < n_rows:
            self._pending.append(family.cut(values, start, n_rows))
            self._n_pending += n_rows - start
        return chunks

    def finish(self) -> list[Chunk]:
        """Return the last chunk, if any rows are left; the builder is then as new."""
        return [self._flush()] if self._n_pending else []

    def _flush(self) -> Chunk:
        pieces, self._pending, self._n_pending = self._pending, [], 0
        values = pieces[0] if len(pieces) == 1 else self._family.join(pieces)
        return self._family.encode(*values)
