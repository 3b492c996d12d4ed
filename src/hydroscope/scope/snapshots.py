"""How the state was: consistent cuts through one window-log or several, and how to move among them.

All changes with a stamp up to T, of every log, are a consistent cut: a message is stamped after
what its sender did before, and what its receiver does after it is stamped later still, so that no
effect is in the cut without its cause. Nobody is stopped and nobody is asked beforehand.
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydroscope.ground.clocks.hlc import time_ns
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.window.cut import Cut, Source
from hydroscope.window.errors import outside
from hydroscope.window.history import ABSENT
from hydroscope.window.log import WindowLog, open_logs
from hydroscope.window.times import shown, stamp_of

__all__ = ["Change", "Difference", "Snapshot", "State", "snapshot"]

Logs = Source | Iterable[Source] | None


@dataclass(frozen=True, slots=True)
class Change:
    """What an event did to one key; `hydroscope.window.history.ABSENT` stands for a key that is not there."""

    node: str
    key: Hashable
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """What one snapshot has and another has not, key by key."""

    added: dict[Hashable, Any]
    """Keys that only the other one has, with their values."""
    removed: dict[Hashable, Any]
    """Keys that only this one has."""
    changed: dict[Hashable, tuple[Any, Any]]
    """Keys whose values differ: this one's, the other's."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class State:
    """Keys and values at one moment, to be read like a dictionary.

    Of one log the keys are the log's; of several each key is a pair: name of the log, key.
    """

    __slots__ = ("_reads", "cuts")

    def __init__(self, cuts: Mapping[str, Cut], reads: dict[str, set[Hashable] | None] | None = None) -> None:
        self.cuts = cuts
        """The state of each log."""
        self._reads = reads
        """If given, takes down what is read: keys by log, None for all of them."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the logs."""
        return tuple(self.cuts)

    def node(self, name: str) -> State:
        """Return the state of one log, with its own keys. Cost: free."""
        return State({name: self._cut(name)}, self._reads)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or `default`. Cost: about 1 us."""
        if len(self.cuts) == 1:
            ((name, cut),) = self.cuts.items()
        else:
            if not (isinstance(key, tuple) and len(key) == 2):
                raise UserError(f"{key!r} could be of any of {len(self.cuts)} logs; ask for (name of the log, key)")
            name, key = key
            cut = self._cut(name)
        if self._reads is not None:
            keys = self._reads.setdefault(name, set())
            if keys is not None:
                keys.add(key)
        return cut.value(key, default)

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, ABSENT)
        if value is ABSENT:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self.get(key, ABSENT) is not ABSENT

    def items(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values. Cost: O(keys), about 0.1 us each."""
        if self._reads is not None:
            self._reads.update(dict.fromkeys(self.cuts))
        if len(self.cuts) == 1:
            return next(iter(self.cuts.values())).items()
        return [((name, key), value) for name, cut in self.cuts.items() for key, value in cut.items()]

    def values(self) -> list[Any]:
        """Return all values. Cost: O(keys)."""
        return [value for _, value in self.items()]

    def __iter__(self) -> Iterator[Any]:
        return iter([key for key, _ in self.items()])

    def __len__(self) -> int:
        if self._reads is not None:
            self._reads.update(dict.fromkeys(self.cuts))
        return sum(int(np.count_nonzero(cut.is_there())) for cut in self.cuts.values())

    def _cut(self, name: str) -> Cut:
        cut = self.cuts.get(name)
        if cut is None:
            raise unknown_name("log", name, self.cuts, "this snapshot")
        return cut


class Snapshot(State):
    """A consistent cut: of every log, the state after all changes stamped up to `at`.

    It stays as it is, whatever is written to the logs, until it is told to move.

    Attributes
    ----------
    at : int
        The stamp of the cut.
    """

    __slots__ = ("_sources", "at")
    cuts: dict[str, Cut]

    def __init__(self, sources: Mapping[str, Source], cuts: dict[str, Cut], at: int) -> None:
        super().__init__(cuts)
        self._sources = sources
        self.at = at

    def __repr__(self) -> str:
        return f"<Snapshot of {', '.join(self.nodes)} at {shown(self.at)}>"

    @property
    def time(self) -> datetime.datetime:
        """The time of the cut, in UTC."""
        return datetime.datetime.fromtimestamp(time_ns(self.at) / 1e9, datetime.UTC)

    def copy(self) -> Snapshot:
        """Return another snapshot of the same moment, which moves on its own. Cost: O(keys)."""
        return Snapshot(self._sources, {name: cut.copy() for name, cut in self.cuts.items()}, self.at)

    def roll(self, to: Any) -> Snapshot:
        """Move this snapshot to another moment, and return it.

        Parameters
        ----------
        to : int, float, str, datetime.datetime or datetime.timedelta
            As `at` of `snapshot`.

        Raises
        ------
        WindowError
            If a log does not reach there; the snapshot stays where it was.

        Notes
        -----
        Cost: O(changes between), about 50 ns each, forward or back.
        """
        stamp = stamp_of(to, _now(self._sources.values()))
        for name, cut in self.cuts.items():
            if not cut.history.covers(stamp):
                history = self._sources[name].history()
                if not history.covers(stamp):
                    raise outside(history, stamp)
        self.move(stamp)
        return self

    def step(self, n: int = 1) -> int:
        """Move to the n-th next event of any log, or back if `n` is below 0; return how many events it went.

        Changes with the same stamp are one event. Cost: about 50 us an event.
        """
        for done in range(abs(n)):
            if not (self._forward() if n > 0 else self._back()):
                return done
        return abs(n)

    def changes(self) -> list[Change]:
        """Return what the last event up to this moment changed, if the window has it. Cost: about 20 us."""
        stamp = max((last for cut in self.cuts.values() if (last := cut.last_stamp())), default=None)
        if stamp is None:
            return []
        return [Change(name, *each) for name, cut in self.cuts.items() for each in cut.event(stamp)]

    def diff(self, other: Snapshot) -> Difference:
        """Return how another snapshot of the same logs differs from this one.

        Values are compared by ``==``. Cost: O(changes between); O(keys) if the logs renumbered their keys meanwhile.
        """
        if self.nodes != other.nodes:
            raise UserError(f"snapshots of {self.nodes} and of {other.nodes} cannot be compared; take the same logs")
        difference = Difference({}, {}, {})
        for name, cut in self.cuts.items():
            theirs = other.cuts[name]
            for key in _candidates(cut, theirs):
                mine, its = cut.value(key), theirs.value(key)
                shown_key = key if len(self.cuts) == 1 else (name, key)
                if mine is its:
                    continue
                if mine is ABSENT:
                    difference.added[shown_key] = its
                elif its is ABSENT:
                    difference.removed[shown_key] = mine
                elif not _same(mine, its):
                    difference.changed[shown_key] = (mine, its)
        return difference

    def move(self, stamp: int) -> None:
        """Become the cut at a stamp that all logs are known to cover. Cost: as `roll`."""
        for name, cut in self.cuts.items():
            cut.move(stamp, self._sources[name])
        self.at = stamp

    def _forward(self) -> bool:
        until = min(cut.history.until for cut in self.cuts.values())
        stamp = min((each for cut in self.cuts.values() if (each := cut.next_stamp())), default=None)
        if stamp is None or stamp > until:  # of what the histories here do not tell yet
            self.catch_up()
            until = min(cut.history.until for cut in self.cuts.values())
            stamp = min((each for cut in self.cuts.values() if (each := cut.next_stamp())), default=None)
        if stamp is None or stamp > until:
            return False
        self.move(stamp)
        return True

    def _back(self) -> bool:
        start = max(cut.history.start for cut in self.cuts.values())
        stamp = max((each for cut in self.cuts.values() if (each := cut.last_stamp())), default=None)
        if stamp is None or stamp <= start:
            return False
        self.move(stamp - 1)
        before = max((each for cut in self.cuts.values() if (each := cut.last_stamp())), default=start)
        self.move(max(before, start))
        return True

    def catch_up(self) -> int | None:
        """Learn what has happened since, without moving; return until when, None if a log has forgotten this moment.

        Cost: a copy of 8,192 entries a log.
        """
        now = _now(self._sources.values())
        refreshed = [cut.refresh(self._sources[name]) for name, cut in self.cuts.items()]
        return now if all(refreshed) else None

    def skip(self) -> None:
        """Become the cut of now, whatever lies between. Cost: as `snapshot`."""
        stamp = _now(self._sources.values())
        for name, source in self._sources.items():
            self.cuts[name] = source.cut(stamp)
        self.at = stamp


def snapshot(at: Any = None, logs: Logs = None, nodes: Iterable[str] | None = None) -> Snapshot:
    """Return how the state was at one moment, of one window-log or of several together.

    Parameters
    ----------
    at : int, float, str, datetime.datetime or datetime.timedelta, optional
        When: a stamp; a time, such as "14:03:07.25"; seconds back, such as -5. Default: now.
    logs : WindowLog, PastLog or several of them, optional
        Default: all window-logs of this process.
    nodes : names, optional
        Only the logs with these names.

    Returns
    -------
    Snapshot
        Which holds all changes stamped up to that moment, and no others: a consistent cut.

    Raises
    ------
    WindowError
        If a log does not reach back so far.

    Notes
    -----
    Writers go on meanwhile. Cost: O(keys + changes since), about 50 ns each.

    Examples
    --------
    >>> from hydroscope.window.log import WindowLog
    >>> log = WindowLog("till")
    >>> stamp = log.put("cash", 100)
    >>> log["cash"] = 70
    >>> snapshot(stamp, log)["cash"], snapshot(logs=log)["cash"]
    (100, 70)
    """
    sources = _named(logs, nodes)
    now = _now(sources.values())
    stamp = now if at is None else stamp_of(at, now)
    return Snapshot(sources, {name: source.cut(stamp) for name, source in sources.items()}, stamp)


def _named(logs: Logs, nodes: Iterable[str] | None) -> dict[str, Source]:
    """Return the logs that are meant, by name."""
    if logs is None:
        chosen: list[Source] = sorted(open_logs, key=lambda each: each.name)
    else:
        chosen = list(logs) if isinstance(logs, Iterable) and not isinstance(logs, WindowLog) else [logs]
    sources = {each.name: each for each in chosen}
    if len(sources) < len(chosen):
        twice = sorted({each.name for each in chosen if sum(each.name == other.name for other in chosen) > 1})
        raise UserError(f"several logs are called {twice[0]!r}; give each a name of its own, or say which by logs=")
    if nodes is not None:
        for name in nodes:
            if name not in sources:
                raise unknown_name("log", name, sources, "this process" if logs is None else "these logs")
        sources = {name: sources[name] for name in nodes}
    if not sources:
        raise UserError("there is no log to take a snapshot of; make one: log = WindowLog('node-1')")
    return sources


def _now(sources: Iterable[Source]) -> int:
    """Return a stamp up to which all logs are complete: what they take in later is stamped later."""
    sources = list(sources)
    living = [each for each in sources if isinstance(each, WindowLog)]
    ended = [each.history().until for each in sources if not isinstance(each, WindowLog)]
    now = max((each.tick() for each in living), default=min(ended, default=0))
    for each in living:
        each.merge(now)
    return min([now, *ended])


def _candidates(mine: Cut, theirs: Cut) -> Iterable[Hashable]:
    """Return the keys in which two cuts of a log may differ."""
    for history in (mine.history, theirs.history):
        if mine.history.line == theirs.history.line and history.covers(mine.stamp) and history.covers(theirs.stamp):
            places = sorted((history.place(mine.stamp), history.place(theirs.stamp)))
            return [history.keys[number] for number in history.changed(*places).tolist()]
    return dict.fromkeys([*(key for key, _ in mine.items()), *(key for key, _ in theirs.items())])


def _same(mine: Any, its: Any) -> bool:
    try:
        return bool(mine == its)
    except ValueError:  # arrays say it element by element
        return bool(np.array_equal(mine, its))
