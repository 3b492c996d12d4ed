"""Caps and sizes, each with its unit and its reason."""

from __future__ import annotations

__all__ = [
    "CHUNKS_PER_LEAF",
    "DICT_MAX",
    "FRAME_BYTES",
    "INT_MISSING",
    "MESSAGE_BYTES",
    "PIECE_BYTES",
    "REDUCE_FAN_IN",
    "ROWS_PER_CHUNK",
    "ROWS_PER_LEAF",
    "SECRET_BYTES",
    "VALUE_BYTES",
    "VALUE_DEPTH",
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

PIECE_BYTES = 256 * 2**10
"""Bytes of one piece of a large message: large enough to hide the tenth of a millisecond that each costs by itself,
small enough that nobody waits long for his turn and that a few fit the processor's cache."""

FRAME_BYTES = PIECE_BYTES + 4 * 2**10
"""Bytes of the body of one frame; what claims to be longer is refused before there is room made for it."""

MESSAGE_BYTES = 2**31 - 1
"""Bytes of one large message."""

VALUE_BYTES = MESSAGE_BYTES - 2**16
"""Bytes of one value of the key/value store as it is packed; what names it has to fit its message too."""

VALUE_DEPTH = 64
"""Levels of lists within lists in a value of the key/value store."""

SECRET_BYTES = 16
"""Bytes of the shortest cluster secret: 128 bits cannot be guessed."""
