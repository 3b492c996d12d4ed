"""How the state was: consistent cuts through one window-log or several, and how to move among them.

All changes with a stamp up to T, of every log, are a consistent cut: a message is stamped after
what its sender did before, and what its receiver does after it is stamped later still, so that no
effect is in the cut without its cause. Nobody is stopped and nobody is asked beforehand.
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from hydroscope.engine.diary import VIEW
from hydroscope.engine.past_keys import DEADLINE_S, PastKeys, past_keys
from hydroscope.ground.clocks.hlc import time_ns
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.scope.events import Missing
from hydroscope.window.cut import Cut, Source
from hydroscope.window.errors import outside
from hydroscope.window.history import ABSENT
from hydroscope.window.log import WindowLog, open_logs
from hydroscope.window.times import shown, stamp_of

__all__ = ["Change", "Difference", "Snapshot", "State", "snapshot"]

Logs = Source | Iterable[Source] | None

ENDED = 2**64 - 1
"""Until when a log is known that nobody writes to any more."""


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

    def note(self, key: Hashable, mine: Any, its: Any) -> None:
        """Take in what a key is here and there."""
        if mine is its:
            return
        if mine is ABSENT:
            self.added[key] = its
        elif its is ABSENT:
            self.removed[key] = mine
        elif not _same(mine, its):
            self.changed[key] = (mine, its)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class State:
    """Keys and values at one moment, to be read like a dictionary.

    Of one log the keys are the log's; of several each key is a pair: name of the log, key. Of the members of a
    cluster the keys are those of `hs.kv`, wherever they were at home.
    """

    __slots__ = ("_is_shared", "_reads", "cuts")

    def __init__(
        self,
        cuts: Mapping[str, Cut],
        reads: dict[str, set[Hashable] | None] | None = None,
        is_shared: bool = False,
    ) -> None:
        self.cuts = cuts
        """The state of each log; of a cluster's, whose word counts for a key comes first."""
        self._reads = reads
        """If given, takes down what is read: keys by log, None for all of them."""
        self._is_shared = is_shared
        """Whether the logs are those of members who share keys."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the logs."""
        return tuple(self.cuts)

    def node(self, name: str) -> State:
        """Return the state of one log, with its own keys. Cost: free."""
        return State({name: self._cut(name)}, self._reads, self._is_shared)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or `default`. Cost: about 1 us."""
        if self._is_shared:
            return self._shared(key, default)
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
        if self._is_shared:
            return self._all_shared()
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
        if self._is_shared:
            return len(self._all_shared())
        return sum(int(np.count_nonzero(cut.is_there())) for cut in self.cuts.values())

    def owner(self, key: Any) -> str | None:
        """Return the log that has the key, or that of the member it was at home at; None if it is not there."""
        if not self._is_shared:
            name = key[0] if len(self.cuts) > 1 else next(iter(self.cuts))
            return name if key in self else None
        for name, cut in self.cuts.items():
            value = cut.value(key)
            if value is not ABSENT:
                return None if value is None else name
        return None

    def _shared(self, key: Any, default: Any) -> Any:
        if self._reads is not None:
            for name in self.cuts:
                keys = self._reads.setdefault(name, set())
                if keys is not None:
                    keys.add(key)
        for cut in self.cuts.values():
            value = cut.value(key)
            if value is not ABSENT:
                return default if value is None or key == VIEW else value  # None: removed, after its first home died
        return default

    def _all_shared(self) -> list[tuple[Any, Any]]:
        merged: dict[Any, Any] = {}
        for cut in reversed(list(self.cuts.values())):
            merged.update(cut.items())
        merged.pop(VIEW, None)
        return [pair for pair in merged.items() if pair[1] is not None]

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

    __slots__ = ("_past", "_sources", "at")
    cuts: dict[str, Cut]

    def __init__(
        self, sources: Mapping[str, Source], cuts: dict[str, Cut], at: int, past: PastKeys | None = None
    ) -> None:
        super().__init__(cuts, None, past is not None)
        self._sources = sources
        self._past = past
        self.at = at

    def __repr__(self) -> str:
        lacks = f", without {', '.join(each.name for each in self.missing)}" if self.missing else ""
        return f"<Snapshot of {', '.join(self.nodes)} at {shown(self.at)}{lacks}>"

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Members of the cluster whose log could not be had, and why: what they were home to is not here."""
        return () if self._past is None else tuple(Missing(name, why) for name, why in self._past.missing)

    @property
    def time(self) -> datetime.datetime:
        """The time of the cut, in UTC."""
        return datetime.datetime.fromtimestamp(time_ns(self.at) / 1e9, datetime.UTC)

    def told(self, reads: dict[str, set[Hashable] | None]) -> State:
        """Return the state, which takes down what is read of it. Cost: free."""
        return State(self.cuts, reads, self._is_shared)

    def copy(self) -> Snapshot:
        """Return another snapshot of the same moment, which moves on its own. Cost: O(keys)."""
        return Snapshot(self._sources, {name: cut.copy() for name, cut in self.cuts.items()}, self.at, self._past)

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
        if not isinstance(to, int) or not all(cut.history.covers(to) for cut in self.cuts.values()):
            self._renew()
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
        if self._is_shared and other._is_shared and set(self.nodes) == set(other.nodes):
            return self._shared_diff(other)
        if self.nodes != other.nodes or self._is_shared != other._is_shared:
            raise UserError(f"snapshots of {self.nodes} and of {other.nodes} cannot be compared; take the same logs")
        difference = Difference({}, {}, {})
        for name, cut in self.cuts.items():
            theirs = other.cuts[name]
            for key in _candidates(cut, theirs):
                mine, its = cut.value(key), theirs.value(key)
                difference.note(key if len(self.cuts) == 1 else (name, key), mine, its)
        return difference

    def _shared_diff(self, other: Snapshot) -> Difference:
        difference = Difference({}, {}, {})
        keys = [key for name, cut in self.cuts.items() for key in _candidates(cut, other.cuts[name]) if key != VIEW]
        for key in dict.fromkeys(keys):
            difference.note(key, self.get(key, ABSENT), other.get(key, ABSENT))
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
        self._renew()
        now = _now(self._sources.values())
        refreshed = [cut.refresh(self._sources[name]) for name, cut in self.cuts.items()]
        return now if all(refreshed) else None

    def skip(self) -> None:
        """Become the cut of now, whatever lies between. Cost: as `snapshot`."""
        self._renew()
        stamp = _now(self._sources.values())
        for name, source in self._sources.items():
            self.cuts[name] = source.cut(stamp)
        self.at = stamp

    def _renew(self) -> None:
        """Gather the logs of a cluster as they are now."""
        if self._past is not None:
            self._past.gather()
            self.cuts = {node.name: self.cuts[node.name] for node in self._past.nodes if node.name in self.cuts}


def snapshot(
    at: Any = None, logs: Logs = None, nodes: Iterable[str] | str | None = None, deadline_s: float = DEADLINE_S
) -> Snapshot:
    """Return how the state was at one moment: of the cluster's keys, of one window-log, or of several together.

    Parameters
    ----------
    at : int, float, str, datetime.datetime or datetime.timedelta, optional
        When: a stamp; a time, such as "14:03:07.25"; seconds back, such as -5. Default: now.
    logs : WindowLog, PastLog or several of them, optional
        Default: those of all members of the cluster that this process belongs to, as one (what `hs.kv` held); in a
        process that belongs to none, all window-logs of this process.
    nodes : name or names, optional
        Only the logs with these names; of members, patterns such as "member-3*".
    deadline_s : float
        For gathering the members' logs; whose could not be had is told by `missing`.

    Returns
    -------
    Snapshot
        Which holds all changes stamped up to that moment, and no others: a consistent cut.

    Raises
    ------
    WindowError
        If a log does not reach back so far.
    UserError
        If there is no log.

    Notes
    -----
    Writers go on meanwhile. Cost: O(keys), about 2 ns each, and O(changes since), about 10 ns each; for a cluster
    about 0.7 us for each change that is kept, and what it takes to bring those of other machines here.

    Examples
    --------
    >>> from hydroscope.window.log import WindowLog
    >>> log = WindowLog("till")
    >>> stamp = log.put("cash", 100)
    >>> log["cash"] = 70
    >>> snapshot(stamp, log)["cash"], snapshot(logs=log)["cash"]
    (100, 70)
    """
    wanted = [nodes] if isinstance(nodes, str) else nodes
    past = past_keys(deadline_s) if logs is None else None
    sources = _named(logs, wanted) if past is None else _members(past, wanted)
    now = _now(sources.values())
    stamp = now if at is None else stamp_of(at, now)
    return Snapshot(sources, {name: source.cut(stamp) for name, source in sources.items()}, stamp, past)


def _members(past: PastKeys, nodes: Iterable[str] | None) -> dict[str, Source]:
    """Return the logs of members that are meant, by name."""
    sources: dict[str, Source] = {node.name: node for node in past.nodes}
    if nodes is None:
        return sources
    chosen: dict[str, Source] = {}
    for pattern in nodes:
        found = [name for name in sources if fnmatchcase(name, pattern) or name.partition(".")[0] == pattern]
        if not found:
            raise unknown_name("member", pattern, sources, "this cluster")
        chosen |= {name: sources[name] for name in found}
    return {name: source for name, source in sources.items() if name in chosen}


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
    histories = [each.history() for each in sources if not isinstance(each, WindowLog)]
    until = min((each.until for each in histories), default=ENDED)
    if not living and until == ENDED:  # of all that is left nothing goes on: it was over with the last change
        return max((each.chunks[-1].stamps[-1].item() if each.chunks else each.start for each in histories), default=0)
    now = max((each.tick() for each in living), default=until)
    for each in living:
        each.merge(now)
    return min(now, until)


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
