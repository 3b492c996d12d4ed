"""What a program uses: a recorder, three lines, and everything it did last can be seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from hydroscope.ground.clocks.port import Clock
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.hot import Write
from hydroscope.ground.record.layout import PART_BYTES, RECORD_BYTES, Kind
from hydroscope.ground.record.writer import Writer, safe_text

__all__ = ["EVENTS_PER_S", "LANES_MAX", "SECONDS_MAX", "Message", "Recorder"]

EVENTS_PER_S = 50_000
"""What a ring is sized for."""

LANES_MAX = 1000
"""That are remembered. More are made anew each time, and have names as long as notes and keys have."""

SECONDS_MAX = 3600.0

Data = bytes | bytearray | memoryview | str | None
Peer = str | bytes | int | tuple[object, ...] | None
Id = int | str | bytes | None


class Message(Protocol):
    """Record what became of a message; return the record's stamp."""

    def __call__(self, peer: Peer, message_id: Id, data: Data = b"", stamp: int | None = None, /) -> int:
        """Record it; `stamp` is the one that came with it, if any."""


class Recorder:
    """Record what this process does in a ring of the last seconds, which others can read, also after a `kill -9`.

    Three lines make a program visible in a timeline:

    >>> import hydroscope as hs
    >>> rec = hs.Recorder("node-3")
    >>> sent = rec.sent("node-4", 17, b"PREPARE 9")
    >>> received = rec.received("node-4", 18, b"PROMISE 9")
    >>> received > sent
    True
    >>> rec.close(remove=True)

    Parameters
    ----------
    name : str
        Of the node, as a timeline is to show it.
    seconds : float
        Of history, at 50,000 events a second; at most 3,600. The file has 64 bytes an event (32 MB for the default),
        of which only what was written takes up memory.
    folder : path, optional
        Where the file is. By default in memory (`/dev/shm`), or where there is no room for it among the
        temporary files, each time in a folder that only this user can read.
    clock : Clock, optional
        What tells the time, for simulations.

    Raises
    ------
    UserError
        The name is empty, the seconds are none, or the folder cannot be used. Nothing but this raises: not even
        arguments that make no sense. What cannot be kept is counted in `n_lost`.

    Notes
    -----
    Any thread may record, and so may a signal handler: nothing waits. A forked child gets a ring of its own at its
    first record, named "NAME.PID". Rings of processes that have ended are kept: the newest 32, 256 MB
    at most. An exception that ends the process is recorded, too.

    Once a second of activity, the recorder notes on its own how the clocks run (`Kind.CLOCK`) and what the process
    takes up (`Kind.SAMPLE`).

    Cost: about 0.5 us an event, some 4 us where an id is a text (benchmarks/RESULTS.md). No lock, and no system call
    but once in 4,096 events and once a second.
    """

    __slots__ = (
        "_ended",
        "_failed",
        "_lanes",
        "_noted",
        "_put",
        "_queued",
        "_removed",
        "_spilled",
        "_started",
        "_writer",
        "dropped",
        "received",
        "resent",
        "sent",
    )

    sent: Message
    """Record that a message was sent: `sent(peer, message_id, data=b"", stamp=None) -> stamp`.

    `peer` is the other end's name, number or address; `message_id` whatever both ends know the message by (a whole
    number below 2**64 is fastest; of a text, 64 bits of a hash are kept); `data` its bytes, of which the first 27 and
    the length are kept. Send the returned stamp with the message if there is room for 8 bytes: it orders the two ends
    for certain.
    """
    received: Message
    """Record that a message was received: `received(peer, message_id, data=b"", stamp=None) -> stamp`.

    `stamp` is what came with the message: what is recorded from now on is stamped higher. One that is more than a
    minute ahead of this machine's clock is not believed, and noted.
    """
    dropped: Message
    """Record that a message was thrown away here: `dropped(peer, message_id, data=b"", stamp=None) -> stamp`."""
    resent: Message
    """Record that a message was sent again: `resent(peer, message_id, data=b"", stamp=None) -> stamp`."""

    def __init__(
        self,
        name: str,
        seconds: float = 10.0,
        folder: str | os.PathLike[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise UserError(f"the name of a node is a text that is not empty; it is {name!r}")
        if not _is_history(seconds):
            raise UserError(
                f"seconds={seconds!r}: a ring has more than 0 and at most {SECONDS_MAX:.0f} seconds of history"
            )
        n_parts = -(-round(seconds * EVENTS_PER_S) * RECORD_BYTES // PART_BYTES)
        try:
            place = None if folder is None else Path(folder)
        except TypeError as error:
            raise UserError(f"folder={folder!r} is no path: give a text or a Path, or nothing") from error
        self._bind(Writer(name, max(n_parts, 1), place, SystemClock() if clock is None else clock), {}, 0)

    def _bind(self, writer: Writer, lanes: dict[str, Recorder], lane: int) -> None:
        writes = writer.hot.writes
        self._writer, self._lanes = writer, lanes
        self.sent, self.received = writes(Kind.SENT, lane), writes(Kind.RECEIVED, lane)
        self.dropped, self.resent = writes(Kind.DROPPED, lane), writes(Kind.RESENT, lane)
        self._queued, self._started = writes(Kind.QUEUED, lane), writes(Kind.STARTED, lane)
        self._ended, self._spilled = writes(Kind.ENDED, lane), writes(Kind.SPILLED, lane)
        self._put, self._removed = writes(Kind.PUT, lane), writes(Kind.REMOVED, lane)
        self._failed, self._noted = writes(Kind.FAILED, lane), writes(Kind.NOTE, lane)

    def __repr__(self) -> str:
        return f"<Recorder in {self.path or 'memory that only this process sees'}>"

    def queued(self, task: Id, data: Data = b"") -> int:
        """Record that a task waits for its turn; `data` may say what it is. Return the stamp."""
        return self._of(self._queued, task, data)

    def started(self, task: Id, data: Data = b"") -> int:
        """Record that a task begins. Return the stamp."""
        return self._of(self._started, task, data)

    def ended(self, task: Id, data: Data = b"") -> int:
        """Record that a task is over; `data` may say how. Return the stamp."""
        return self._of(self._ended, task, data)

    def put(self, key: Id, data: Data = b"") -> int:
        """Record that a key of some state was written; `data` is the value's bytes. Return the stamp."""
        return self._of(self._put, key, data)

    def removed(self, key: Id, data: Data = b"") -> int:
        """Record that a key of some state was removed. Return the stamp."""
        return self._of(self._removed, key, data)

    def spilled(self, key: Id, data: Data = b"") -> int:
        """Record that a value went from memory to disk. Return the stamp."""
        return self._of(self._spilled, key, data)

    def failed(self, error: BaseException | str, task: Id = None) -> int:
        """Record an error, with the type's name and the beginning of its text. Return the stamp."""
        if isinstance(error, str):
            return self._failed(None, task, error)
        return self._writer.failed(self._failed, error, task)

    def note(self, text: str) -> int:
        """Record an event of your own; 58 bytes of a text are kept while there is room for names, else 27.

        Returns
        -------
        int
            The stamp.
        """
        name, ident = self._writer.named(text)
        return self._noted(name, ident, text)

    def sample(self, bytes_in_flight: int | None = None) -> int:
        """Record processor time and memory of this process, and the bytes it has in flight (or had, last told).

        Once a second of activity this is done anyway. Return the stamp.
        """
        if isinstance(bytes_in_flight, int):
            self._writer.in_flight = bytes_in_flight
        return self._writer.sample()

    def lane(self, name: str) -> Recorder:
        """Return the recorder of another lane of the same ring: a thread, a task, a part of the program."""
        name = safe_text(name)
        lane = self._lanes.get(name)
        if lane is None:
            lane = object.__new__(Recorder)
            is_one_more = len(self._lanes) >= LANES_MAX
            lane._bind(self._writer, self._lanes, self._writer.names.of(name, endless=is_one_more))
            if not is_one_more:
                lane = self._lanes.setdefault(name, lane)
        return lane

    def close(self, remove: bool = False) -> None:
        """Record no more, in all lanes. The file stays for readers, unless it is to be removed."""
        self._writer.close(remove)

    @property
    def path(self) -> Path | None:
        """The file; None if there was no folder for it, and the ring is memory that only this process sees."""
        return self._writer.path

    @property
    def n_lost(self) -> int:
        """Events that could not be recorded, since this process began with the ring."""
        return self._writer.n_lost

    @property
    def n_refused(self) -> int:
        """Stamps of others that were too far ahead of this machine's clock to be believed."""
        return self._writer.n_refused

    def _of(self, write: Write, thing: Id, data: Data) -> int:
        if type(thing) is int:
            return write(None, thing, data)
        name, ident = self._writer.named(thing)
        return write(name, ident, data)


def _is_history(seconds: Any) -> bool:
    try:
        return bool(0 < seconds <= SECONDS_MAX)
    except (TypeError, ValueError):  # no number, or several
        return False
