"""One post asked, by a thread that ends with the deadline, and what became of it."""

from __future__ import annotations

import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

import msgspec
import numpy as np

from hydroscope.engine.dump import disk
from hydroscope.engine.dump.line import Broken, Late, Line, Nobody
from hydroscope.engine.own import own
from hydroscope.ground.errors import DataError
from hydroscope.ground.record.layout import RECORD_BYTES
from hydroscope.ground.record.reader import RECORD_TYPE, Ring
from hydroscope.wire.dumps import (
    CatchUp,
    Die,
    Done,
    Freeze,
    Look,
    Lying,
    Part,
    Question,
    RingHead,
    Seen,
    Ship,
    Thaw,
    Unable,
    Where,
)

__all__ = ["SLICE_S", "Asked", "Got", "Task", "ask", "read_here", "tell", "until_over"]

TRY_S = 1.0
"""After which a connection is tried again: its first packet may be lost."""

SLICE_S = 0.05
"""For which news is waited at a time."""

RING_MAX_BYTES = 2**34
"""More than a ring can have."""

Got = tuple[int, Lying, Ring | str]
"""A place, a ring there, and what was read or why it could not be."""

Wants = Callable[[Lying], bool]


class Asked:
    """What is done elsewhere, and how it went. Its thread writes it; whoever gathers is told by `events`."""

    def __init__(self, where: Where, events: SimpleQueue[Asked]) -> None:
        self.where = where
        self.seen: Seen | None = None
        self.got: SimpleQueue[Got] = SimpleQueue()
        self.refusals: list[str] = []
        """What it was asked to do and did not, in words."""
        self.failure: str | None = None
        self.is_gone = False
        """Nobody is there who could do it."""
        self.is_over = False
        self.is_done = False
        """Frozen, thawed, ended or caught up, as was asked for."""
        self.waited_s: float | None = None
        """How long it was waited for, if it was given up."""
        self._events = events
        self._began = time.monotonic()
        self._line: Line | None = None

    def start(self, work: Callable[[Asked], None]) -> Asked:
        """Do it in a thread."""

        def run() -> None:
            failure: str | None = None
            try:
                work(self)
            except Late:
                self.stop()
            except (Broken, DataError) as error:
                failure, self.is_gone = str(error), isinstance(error, Nobody)
            except Exception as error:  # whatever it is, the others are still asked
                failure = f"{type(error).__name__}: {error}"
            if self.waited_s is None:  # else it is over because it was given up
                self.failure = failure
            self.is_over = True
            self.tell()

        try:
            threading.Thread(target=run, name="hydroscope-asking", daemon=True).start()
        except RuntimeError as error:  # no more threads can be had
            self.failure, self.is_over = f"it was not asked: {error}", True
            self.tell()
        return self

    def tell(self) -> None:
        """Let whoever gathers look."""
        self._events.put(self)

    def stop(self) -> None:
        """Give it up, if it is not over."""
        if self.is_over or self.waited_s is not None:
            return
        self.waited_s = time.monotonic() - self._began
        line = self._line
        if line is not None:
            line.close()

    @contextmanager
    def line(self, key: bytes, until: float) -> Iterator[Line]:
        """Within the block, be connected to the post; Broken when that cannot be."""
        line = self._line = Line(_connected(self.where, until), key, False, until)
        try:
            if self.waited_s is not None:  # given up while it was being reached: nothing is to be done there any more
                raise Late("it was given up")
            line.greet()
            yield line
        finally:
            line.close()


class Task:
    """What is done at each post.

    Parameters
    ----------
    key : bytes
    until : float
        Of the monotonic clock.
    freeze_s : float
        Above 0: let it stand still for so long, before anything else.
    ships : bool
        Whether it sends its own rings: those that `wants` chooses.
    seconds : float or None
        Of history.
    """

    def __init__(
        self, key: bytes, until: float, freeze_s: float, ships: bool, wants: Wants, seconds: float | None
    ) -> None:
        self._key, self._until, self._freeze_s = key, until, freeze_s
        self._ships, self._wants, self._seconds = ships, wants, seconds

    def ask(self, asked: Asked) -> None:
        """Freeze, look, and bring the rings of the process itself."""
        with asked.line(self._key, self._until) as line:
            if self._freeze_s > 0:
                _order(asked, line, Freeze(self._freeze_s))
            line.say(Look())
            seen = _expect(line, Seen)
            if seen.byte_order != sys.byteorder:
                raise Broken(f"its machine's byte order is {seen.byte_order}, here it is {sys.byteorder}")
            asked.where = _reached(seen.me, asked.where)
            asked.seen = seen  # last: whoever gathers looks at it
            asked.tell()
            if self._ships:
                its = [ring for ring in seen.rings if ring.pid == seen.me.pid and ring.state and self._wants(ring)]
                _bring(asked, line, seen.me.place, its, since_ns(seen, self._seconds))

    def fetch(self, rings: list[Lying], seen: Seen) -> Callable[[Asked], None]:
        """Return what brings rings of other processes of the same machine."""

        def work(asked: Asked) -> None:
            with asked.line(self._key, self._until) as line:
                _bring(asked, line, seen.me.place, rings, since_ns(seen, self._seconds))

        return work


def since_ns(seen: Seen, seconds: float | None) -> int:
    """Return the stamp from which on records are wanted."""
    return 0 if seconds in (None, math.inf) else max(0, int(seen.now_ns - seconds * 1e9))


def ask(where: Where, key: bytes, until: float, events: SimpleQueue[Asked]) -> Asked:
    """Ask only who it is and whom it knows."""
    return Asked(where, events).start(Task(key, until, 0.0, False, lambda ring: False, None).ask)


def tell(
    where: Where, key: bytes, until: float, events: SimpleQueue[Asked], order: Thaw | Die | Freeze | CatchUp
) -> Asked:
    """Have it done at a post."""

    def work(asked: Asked) -> None:
        with asked.line(key, until) as line:
            _order(asked, line, order)

    return Asked(where, events).start(work)


def until_over(asked: Iterable[Asked], events: SimpleQueue[Asked], until: float) -> None:
    """Wait until those who were asked are through; give up the others when time is over."""
    waiting = list(asked)
    while waiting and (left := until - time.monotonic()) > 0:
        with suppress(Empty):
            events.get(timeout=min(left, SLICE_S))
        waiting = [each for each in waiting if not each.is_over]
    for each in waiting:
        each.stop()


def read_here(rings: list[Lying], place: int, since_ns: int) -> Callable[[Asked], None]:
    """Return what reads rings of this machine."""

    def work(asked: Asked) -> None:
        for ring in rings:
            if asked.waited_s is not None:
                return
            try:
                asked.got.put((place, ring, disk.read(ring.file, since_ns)))
            except Exception as error:  # whatever is wrong with this one, the others are read
                asked.got.put((place, ring, str(error) or type(error).__name__))

    return work


def _reached(it: Where, as_it_was: Where) -> Where:
    """Return who it is, under the address that led there: its own may lead elsewhere from here."""
    return it if as_it_was.port == 0 else msgspec.structs.replace(it, host=as_it_was.host, port=as_it_was.port)


def _connected(where: Where, until: float) -> socket.socket:
    """Return a connection to a post; a path in place of a host is a socket in a folder."""
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise Late("no answer in time")
        try:
            if where.port == 0:
                return _through_door(where.host, left)
            return own(socket.create_connection((where.host, where.port), timeout=min(left, TRY_S)))
        except TimeoutError:
            continue
        except OSError as error:
            kind = Nobody if isinstance(error, ConnectionRefusedError) else Broken
            raise kind(f"{where.host}:{where.port} cannot be reached: {error.strerror or error}") from None


def _through_door(path: str, within_s: float) -> socket.socket:
    door = own(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        door.settimeout(within_s)
        door.connect(path)
    except BaseException:
        door.close()
        raise
    return door


def _order(asked: Asked, line: Line, order: Question) -> None:
    line.say(order)
    answer = line.hear()
    asked.is_done = isinstance(answer, Done)
    if not asked.is_done:
        why = answer.why if isinstance(answer, Unable) else "it answered something else"
        asked.refusals.append(f"it does not {type(order).__name__.lower()}: {why}")


def _expect(line: Line, kind: type[Seen]) -> Seen:
    answer = line.hear()
    if isinstance(answer, kind):
        return answer
    raise Broken(f"it answered {type(answer).__name__}")


def _bring(asked: Asked, line: Line, place: int, rings: list[Lying], since_ns: int) -> None:
    if not rings:
        return
    line.say(Ship(tuple(ring.file for ring in rings), since_ns))
    for ring in rings:
        answer = line.hear()
        if isinstance(answer, Unable):
            asked.got.put((place, ring, answer.why))
        elif isinstance(answer, RingHead):
            asked.got.put((place, ring, _ring(line, answer)))
        else:
            raise Broken(f"it answered {type(answer).__name__}")
        asked.tell()
    if not isinstance(line.hear(), Done):
        raise Broken("it sent more than was asked for")


def _ring(line: Line, head: RingHead) -> Ring:
    """Return a ring that arrives in parts."""
    if not 0 <= head.n_bytes <= RING_MAX_BYTES or head.n_bytes % RECORD_BYTES:
        raise Broken(f"it announced {head.n_bytes} bytes of records")
    data = bytearray()
    while len(data) < head.n_bytes:
        part = line.hear()
        if not isinstance(part, Part) or not 0 < len(part.data) <= head.n_bytes - len(data):
            raise Broken("it sent something else than the records it had announced")
        data += part.data
    records = np.frombuffer(data, RECORD_TYPE)
    return Ring(records, head.names, disk.about_of(head.ring), head.n_torn, head.damage)
