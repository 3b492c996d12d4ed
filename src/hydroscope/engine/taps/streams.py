"""One direction of a connection, as it goes by at one of its ends: cut into messages, each recorded under an id that
the other end finds as well.

The id is a hash of the two addresses and the direction, plus the offset of the message's first byte. It needs no room
in the message, and no agreement but about where messages begin: that is the framer's. Without one, a piece is recorded
as it was written or read, and only those that were read as they were written have another end.
"""

from __future__ import annotations

import operator
from typing import Any

from hydroscope.engine.taps.tap import KEPT_MAX, Beginning, Bytes, Tap
from hydroscope.ground.record.addresses import ROUGH
from hydroscope.ground.record.layout import DATA_BYTES
from hydroscope.ground.record.recorder import Message
from hydroscope.wire.framing import MORE, UNFRAMED, Framer, guess

__all__ = ["Stream"]

_WINDOW = 512
"""Bytes a framer is shown at first: of many messages in one piece, most need no more."""
_COPIED_MAX = 4096
"""Bytes that are copied of a message, or of what was not taken at once: all of that would be copied at every try."""
_MASK = 2**64 - 1


class Stream:
    """Owner of what is known of one direction.

    Parameters
    ----------
    tap : Tap
    write : Message
        `sent` or `received` of the tap's recorder.
    base : int
        64 bits that stand for the connection and the direction.
    peer : str
    framer : Framer or None
        None: what the first bytes say.
    """

    __slots__ = (
        "_base",
        "_due",
        "_framer",
        "_guesses",
        "_held",
        "_keep",
        "_kept",
        "_peer",
        "_quick",
        "_retry_at",
        "_size",
        "_tail",
        "_tail_size",
        "_tap",
        "_write",
        "offset",
    )

    def __init__(self, tap: Tap, write: Message, base: int, peer: str, framer: Framer | None) -> None:
        self._tap, self._write, self._base = tap, write, base
        self._peer = peer
        self._framer: Framer | None = framer
        self._guesses = framer is None
        self._quick = tap.excerpt is None
        """Whole messages are recorded as they are."""
        self._keep = DATA_BYTES if self._quick else KEPT_MAX
        """Bytes that are kept of a message that comes in pieces."""
        self.offset = 0
        """Where the message begins that has not ended."""
        self._held = b""
        """Bytes of it, as long as its length is not known ..."""
        self._kept = b""
        """... and then what is to be recorded of it."""
        self._size = self._due = 0
        """Its length, and how much of it is still to come."""
        self._tail, self._tail_size = b"", 0
        """What was offered and not taken: its beginning, and its length."""
        self._retry_at = -1
        """Where that begins, if it is a message's beginning."""

    # ------------------------------------------------------------ sending

    def offer(self, data: Bytes, address: Any = None) -> None:
        """Take note of what is about to be sent, maybe in part, maybe for a second time."""
        if self._tail_size:
            known = min(len(data), len(self._tail))
            if data[:known] == self._tail[:known]:
                data = data[self._tail_size :]
            elif self._retry_at >= 0:  # it was given up, and something else is sent in its place
                self.offset, self._held, self._kept, self._due = self._retry_at, b"", b"", 0
                self._tail_size = 0
            else:
                self._lose(len(data) - self._tail_size)
                self._tail_size = 0
                return
        elif self._due or self._held:
            self._retry_at = -1
        else:
            self._retry_at = self.offset
        self.feed(data)

    def sent(self, data: Bytes, n_bytes: int, address: Any = None) -> None:
        """Take note of how much of what was offered was taken."""
        if not self._tail_size and n_bytes == len(data):
            return
        size = max(self._tail_size, len(data))
        offered = data if size == len(data) else self._tail
        self._tail, self._tail_size = bytes(offered[n_bytes : n_bytes + _COPIED_MAX]), size - n_bytes
        if n_bytes:
            self._retry_at = -1

    # ------------------------------------------------------------ what goes by

    def feed(self, data: Bytes, address: Any = None) -> None:
        """Record each message that ends in these bytes."""
        if self._guesses and data:
            self._guesses = False
            self._framer = guess(bytes(data[:_WINDOW]))
            if self._framer is None:
                self._peer = ROUGH + self._peer
        framer = self._framer
        if framer is None:
            if data:
                self._piece(data)
        elif self._due:
            self._go_on(framer, data)
        elif self._held:
            held, self._held = self._held, b""
            self._cut(framer, held + bytes(data), 0)
        elif not self._one(framer, data):
            self._cut(framer, data, 0)

    def _go_on(self, framer: Framer, data: Bytes) -> None:
        """Take what is still to come of a message that has begun, and what follows it."""
        at = min(self._due, len(data))
        missing = self._keep - len(self._kept)
        if missing > 0:
            self._kept += bytes(data[: min(at, missing)])
        self._due -= at
        if not self._due:
            self._end()
            self._cut(framer, data, at)

    def _cut(self, framer: Framer, data: Bytes, at: int) -> None:
        """Record the messages that begin here, and keep what has not ended."""
        n_bytes = len(data)
        while at < n_bytes:
            n = self._length(framer, data, at)
            if n == MORE and n_bytes - at <= KEPT_MAX:
                self._held = bytes(data[at:])
                return
            if n <= 0:
                self._unframe(data[at:])
                return
            if at + n > n_bytes:
                self._kept = bytes(data[at : at + self._keep])
                self._size, self._due = n, at + n - n_bytes
                return
            self._whole(data, at, n)
            at += n

    @property
    def position(self) -> int:
        """Bytes that have gone by."""
        return self.offset + (self._size - self._due if self._due else len(self._held))

    def passed(self, offset: int, total: int | None) -> None:
        """Take note of so many bytes since an offset, seen or not; None: nobody knows how many."""
        if total is None:
            self._lose(0)
        else:
            self.skip(total - (self.position - offset))

    def _one(self, framer: Framer, data: Bytes) -> bool:
        """Record what is one whole message, as most pieces are; False if it is none."""
        n = len(data)
        try:
            if not self._quick or not 0 < n <= _WINDOW or type(data) is not bytes or framer(data) != n:
                return False
        except Exception:  # it is the user's; it will be asked once more
            return False
        ident = (self._base + self.offset) & _MASK
        self.offset += n
        self._write(self._peer, ident, data)
        return True

    def skip(self, n_bytes: int) -> None:
        """Take note of bytes that went by unseen."""
        if not n_bytes:
            return
        if self._guesses:
            self._guesses = False
            self._peer = ROUGH + self._peer
        if self._framer is None:
            self._record(n_bytes, Beginning.of(b"", n_bytes))
        elif n_bytes < self._due:
            self._due -= n_bytes
        elif n_bytes == self._due:
            self._due = 0
            self._end()
        else:
            self._lose(n_bytes)

    def _length(self, framer: Framer, data: Bytes, at: int) -> int:
        try:
            n = framer(bytes(data[at : at + _WINDOW]))
            if n == MORE and len(data) - at > _WINDOW:
                n = framer(bytes(data[at:]))
            return operator.index(n)
        except Exception as error:  # it is the user's
            self._tap.lost(error)
            return UNFRAMED

    def _whole(self, data: Bytes, at: int, n: int) -> None:
        """Record a message all of which is there."""
        is_long = n > (_COPIED_MAX if self._quick else KEPT_MAX)
        first = data[at : at + (DATA_BYTES if is_long else n)]
        self._record(n, Beginning.of(first, n) if is_long else self._tap.excerpt_of(first))

    def _end(self) -> None:
        """Record a message that came in several pieces."""
        message, self._kept = self._kept, b""
        is_whole = len(message) == self._size
        self._record(self._size, self._tap.excerpt_of(message) if is_whole else Beginning.of(message, self._size))

    def _piece(self, data: Bytes) -> None:
        self._record(len(data), Beginning.of(data, len(data)))

    def _record(self, n_bytes: int, message: bytes) -> None:
        ident = (self._base + self.offset) & _MASK
        self.offset += n_bytes
        self._write(self._peer, ident, message)

    def _unframe(self, data: Bytes) -> None:
        """Go on by pieces."""
        self._framer = None
        self._peer = ROUGH + self._peer
        self._piece(data)

    def _lose(self, n_bytes: int) -> None:
        """Go on by pieces, after so many bytes that are in no message."""
        self._tap.lost("part of a stream was not seen: the rest of it is recorded by pieces")
        self.offset = self.position + n_bytes
        self._due, self._held, self._kept = 0, b"", b""
        if self._framer is not None or self._guesses:
            self._peer = ROUGH + self._peer
        self._framer, self._guesses = None, False
