"""The arithmetic of choosing: which raw width, which step, how large a dictionary may be."""

from __future__ import annotations

from hydroscope.codecs.table import RAW_CODECS, Codec
from hydroscope.ground.limits import DICT_MAX, ROWS_PER_CHUNK

__all__ = ["RAW_BYTES", "dictionary_limit", "hash_slots", "narrowest", "step_needed"]

RAW_BYTES = {codec: dtype.itemsize for codec, dtype in RAW_CODECS.items()}
_RAW_MAX = {codec: 2 ** (8 * size) - 2 for codec, size in RAW_BYTES.items()}


def narrowest(largest_raw: int) -> Codec | None:
    """Return the narrowest raw codec for values 0..largest_raw, None when it needs 64 bits."""
    return next((codec for codec, most in _RAW_MAX.items() if largest_raw <= most), None)


def step_needed(largest: int) -> int | None:
    """Return the least step that brings 0..largest to a narrower codec, None if none can."""
    codec = narrowest(largest)
    narrower = [most for each, most in _RAW_MAX.items() if codec is None or each < codec]
    return largest // (narrower[-1] + 1) + 1 if narrower else None


def dictionary_limit(n_rows: int, dense_bytes: int) -> int:
    """Return the most distinct values with which a dictionary is smaller than `dense_bytes`."""
    one_byte = min(DICT_MAX, (dense_bytes - 1 - n_rows) // 8)
    two_bytes = min(ROWS_PER_CHUNK, (dense_bytes - 1 - 2 * n_rows) // 8)
    return max(one_byte, two_bytes if two_bytes > DICT_MAX else 0, 0)


def hash_slots(n_distinct: int) -> int:
    """Return the slots of a hash table for about so many values: a power of two, at most half full."""
    return 1 << max(8, (2 * n_distinct).bit_length())
