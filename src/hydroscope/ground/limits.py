"""Caps and sizes, each with its unit and its reason."""

from __future__ import annotations

__all__ = [
    "CHUNKS_PER_LEAF",
    "DICT_MAX",
    "INT_MISSING",
    "REDUCE_FAN_IN",
    "ROWS_PER_CHUNK",
    "ROWS_PER_LEAF",
]

ROWS_PER_CHUNK = 65_536
"""Rows; 64 K compressed best of what was measured, and a row index in a chunk fits into 16 bits."""

CHUNKS_PER_LEAF = 4
"""Chunks of one task: a quarter of a million rows hide the 50 us that a hand-over costs."""

ROWS_PER_LEAF = ROWS_PER_CHUNK * CHUNKS_PER_LEAF

REDUCE_FAN_IN = 8
"""Partial results merged by one node of the reduce tree; part of the result's bits, so fixed."""

INT_MISSING = -(2**63)
"""The missing value of decoded int, bool, enum and time columns (a real column's is NaN)."""

DICT_MAX = 256
"""Distinct values of the smallest dictionary codec."""
