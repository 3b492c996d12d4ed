"""Text as kernels take it: bytes with room behind their end, so that whole words can be read."""

from __future__ import annotations

import numpy as np

from hydroscope.ingest.dialect import U8
from hydroscope.weave.bytes import SLACK

__all__ = ["SLACK", "empty_text", "padded"]


def empty_text(n_bytes: int) -> U8:
    """Return an array for `n_bytes` bytes of text. Cost: an allocation."""
    text = np.empty(n_bytes + SLACK, dtype=np.uint8)
    text[n_bytes:] = 0
    return text


def padded(text: bytes) -> U8:
    """Return a writable copy of `text`. Cost: O(bytes)."""
    copy = empty_text(len(text))
    copy[: len(text)] = np.frombuffer(text, dtype=np.uint8)
    return copy
