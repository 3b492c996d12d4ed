"""How rows fall into chunks and chunks into leaves; shared by the vecs of a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hydroscope.ground.limits import CHUNKS_PER_LEAF, ROWS_PER_CHUNK

__all__ = ["Layout", "Origin"]


class Origin(Protocol):
    """Where the rows of a layout were read from."""

    @property
    def report(self) -> Any:
        """How reading went; None until it has ended."""
        ...

    def locate(self, row: int) -> str:
        """Return "file:line" of a row."""
        ...


@dataclass(frozen=True)
class Layout:
    """Row boundaries.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_chunks + 1,)
        First row of each chunk, and the number of rows. No chunk is empty, none has more
        than 65,536 rows. A frame without rows has starts [0] and no chunks.
    origin : Origin or None
        What knows the file and line of each row; None for rows that were not read from text.
    """

    starts: npt.NDArray[np.int64]
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @classmethod
    def regular(cls, n_rows: int) -> Layout:
        """Return full chunks and one that holds the rest."""
        n_chunks = -(-n_rows // ROWS_PER_CHUNK)
        starts = np.arange(n_chunks + 1, dtype=np.int64) * ROWS_PER_CHUNK
        starts[-1] = n_rows
        return cls(starts)

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return int(self.starts[-1])

    @property
    def n_chunks(self) -> int:
        """Chunks of one vec."""
        return len(self.starts) - 1

    @cached_property
    def leaves(self) -> tuple[tuple[int, int], ...]:
        """First and last+1 chunk of each leaf: the unit of work, the same on every engine."""
        n = self.n_chunks
        return tuple((a, min(a + CHUNKS_PER_LEAF, n)) for a in range(0, n, CHUNKS_PER_LEAF))

    def leaf_rows(self, leaf: int) -> tuple[int, int]:
        """First and last+1 row of a leaf."""
        first, last = self.leaves[leaf]
        return int(self.starts[first]), int(self.starts[last])

    def same_rows(self, other: Layout) -> bool:
        """Tell whether both cut the same rows at the same places."""
        return self is other or np.array_equal(self.starts, other.starts)
