"""One direction of a connection, as it goes by at one of its ends: cut into messages, each recorded under an id that
the other end finds as well.

The id is a hash of the two addresses and the direction, plus the offset of the message's first byte. It needs no room
in the message, and no agreement but about where messages begin: that is the framer's. Without one, a piece is recorded
as it was written or read, and only those that were read as they were written have another end.
"""

from __future__ import annotations

from typing import Any

from hydroscope.engine.taps.tap import KEPT_MAX, Beginning, Tap
from hydroscope.ground.record.layout import DATA_BYTES
from hydroscope.ground.record.recorder import Message
from hydroscope.wire.framing import MORE, UNFRAMED, Framer, guess

__all__ = ["Stream"]

Bytes = bytes | memoryview

_WINDOW = 512
"""Bytes a framer is shown at first: of many messages in one piece, most need no more."""
_COPIED_MAX = 4096
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
        "_kept",
        "_peer",
        "_quick",
        "_retry_at",
        "_size",
        "_tail",
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
        self.offset = 0
        """Where the message begins that has not ended."""
        self._held = b""
        """Bytes of it, as long as its length is not known ..."""
        self._kept = b""
        """... and then what is to be recorded of it."""
        self._size = self._due = 0
        """Its length, and how much of it is still to come."""
        self._tail = b""
        """What was offered and not taken."""
        self._retry_at = -1
        """Where that begins, if it is a message's beginning."""

    # ------------------------------------------------------------ sending

    def offer(self, data: Bytes, address: Any = None) -> None:
        """Take note of what is about to be sent, maybe in part, maybe for a second time."""
        tail = self._tail
        if tail:
            if data[: len(tail)] == tail:
                data = data[len(tail) :]
            elif tail[: len(data)] == data:
                data = b""
            elif self._retry_at >= 0:  # it was given up, and something else is sent in its place
                self.offset, self._held, self._kept, self._due = self._retry_at, b"", b"", 0
                self._tail = b""
            else:
                self._lose(len(data) - len(tail))
                self._tail = b""
                return
        elif self._due or self._held:
            self._retry_at = -1
        else:
            self._retry_at = self.offset
            if self._quick and self._framer is not None and self._one(self._framer, data):
                return
        self.feed(data)

    def sent(self, data: Bytes, n_bytes: int) -> None:
        """Take note of how much of what was offered was taken."""
        tail = self._tail
        if not tail and n_bytes == len(data):
            return
        offered = tail if len(tail) > len(data) else data
        self._tail = bytes(offered[n_bytes:])
        if n_bytes:
            self._retry_at = -1

    # ------------------------------------------------------------ what goes by

    def feed(self, data: Bytes, address: Any = None) -> None:
        """Record each message that ends in these bytes."""
        if self._guesses and data:
            self._guesses = False
            self._framer = guess(bytes(data[:_WINDOW]))
            if self._framer is None:
                self._peer = self._tap.rough(self._peer)
        framer = self._framer
        if framer is None:
            if data:
                self._piece(data)
            return
        if self._quick and not self._due and not self._held and self._one(framer, data):
            return
        at = 0
        if self._due:
            at = min(self._due, len(data))
            if self._tap.excerpt is not None and len(self._kept) < KEPT_MAX:
                self._kept += bytes(data[:at])
            elif len(self._kept) < DATA_BYTES:
                self._kept += bytes(data[: min(at, DATA_BYTES)])
            self._due -= at
            if self._due:
                return
            self._end()
        elif self._held:
            data, self._held = self._held + bytes(data), b""
        n_bytes = len(data)
        while at < n_bytes:
            n = self._length(framer, data, at)
            if n <= 0:
                if n == MORE and n_bytes - at <= KEPT_MAX:
                    self._held = bytes(data[at:])
                else:
                    self._unframe(data[at:])
                return
            if at + n > n_bytes:
                keep = KEPT_MAX if self._tap.excerpt is not None else DATA_BYTES
                self._kept = bytes(data[at : at + keep])
                self._size, self._due = n, at + n - n_bytes
                return
            self._whole(data, at, n)
            at += n

    @property
    def position(self) -> int:
        """Bytes that have gone by."""
        return self.offset + (self._size - self._due if self._due else len(self._held))

    def lose(self) -> None:
        """Take note that nobody knows how many bytes went by."""
        self._lose(0)

    def _one(self, framer: Framer, data: Bytes) -> bool:
        """Record what is one whole message, as most pieces are; False if it is none."""
        n = len(data)
        try:
            if not 0 < n <= _WINDOW or type(data) is not bytes or framer(data) != n:
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
        if self._framer is None and not self._guesses:
            self._write(self._peer, (self._base + self.offset) & _MASK, Beginning.of(b"", n_bytes))
            self.offset += n_bytes
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
        except Exception:  # it is the user's
            self._tap.n_lost += 1
            return UNFRAMED
        return n

    def _whole(self, data: Bytes, at: int, n: int) -> None:
        """Record a message all of which is there."""
        ident = (self._base + self.offset) & _MASK
        self.offset += n
        if self._tap.excerpt is not None and n <= KEPT_MAX:
            message = self._tap.excerpt_of(bytes(data[at : at + n]))
        elif n > _COPIED_MAX:
            message = Beginning.of(data[at : at + DATA_BYTES], n)
        else:
            message = bytes(data[at : at + n])
        self._write(self._peer, ident, message)

    def _end(self) -> None:
        """Record a message that came in several pieces."""
        message, self._kept = self._kept, b""
        if self._tap.excerpt is not None and len(message) == self._size:
            message = self._tap.excerpt_of(message)
        else:
            message = Beginning.of(message, self._size)
        ident = (self._base + self.offset) & _MASK
        self.offset += self._size
        self._write(self._peer, ident, message)

    def _piece(self, data: Bytes) -> None:
        self._write(self._peer, (self._base + self.offset) & _MASK, Beginning.of(data, len(data)))
        self.offset += len(data)

    def _unframe(self, data: Bytes) -> None:
        """Go on by pieces."""
        self._framer = None
        self._peer = self._tap.rough(self._peer)
        self._piece(data)

    def _lose(self, n_bytes: int) -> None:
        """Go on by pieces, after so many bytes that are in no message."""
        self._tap.n_lost += 1
        self.offset = self.position + n_bytes
        self._due, self._held, self._kept = 0, b"", b""
        self._framer, self._guesses = None, False
        self._peer = self._tap.rough(self._peer)
