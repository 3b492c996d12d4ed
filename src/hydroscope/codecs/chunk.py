"""The chunk: up to 65,536 values of one column in one codec. Immutable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.table import Codec

__all__ = ["HEADER_BYTES", "Chunk"]

HEADER_BYTES = 48
"""What a chunk costs beside its buffers, in the accounts of `nbytes`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A block of values in one codec.

    Attributes
    ----------
    codec : Codec
        How `buffers` are to be read; see `codecs.table`.
    n_rows, n_missing : int
        Rows held, and how many of them are missing (exact: 0 lets loops drop the test).
    bias, step, decimals : int
        INT8..INT32: value = (bias + step * raw) / 10**decimals, where decimals = 0 in
        integer columns; |bias + step * raw| <= 2**51 and decimals <= 22 in real columns, so
        that the division is the correctly rounded decimal; 1 <= step < 2**63. CONSTANT:
        `bias` is the integer, or the bits of the float64 as int64. SPARSE: `bias` is 0 when
        absent rows are zero (+0.0), 1 when they are missing. STRING: see `codecs.text`.
        Otherwise 0, 1, 0.
    buffers : tuple of ndarray
        Flat, contiguous, read-only, little-endian. BIT and CRUMB: uint8, row 0 in the
        lowest bits. INT8/16/32: unsigned raw. DICT8/16: raw index, then the table (int64
        or float64). SPARSE: uint16 ascending rows. UUID: uint64 (2 * n_rows: high, low of
        each row), validity bits (empty when none is missing). STRING: see `codecs.text`.
    inner : Chunk or None
        SPARSE: the chunk of the values at those rows. STRING_DICT: the chunk of codes.
    """

    codec: Codec
    n_rows: int
    n_missing: int
    bias: int = 0
    step: int = 1
    decimals: int = 0
    buffers: tuple[npt.NDArray[np.generic], ...] = ()
    inner: Chunk | None = None

    @property
    def nbytes(self) -> int:
        """Compressed bytes, header included."""
        own = HEADER_BYTES + sum(buffer.nbytes for buffer in self.buffers)
        return own + (self.inner.nbytes if self.inner is not None else 0)
