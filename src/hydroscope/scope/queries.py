"""Questions to the past: when did something hold last, when first, what broke it.

A predicate is a function of a state. What it reads is taken down, and it is asked again only
where one of those keys was changed; in between its answer cannot be another, provided that it depends on
nothing else and changes nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroscope.ground.errors import UserError
from hydroscope.scope.snapshots import Logs, Snapshot, snapshot
from hydroscope.scope.states import State
from hydroscope.window.cut import Cut
from hydroscope.window.errors import WindowError
from hydroscope.window.history import History
from hydroscope.window.times import shown

__all__ = ["Predicate", "Watch", "bisect", "first_time", "last_time", "watch"]

Predicate = Callable[[State], Any]
Reads = dict[str, set[Hashable] | None]


def last_time(predicate: Predicate, logs: Logs = None) -> Snapshot | None:
    """Return the state at the last moment at which a predicate held: now, or just before the event that ended it.

    Parameters
    ----------
    predicate : function of a State
        That depends on nothing but what it reads of the state.
    logs : WindowLog, PastLog or several of them, optional
        Default: as of `snapshot`.

    Returns
    -------
    Snapshot or None
        None if it held at no moment of the window. `step` moves on to the event that ended it.

    Notes
    -----
    Cost: one cut, and about 50 us and a call for each event that changed a key which the predicate reads.

    Examples
    --------
    >>> from hydroscope.window.log import WindowLog
    >>> log = WindowLog("till")
    >>> for cash in (100, 70, -5, -20):
    ...     log["cash"] = cash
    >>> snap = last_time(lambda state: state.get("cash", 0) >= 0, log)
    >>> snap["cash"], snap.step(), snap["cash"]
    (70, 1, -5)
    """
    probe = _Probe(predicate, snapshot(logs=logs))
    return probe.snap if probe.holds() or probe.seek(True, probe.start, back=True) else None


def first_time(predicate: Predicate, logs: Logs = None) -> Snapshot | None:
    """Return the state at the first moment at which a predicate held: the window's start, or after an event.

    Parameters
    ----------
    predicate : function of a State
        That depends on nothing but what it reads of the state.
    logs : WindowLog, PastLog or several of them, optional
        Default: as of `snapshot`.

    Returns
    -------
    Snapshot or None
        None if it held at no moment of the window.

    Notes
    -----
    Cost: as `last_time`, from the other end.

    Examples
    --------
    >>> import hydroscope as hs
    >>> till = hs.WindowLog("till")
    >>> for cash in (100, -5, -20, 30):
    ...     till["cash"] = cash
    >>> hs.first_time(lambda state: state.get("cash", 0) < 0, till)["cash"]
    -5
    """
    snap = snapshot(logs=logs)
    probe, until = _Probe(predicate, snap), snap.at
    probe.move(probe.start)
    return probe.snap if probe.holds() or probe.seek(True, until) else None


def bisect(invariant: Predicate, logs: Logs = None) -> Snapshot:
    """Return the state right after the event that broke an invariant for good, found by halving the window.

    Parameters
    ----------
    invariant : function of a State
        That held when the window began, does not hold now, and changed only once: then the event is found by
        some 40 questions. If it changed more often, *an* event that broke it is found, not always the first;
        `first_time` finds that.
    logs : WindowLog, PastLog or several of them, optional
        Default: as of `snapshot`.

    Returns
    -------
    Snapshot
        Whose `changes()` are what broke it.

    Raises
    ------
    UserError
        If it holds now, or did not when the window began.

    Notes
    -----
    Cost: O(keys + changes in the window), about 50 ns each, and 40 calls.

    Examples
    --------
    >>> import hydroscope as hs
    >>> till = hs.WindowLog("till")
    >>> for cash in (100, 70, -5, -20):
    ...     till["cash"] = cash
    >>> hs.bisect(lambda state: state.get("cash", 0) >= 0, till).changes()[0].new
    -5
    """
    snap = snapshot(logs=logs)
    probe, broken = _Probe(invariant, snap), snap.at
    held = probe.start
    if probe.holds():
        raise UserError("the invariant holds now, so nothing has to be found; ask last_time when it did not")
    probe.move(held)
    if not probe.holds():
        raise UserError(
            f"the invariant was broken already at {shown(held)}, when the window began; use a longer window"
        )
    while broken - held > 1:
        middle = (held + broken) // 2
        probe.move(middle)
        if probe.holds():
            held = middle
        else:
            broken = middle
    probe.move(broken)
    return snap


def watch(invariant: Predicate, logs: Logs = None, alert: Callable[[Snapshot], Any] | None = None) -> Watch:
    """Return a watch over an invariant, which finds every event from now on that breaks it.

    Parameters
    ----------
    invariant : function of a State
        That depends on nothing but what it reads of the state.
    logs : WindowLog, PastLog or several of them, optional
        Default: as of `snapshot`.
    alert : function of a Snapshot, optional
        Called, by whoever calls `check`, with the cut right after each such event.

    Returns
    -------
    Watch
        Call its `check` now and then, at least once in the length of the window.

    Notes
    -----
    Cost: one cut. Writers notice nothing of it.

    Examples
    --------
    >>> from hydroscope.window.log import WindowLog
    >>> log = WindowLog("till")
    >>> log["cash"] = 5
    >>> guard = watch(lambda state: state["cash"] >= 0, log)
    >>> log["cash"] = -1
    >>> log["cash"] = 7
    >>> [snap["cash"] for snap in guard.check()]
    [-1]
    """
    return Watch(invariant, snapshot(logs=logs), alert)


class Watch:
    """Somebody who looks at every moment since the last look, however short the invariant was broken.

    Attributes
    ----------
    holds : bool
        Whether the invariant held at the last moment that was looked at.
    n_missed : int
        How often the window had moved on so far that some moments could not be looked at any more.
    """

    def __init__(self, invariant: Predicate, snap: Snapshot, alert: Callable[[Snapshot], Any] | None = None) -> None:
        if alert is not None and not callable(alert):
            raise UserError(f"alert={alert!r} is no function of a snapshot")
        self._probe = _Probe(invariant, snap)
        self._alert = alert
        self._found: list[Snapshot] = []
        """What was found and not yet returned."""
        self.holds = self._probe.holds()
        self.n_missed = 0

    def check(self) -> list[Snapshot]:
        """Return the cut right after each event since the last check that broke what had held.

        If the invariant or the alert raises, the next check goes on after that event, and returns what was found before
        it too. Cost: about 50 us and a call for each event that changed a key which the invariant reads; O(keys) for
        each cut.
        """
        snap = self._probe.snap
        try:
            until = snap.catch_up()
        except WindowError:
            self.n_missed += 1
            snap.skip()
            until = snap.at
            self._note(self._probe.holds())
        while self._probe.seek(not self.holds, until):
            self._note(not self.holds)
        snap.move(until)
        found, self._found = self._found, []
        return found

    def _note(self, holds: bool) -> None:
        """Take down whether it holds here, and tell if that is news, and bad."""
        held, self.holds = self.holds, holds
        if held and not holds:
            self._found.append(self._probe.snap.copy())
            if self._alert is not None:
                self._alert(self._found[-1])


class _Probe:
    """A predicate, and the snapshot that it is asked about: owner of both."""

    __slots__ = ("_masks", "_predicate", "_reads", "snap")

    def __init__(self, predicate: Predicate, snap: Snapshot) -> None:
        if not callable(predicate):
            raise UserError(f"{predicate!r} is no function of a state; give one, such as lambda state: 'a' in state")
        self._predicate = predicate
        self._reads: Reads = {}
        self._masks: dict[str, tuple[History, set[Hashable], NDArray[np.bool_]]] = {}
        self.snap = snap

    @property
    def start(self) -> int:
        """The first moment that all logs know."""
        return max(cut.history.start for cut in self.snap.cuts.values())

    def holds(self) -> bool:
        """Ask the predicate, and take down what it reads."""
        self._reads = {}
        try:
            return bool(self._predicate(self.snap.told(self._reads)))
        except Exception as error:
            self._reads = dict.fromkeys(self.snap.cuts)  # nobody knows what it would have read
            error.add_note(f"raised by what was asked about {self.snap!r}")
            raise

    def move(self, stamp: int) -> None:
        """Go to another moment."""
        self.snap.move(stamp)

    def seek(self, wanted: bool, limit: int, back: bool = False) -> bool:
        """Go to the next event after which the predicate holds (or does not), or back to the moment before one.

        Returns
        -------
        bool
            False if there is none up to the limit; then the place is some event on the way.
        """
        while True:
            reads = self._reads
            for stamp in self._stamps_back() if back else self._stamps():
                if stamp <= limit if back else stamp > limit:
                    return False
                self.move(stamp - back)
                if self.holds() is wanted:
                    return True
                if self._reads != reads:
                    break  # other keys are to be looked at now
            else:
                return False

    def _stamps(self) -> Iterator[int]:
        """Yield the stamps of the events after this moment that changed what was read, in order."""
        each = [cut.history.stamps_of(self._mask(name), cut.place) for name, cut in self._read_cuts()]
        return _distinct(heapq.merge(*each))

    def _stamps_back(self) -> Iterator[int]:
        """Yield likewise those up to this moment, last one first."""
        each = [cut.history.stamps_back(self._mask(name), cut.place) for name, cut in self._read_cuts()]
        return _distinct(heapq.merge(*each, reverse=True))

    def _read_cuts(self) -> Iterator[tuple[str, Cut]]:
        return ((name, cut) for name, cut in self.snap.cuts.items() if name in self._reads)

    def _mask(self, name: str) -> NDArray[np.bool_] | None:
        """Return which keys of a log were read, by number; None for all."""
        keys, history = self._reads[name], self.snap.cuts[name].history
        if keys is None:
            return None
        known = self._masks.get(name)
        if known is not None and known[0] is history and known[1] == keys:
            return known[2]
        mask = np.zeros(history.n_keys, np.bool_)
        mask[[number for key in keys if (number := self.snap.cuts[name].number(key)) is not None]] = True
        self._masks[name] = (history, keys, mask)
        return mask


def _distinct(stamps: Iterator[int]) -> Iterator[int]:
    last = None
    for stamp in stamps:
        if stamp != last:
            yield stamp
        last = stamp
