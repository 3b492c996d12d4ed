"""A state of keys and values whose last seconds can be looked at: every change is kept with what was before.

Writers do next to nothing: a change goes, with the time on the wall, to the end of a list, which
is one step that nothing interrupts. Whoever needs the entries, a reader or every so often a writer,
folds that list into columns under a lock: there changes get their stamps, in the order of the list,
and their old values. A writer waits for the lock only when the list is full: so however many write at once,
the list does not grow faster than it is folded.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Hashable, Iterator
from numbers import Real
from pathlib import Path
from threading import RLock
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np

from hydroscope.ground.clocks.hlc import HybridClock
from hydroscope.ground.clocks.many import stamps as stamps_at
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import HydroscopeError, UserError
from hydroscope.window.absent import ABSENT
from hydroscope.window.cut import Cut
from hydroscope.window.errors import outside
from hydroscope.window.history import ROW_BYTES, History
from hydroscope.window.layout import Head
from hydroscope.window.ledger import PARTS, Ledger
from hydroscope.window.tape import Tape
from hydroscope.window.times import as_stamp, shown

__all__ = ["WindowLog", "open_logs"]

BATCH: Final = 1024
"""Changes that wait in the list before a writer folds them."""

FIRST: Final = 16
"""Changes of the first batch, when nobody knows yet how large values are; each is at most twice the one before."""

_BYTES_MAX: Final = 2**62

_every: Final[WeakValueDictionary[int, WindowLog]] = WeakValueDictionary()
"""The logs of this process, by `id`."""

_forking: Final = RLock()
_held: Final[list[WindowLog]] = []
"""Those whose locks the thread that forks has."""


def _all_logs() -> list[WindowLog]:
    # The references first, in one step: other threads make logs meanwhile.
    return [log for reference in _every.valuerefs() if (log := reference()) is not None]


def open_logs() -> list[WindowLog]:
    """Return the logs of this process that somebody holds and nobody has closed, by name. Cost: O(logs)."""
    return sorted((log for log in _all_logs() if log._is_open), key=lambda log: log.name)


def _before_fork() -> None:
    """Let nobody be in the midst of a change: a child has no thread that would end it."""
    _forking.acquire()
    for log in _all_logs():
        log._lock.acquire()
        _held.append(log)


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()
    _forking.release()


def _after_fork_in_child() -> None:
    """Go on in memory alone; the files are the parent's."""
    for log in _all_logs():
        log._tape = None
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


class WindowLog:
    """Keep a state and its last seconds, change by change, so that any moment of them can be looked at.

    Use it as a dictionary. Then `snapshot` says how the state was, of one log or of several at one
    consistent moment:

    >>> log = WindowLog("till", seconds=10)
    >>> log["cash"] = 100
    >>> before = log.tick()
    >>> log["cash"] = 70
    >>> del log["cash"]
    >>> log.get("cash", "gone"), log.cut(before).value("cash")
    ('gone', 100)

    Parameters
    ----------
    name : str
        Of the log (the node, the part of the program), as snapshots are to call it.
    seconds : float
        How far back the window reaches, as far as `bytes` allow; up to an eighth more is kept.
    bytes : int
        What all kept changes may take up: 36 bytes each and the size of the new value, as `sys.getsizeof`
        says. When it is exceeded the window gets shorter. Checked every 1,024 changes, more often if values
        are large.
    folder : path, optional
        Where to write every change too, in files that outlive the process, `kill -9` included (not the
        machine): `read_window` reads them. Then keys and values have to be of the types that `hs.kv` takes.
    clock : HybridClock, optional
        That stamps the changes: the one whose stamps your messages carry. By default one of the log's own;
        pass what `tick` returns along with your messages, and what you receive to `merge`.

    Notes
    -----
    Values are kept by reference: put a new value instead of changing one in place, or the past changes with it.
    Any thread may write and read. A forked child goes on with a log of its own, in memory only.

    Cost: 1 to 1.5 us a change, some 8 us with a folder; 36 bytes and the value. Changes are put into columns by
    the thousand, and sealed and forgotten by the 8,192, so that one in a thousand takes a millisecond.
    """

    __slots__ = (
        "__weakref__", "_bytes", "_clock", "_deferred", "_full", "_is_busy", "_is_open", "_ledger", "_lock", "_now",
        "_pending", "_tape", "name",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        seconds: float = 10.0,
        bytes: int = 2**28,
        folder: str | Path | None = None,
        clock: HybridClock | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise UserError(f"name={name!r}: a log is called by a text")
        if not all(isinstance(each, Real) for each in (seconds, bytes)):
            raise UserError(f"seconds={seconds!r}, bytes={bytes!r}: give two numbers")
        if not (seconds > 0 and bytes >= ROW_BYTES):
            raise UserError(f"a window of {seconds} seconds and {bytes} bytes holds nothing; give it more")
        self.name = name
        self._is_open = True
        self._bytes = n_bytes = int(min(bytes, _BYTES_MAX))
        self._clock = clock or HybridClock(SystemClock())
        self._deferred = clock is None and folder is None
        self._now = SystemClock.wall_ns if self._deferred else self._clock.tick
        self._lock = RLock()  # of C: `with` takes and gives it back whatever interrupts
        self._is_busy = False
        self._pending: list[Any] = []
        """Stamp (or time on the wall, if the log's own clock is to stamp it later), key, value, and so on."""
        self._full = 3 * FIRST
        start = self._clock.tick()
        self._ledger = Ledger(name, seconds, n_bytes, start, SystemClock.wall_ns)
        head = Head.of_this_process(name, start, seconds)
        self._tape = None if folder is None else Tape(Path(folder), head, n_bytes)
        _every[id(self)] = self

    # ---------------------------------------------------------------- writing

    def __setitem__(self, key: Hashable, value: Any) -> None:
        hash(key)  # here, for who folds it later could do nothing about it
        if self._tape is not None:
            self._append_taped(key, value)
            return
        pending = self._pending
        pending.extend((self._now(), key, value))
        if len(pending) >= self._full:
            with self._lock:
                if len(pending) >= self._full and not self._is_busy:  # it is busy if this thread was interrupted at it
                    self._fold()

    def __delitem__(self, key: Hashable) -> None:
        if key not in self:
            raise KeyError(key)
        self[key] = ABSENT

    def put(self, key: Hashable, value: Any, stamp: int | None = None) -> int:
        """Set a key and return the change's stamp.

        Parameters
        ----------
        key, value
            As of `log[key] = value`.
        stamp : int, optional
            That the change is to have; by default the clock's next. One that is older than other changes is put
            in among them, as if it had come in time: changes count in the order of their stamps, so a newer value
            of the key stays. Changes with the same stamp are one event: no cut lies between them.

        Returns
        -------
        int
            The stamp.

        Raises
        ------
        WindowError
            If the stamp lies before the window.
        UserError
            If it is more than 60 s ahead of this machine's clock.

        Notes
        -----
        Cost: about 3 us; for an older stamp O(entries since).
        """
        hash(key)
        wanted = None if stamp is None else as_stamp(stamp)
        with self._lock:
            self._fold()
            if wanted is None:
                stamp = self._clock.tick()
            else:
                stamp = self._checked(wanted)
            if self._tape is not None:
                self._tape.write(stamp, key, value)
            self._take_in(array("Q", [stamp]), [key], [value], 0)
        return stamp

    def remove(self, key: Hashable, stamp: int | None = None) -> int:
        """Remove a key as of `stamp` (default: now), as `put` does; return the stamp; KeyError if it is not there."""
        if key not in self:
            raise KeyError(key)
        return self.put(key, ABSENT, stamp)

    def tick(self) -> int:
        """Return a stamp higher than those of all changes so far, for a message that is sent. Cost: about 2 us."""
        with self._lock:
            self._fold()
            return self._clock.tick()

    def merge(self, stamp: int) -> bool:
        """Stamp all later changes above `stamp`, which came with a message; False if that is too far ahead."""
        received = as_stamp(stamp)
        with self._lock:
            self._fold()
            return self._clock.merge(received)

    def close(self) -> None:
        """Leave `snapshot()`, and let go of the files, which stay; the log itself goes on in memory."""
        self._is_open = False
        with self._lock:
            self._fold()
            if self._tape is not None:
                self._tape.close()
                self._tape = None

    # ---------------------------------------------------------------- the state now

    def __getitem__(self, key: Hashable) -> Any:
        value = self.get(key, ABSENT)
        if value is ABSENT:
            raise KeyError(key)
        return value

    def get(self, key: Hashable, default: Any = None) -> Any:
        """Return the value of a key now, or `default`. Cost: about 1 us, and what changed since the last reading."""
        with self._lock:
            self._fold()
            value = self._ledger.value(key)
        return default if value is ABSENT else value

    def __contains__(self, key: object) -> bool:
        return self.get(key, ABSENT) is not ABSENT

    def __repr__(self) -> str:
        return f"<WindowLog {self.name!r}>"

    def __len__(self) -> int:
        with self._lock:
            self._fold()
            return self._ledger.n_live

    def __iter__(self) -> Iterator[Hashable]:
        return iter([key for key, _ in self.items()])

    def items(self) -> list[tuple[Hashable, Any]]:
        """Return all keys with their values, of one moment. Cost: O(keys)."""
        return self.cut().items()

    # ---------------------------------------------------------------- the past

    @property
    def start(self) -> int:
        """The stamp from which on the state is known."""
        return self._ledger.start

    @property
    def n_bytes(self) -> int:
        """Bytes of all changes that are kept."""
        with self._lock:
            self._fold()
            return self._ledger.n_bytes

    def history(self) -> History:
        """Return all entries up to now, a stamp that no later change will have. Cost: a copy of 8,192 entries."""
        with self._lock:
            return self._history()

    def cut(self, stamp: int | None = None) -> Cut:
        """Return the state after all changes with a stamp up to this one (default: all so far).

        Parameters
        ----------
        stamp : int, optional
            A moment of the window.

        Raises
        ------
        WindowError
            If it lies before the window or in the future.

        Notes
        -----
        The present is copied under the lock, and rolled back after that, when writers go on.
        Cost: O(keys), 2 ns each, and O(entries since), some 10 ns each.
        """
        with self._lock:
            now, state = self._history(), self._ledger.state()
        target = now.until if stamp is None else stamp
        if not now.covers(target):
            raise outside(now, target)
        place = now.place(target)
        now.roll(state, now.n_entries, place)
        return Cut(now, state, target, place)

    # ---------------------------------------------------------------- under the lock

    def _history(self) -> History:
        self._fold()
        return self._ledger.history(self._clock.tick())

    def _append_taped(self, key: Hashable, value: Any) -> None:
        with self._lock:
            if self._tape is not None:
                stamp = self._clock.tick()
                self._tape.write(stamp, key, value)
                self._pending.extend((stamp, key, value))
                if len(self._pending) >= self._full:
                    self._fold()
                return
        self[key] = value  # closed meanwhile

    def _checked(self, stamp: int) -> int:
        if stamp <= self._ledger.start:
            raise outside(self._history(), stamp)
        if not self._clock.merge(stamp):
            raise UserError(
                f"stamp {stamp} ({shown(stamp)}) is over a minute ahead of this machine's clock; set the clocks right"
            )
        return stamp

    def _fold(self) -> None:
        """Take in what is pending: stamps in its order, old values, evictions."""
        if self._is_busy:
            raise HydroscopeError(f"log {self.name!r} is in use by the very code that was interrupted; use a thread")
        pending = self._pending
        n = len(pending)
        if n:
            times = pending[:n:3]
            stamps = stamps_at(self._clock.last, times) if self._deferred else array("Q", times)
            self._take_in(stamps, pending[1:n:3], pending[2:n:3], 3)

    def _take_in(self, stamps: array[int], keys: list[Hashable], new: list[Any], width: int) -> None:
        """Add entries; each was `width` items of the list of what is pending."""
        ledger, pending = self._ledger, self._pending
        try:
            self._is_busy = True
            if stamps[0] >= ledger.newest and _in_order(stamps):
                ledger.add(stamps, keys, new, pending, width * len(new))
            else:
                for stamp, key, value in zip(stamps, keys, new, strict=True):
                    if stamp >= ledger.newest:
                        ledger.add(array("Q", [stamp]), [key], [value], pending, width)
                    else:
                        ledger.insert(stamp, key, value, pending, width)
            ledger.seal()
            ledger.forget()
        finally:
            self._is_busy = False
            self._clock.raise_to(ledger.newest)
        fitting = self._bytes // (4 * PARTS * ledger.entry_bytes)
        self._full = 3 * min(2 * self._full // 3, BATCH, max(1, fitting))


def _in_order(stamps: array[int]) -> bool:
    if len(stamps) == 1:
        return True
    columns = np.frombuffer(stamps, np.uint64)
    return bool(np.all(columns[1:] >= columns[:-1]))
