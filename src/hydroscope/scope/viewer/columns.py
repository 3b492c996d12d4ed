"""Columns as a browser can read them: differences, cut into planes of bytes, each plane deflated.

A column of n whole numbers of 64 bits becomes, with `differences`, that of each from the one before (the first from 0,
all modulo 2**64), with the sign in the lowest bit; then as many planes as the largest needs bytes: the lowest byte of
all numbers, then the next of all. Upper planes of small numbers are zeros, of which nothing is left once deflated.
`page/columns.js` reads them::

    1000, 1010, 1015     ->  +1000, +10, +5   ->  2000, 20, 10    ->  208 20 10 | 7 0 0
    numbers                  differences          sign lowest         plane 0   | plane 1
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAGIC", "Container", "planes"]

MAGIC = b"hydview1"
LEVEL = 4
"""Of deflate: twice as fast as the usual 6, for 4 % more bytes."""
SAMPLE = 1 << 15
"""Numbers by which it is decided whether differences are smaller."""

Words = npt.NDArray[np.uint64]


def planes(values: npt.ArrayLike, differences: bool) -> npt.NDArray[np.uint8]:
    """Return the planes of a column, (n_planes, n).

    Parameters
    ----------
    values : (n,) of any whole numbers
    differences : bool

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> planes([1000, 1010, 1015], True).tolist()
    [[208, 20, 10], [7, 0, 0]]
    """
    words = np.ascontiguousarray(values)
    if words.dtype != np.uint64:
        words = words.astype(np.int64).view(np.uint64)
    if differences:
        step = np.diff(words, prepend=np.uint64(0)).view(np.int64)
        words = ((step << 1) ^ (step >> 63)).view(np.uint64)
    n_planes = max((int(words.max(initial=0)).bit_length() + 7) // 8, 1)
    return np.ascontiguousarray(words.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)[:, :n_planes].T)


@dataclass(slots=True)
class Container:
    """Named parts in one piece of bytes: a header in JSON says where each is. Owner of both until `to_bytes`."""

    header: dict[str, Any] = field(default_factory=dict)
    _parts: list[bytes] = field(default_factory=list)
    _index: dict[str, dict[str, Any]] = field(default_factory=dict)
    _size: int = 0

    def add_column(self, name: str, values: npt.ArrayLike) -> None:
        """Add whole numbers: of 64 bits, with or without a sign. Cost: O(n), mostly of deflating."""
        array = np.ascontiguousarray(values)
        middle = max((array.size - SAMPLE) // 2, 0)
        sample = array[middle : middle + SAMPLE]
        sizes = [sum(len(zlib.compress(plane, 1)) for plane in planes(sample, way)) for way in (True, False)]
        differences = sizes[0] < sizes[1] or bool(array.size and int(array.min()) < 0)
        cut = planes(array, differences)
        packed = [zlib.compress(plane, LEVEL) for plane in cut]
        about = {"n": int(array.size), "planes": [len(each) for each in packed], "differences": differences}
        self._add(name, b"".join(packed), about)

    def add_bytes(self, name: str, raw: bytes) -> None:
        """Add bytes. Cost: deflating them."""
        self._add(name, zlib.compress(raw, LEVEL), {"raw": len(raw)})

    def add_json(self, name: str, value: object) -> None:
        """Add what JSON can say. Cost: deflating it."""
        self.add_bytes(name, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))

    def to_bytes(self) -> bytes:
        """Return all of it. Cost: a copy."""
        text = json.dumps({**self.header, "parts": self._index}, separators=(",", ":")).encode()
        return b"".join([MAGIC, len(text).to_bytes(4, "little"), text, *self._parts])

    def _add(self, name: str, packed: bytes, about: dict[str, Any]) -> None:
        self._index[name] = {"at": self._size, "size": len(packed), **about}
        self._parts.append(packed)
        self._size += len(packed)
