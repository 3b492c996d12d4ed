"""The flight recorder of this process: on from the first engine or member, unless it is turned off.

`HYDROSCOPE_RECORD=0` turns it off; `HYDROSCOPE_RECORD_SECONDS` says how many seconds of history its ring is for. What
is recorded is in docs/recorder.md; who records what: `engine.sockets.witness` the messages and keys of a member,
`engine.local` and `engine.ray` tasks, `engine.threads` jobs.

What a map of many items costs is bounded here: items are recorded one by one only where they last long enough, and
maps of shorter ones as one task, or not at all. How long they last is known from the map of this function before.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import DATA_BYTES, hash64
from hydroscope.ground.record.recorder import SECONDS_MAX, Recorder

__all__ = ["ITEM_S", "MAP_S", "Work", "failed", "item_text", "lane", "name_of", "recorder", "short", "task_id", "work"]

SWITCH = "HYDROSCOPE_RECORD"
SECONDS = "HYDROSCOPE_RECORD_SECONDS"

ITEM_S = 1e-3
"""Items that last so long on average are recorded one by one: three records. One costs 0.5 us in a loop of its own, and
several times as much in the middle of other work, where nothing of it is in the processor's caches."""

MAP_S = 1e-3
"""Maps that last so long on average are recorded as one task if their items do not; two records."""

SKIPPED = 15
"""Maps of a function whose maps are shorter that are not even timed, before one is again."""

UNKNOWN_MAX = 64
"""Items of a map that are recorded one by one although nobody knows yet how long they last."""

QUEUED_MAX = 1000
"""Items of a map of which each is recorded as waiting."""

IDS = 2**20
"""For the items of one map."""

PACES_MAX = 4096
"""Functions whose pace is remembered."""


class Pace:
    """How long items and maps of a function last."""

    __slots__ = ("code", "item_s", "map_s", "name", "skip")

    def __init__(self, code: object, name: str) -> None:
        self.code, self.name = code, name
        self.item_s, self.map_s, self.skip = -1.0, MAP_S, 0


_making = threading.Lock()
_made: Recorder | None = None
_is_off = False
_base = secrets.randbits(64)
_numbers = itertools.count(1)
_paces: dict[int, Pace] = {}
"""By the id of the function's code, which the pace keeps alive."""


def recorder(role: str = "process") -> Recorder | None:
    """Return the recorder of this process, made when it is first asked for; None if it is turned off.

    Parameters
    ----------
    role : str
        What the process is, for whoever makes it: the ring is named after it and the process's number.
    """
    if _made is not None or _is_off:
        return _made
    return _make(role)


def _make(role: str) -> Recorder | None:
    global _made, _is_off
    with _making:
        if _made is None and not _is_off:
            if os.environ.get(SWITCH, "1") == "0":
                _is_off = True
            else:
                _made = made = Recorder(f"{role}-{os.getpid()}", _seconds())
                made.note("recording begins")  # and the clocks: a process that does nothing is there all the same
        return _made


def _seconds() -> float:
    text = os.environ.get(SECONDS)
    if text is None:
        return 10.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= SECONDS_MAX:
        raise UserError(f"{SECONDS}={text!r} must be seconds of history, more than 0 and at most {SECONDS_MAX:.0f}")
    return seconds


def lane() -> Recorder | None:
    """Return the recorder of this thread's lane. Cost: below a microsecond."""
    rec = recorder()
    return None if rec is None else rec.lane(threading.current_thread().name)


def task_id(*what: object) -> int:
    """Return the id of a task that several processes know by the same words."""
    return hash64("\0".join(map(str, what)).encode(errors="surrogatepass"))


class Work:
    """One map, as it is recorded: item by item, as a whole, or not at all; how long it took is kept.

    Parameters
    ----------
    pace : Pace
        Of the function.
    n_items : int
    here : Recorder or None
        The lane of the thread that maps; None: nothing is recorded.
    each : bool
        Whether items are recorded one by one.
    """

    __slots__ = ("_began", "_first", "_lane", "_pace", "each", "n_items")

    def __init__(self, pace: Pace, n_items: int, here: Recorder | None, each: bool) -> None:
        self._pace, self.n_items, self.each, self._lane = pace, n_items, each, here
        self._first = 0
        if here is not None:
            self._first = first = _new_ids()
            if not each:
                here.started(first, f"{short(pace.name, DATA_BYTES - 11)} x{n_items}")
            elif n_items <= QUEUED_MAX:
                for index in range(n_items):
                    here.queued(first + index, item_text(pace.name, index, n_items))
        self._began = time.monotonic()

    def run(self, index: int, here: Recorder, call: Callable[[int], Any]) -> Any:
        """Run an item and record when it began and ended."""
        ident, text = self._first + index, item_text(self._pace.name, index, self.n_items)
        here.started(ident, text)
        try:
            return call(index)
        finally:
            here.ended(ident, text)

    def id_of(self, index: int) -> int:
        """Return the id of an item, or of the map if its items have none."""
        return self._first + (index if self.each else 0)

    def ended(self, n_threads: int) -> None:
        """Note that the map is over, and how long its items lasted."""
        pace, seconds = self._pace, time.monotonic() - self._began
        if self._lane is not None and not self.each:
            self._lane.ended(self._first)
        pace.item_s, pace.map_s = seconds * min(n_threads, self.n_items) / self.n_items, seconds
        pace.skip = SKIPPED if seconds < MAP_S and pace.item_s < ITEM_S else 0


def work(function: Callable[..., Any], n_items: int) -> Work | None:
    """Return how a map is recorded, which begins now; None if nothing is.

    Cost: below a microsecond where maps of this function are too short to be recorded; else two records a map, or
    three an item.
    """
    if _is_off or not n_items:
        return None
    while type(function) is partial:
        function = function.func
    code = getattr(function, "__code__", None) or type(function)
    pace = _paces.get(id(code))
    if pace is None:
        if recorder() is None or len(_paces) >= PACES_MAX:
            return None
        pace = _paces[id(code)] = Pace(code, name_of(function))
    elif pace.skip:
        pace.skip -= 1
        return None
    each = (pace.item_s >= ITEM_S or (pace.item_s < 0 and n_items <= UNKNOWN_MAX)) and n_items <= IDS
    return Work(pace, n_items, lane() if each or pace.map_s >= MAP_S else None, each)


def failed(error: BaseException, told: Work | None, index: int) -> None:
    """Record that an item of a map has failed."""
    if (here := lane()) is not None:
        here.failed(error, None if told is None else told.id_of(index))


def item_text(name: str, index: int, n_items: int) -> str:
    """Return what an item of a map is called, in so few letters that a record holds them.

    Examples
    --------
    >>> item_text("split_rows", 2, 8)
    'split_rows 3/8'
    """
    tail = f" {index + 1}/{n_items}"
    return short(name, DATA_BYTES - len(tail)) + tail


def short(name: str, n: int) -> str:
    """Return a name in at most so many letters: without the names around it, if it must be, then its beginning.

    Examples
    --------
    >>> short("Level.find.search", 20), short("Level.find.search", 12), short("Level.find.search", 4)
    ('Level.find.search', 'find.search', 'sear')
    """
    while len(name) > n and "." in name:
        name = name.partition(".")[2]
    return name[:n]


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called in few letters.

    Examples
    --------
    >>> def outer():
    ...     return lambda: 0
    >>> name_of(outer()), name_of(partial(sum, [1]))
    ('outer', 'sum')
    """
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return name.replace(".<locals>.<lambda>", "").replace("<locals>.", "")


def _new_ids() -> int:
    """Return the first of `IDS` ids in a row that no other task of the cluster has."""
    return (_base + next(_numbers) * IDS) % 2**64 // IDS * IDS


def _begin_anew() -> None:
    """In a forked child: its tasks are not its parent's, and no thread of its is making a recorder."""
    global _making, _base
    _making, _base = threading.Lock(), secrets.randbits(64)


os.register_at_fork(after_in_child=_begin_anew)
