"""The names of a ring: nodes, lanes and keys, each written once and then a small number.

There is room for some 4,000. What is named without end (keys, notes) leaves a quarter of it to peers and lanes. A name
for which there is no room is number 0: its records stay, without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable

from hydroscope.ground.record.layout import N_NAMES, NAME_BYTES, NAMES_AT, pack_name

__all__ = ["Names", "text_of"]

_FOR_ALL = N_NAMES * 3 // 4

Write = Callable[[int, bytes], bool]


def text_of(thing: object) -> str:
    """Return what a peer or task is called.

    Examples
    --------
    >>> text_of("node-3"), text_of(b"node-3"), text_of(3), text_of(("10.0.0.7", 8000))
    ('node-3', 'node-3', '3', '10.0.0.7:8000')
    """
    if isinstance(thing, bytes | bytearray | memoryview):
        return str(bytes(thing), errors="replace")
    if isinstance(thing, tuple):
        return ":".join(map(str, thing))
    return str(thing)


class Names:
    """Owner of the numbers of names.

    Parameters
    ----------
    node : str
        Name 1.
    write : callable
        Puts bytes at a place of the file; False if there is no room.
    """

    __slots__ = ("_numbers", "_texts", "_write", "number")

    def __init__(self, node: str, write: Write) -> None:
        self._write = write
        self._texts: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self.number: dict[Hashable, int] = {None: 0, "": 0}
        """Of all that was named, as it was named. Read it; `of` adds to it."""
        self.of(node)

    def of(self, thing: object, endless: bool = False) -> int:
        """Return the number of what is called so, naming it if there is room.

        Any thread may call: two that name the same at once may use two numbers for it, of the same text.
        """
        try:
            known = self.number.get(thing)
        except TypeError:  # a peer that cannot be a key of a dictionary still has a text
            known = None
        if known is not None:
            return int(known)
        text = text_of(thing)
        if not text:
            return 0
        number = self._texts.get(text)
        if number is None:
            if len(self._texts) >= (_FOR_ALL if endless else N_NAMES - 1):
                return 0
            number = next(self._numbers)
            if number >= N_NAMES or not self._write(NAMES_AT + number * NAME_BYTES, pack_name(text)):
                return 0
            number = self._texts.setdefault(text, number)
        if (
            isinstance(thing, str | bytes | int | tuple) and len(self.number) < 2 * N_NAMES
        ):  # else it would be kept alive
            self.number[thing] = number
        return number

    def write_again(self, node: str) -> None:
        """Write all names into a new file, under their numbers, but for the node's own."""
        for text, number in list(self._texts.items()):
            self._write(NAMES_AT + number * NAME_BYTES, pack_name(node if number == 1 else text))
