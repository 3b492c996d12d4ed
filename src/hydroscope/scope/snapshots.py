"""How the state was: consistent cuts through one window-log or several, and how to move among them.

All changes with a stamp up to T, of every log, are a consistent cut: a message is stamped after
what its sender did before, and what its receiver does after it is stamped later still, so that no
effect is in the cut without its cause. Nobody is stopped and nobody is asked beforehand.
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hydroscope.engine.diary import VIEW
from hydroscope.engine.past_keys import DEADLINE_S, PastKeys, past_keys
from hydroscope.ground.clocks.hlc import time_ns
from hydroscope.ground.errors import DataError, UserError, unknown_name
from hydroscope.scope.events import Missing
from hydroscope.scope.states import Change, Difference, State
from hydroscope.window.absent import ABSENT
from hydroscope.window.changes import Changes, changes
from hydroscope.window.cut import Cut, Source
from hydroscope.window.errors import outside
from hydroscope.window.layout import STAMP_MAX
from hydroscope.window.log import WindowLog, open_logs
from hydroscope.window.times import shown, stamp_of

if TYPE_CHECKING:
    from hydroscope.frame.frame import Frame

__all__ = ["Change", "Difference", "Snapshot", "State", "keys_changes", "snapshot"]

Logs = Source | PastKeys | Iterable[Source] | None


class Snapshot(State):
    """A consistent cut: of every log, the state after all changes stamped up to `at`.

    It stays as it is, whatever is written to the logs, until it is told to move.

    Attributes
    ----------
    at : int
        The stamp of the cut.
    sources : dict
        The logs, by name.
    missing : tuple of Missing
        Members of the cluster whose log could not be had, and why: what they were home to is not here.
    """

    __slots__ = ("_past", "at", "missing", "sources")
    cuts: dict[str, Cut]

    def __init__(
        self, sources: Mapping[str, Source], cuts: dict[str, Cut], at: int, past: PastKeys | None = None
    ) -> None:
        super().__init__(cuts, None, past is not None)
        self.sources = sources
        self._past = past
        self.missing = () if past is None else tuple(Missing(name, why) for name, why in past.missing)
        self.at = at

    def __repr__(self) -> str:
        lacks = f", without {', '.join(each.name for each in self.missing)}" if self.missing else ""
        return f"<Snapshot of {', '.join(self.nodes)} at {shown(self.at)}{lacks}>"

    @property
    def time(self) -> datetime.datetime:
        """The time of the cut, in UTC."""
        return datetime.datetime.fromtimestamp(time_ns(self.at) / 1e9, datetime.UTC)

    def told(self, reads: dict[str, set[Hashable] | None]) -> State:
        """Return the state, which takes down what is read of it. Cost: free."""
        return State(self.cuts, reads, self._is_shared)

    def copy(self) -> Snapshot:
        """Return another snapshot of the same moment, which moves on its own. Cost: O(keys)."""
        twin = Snapshot(self.sources, {name: cut.copy() for name, cut in self.cuts.items()}, self.at, self._past)
        twin.missing = self.missing
        return twin

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
        stamp = stamp_of(to, _now(self.sources.values()))
        for name, cut in self.cuts.items():
            if not cut.history.covers(stamp):
                history = self.sources[name].history()
                if not history.covers(stamp):
                    raise outside(history, stamp)
        self.move(stamp)
        return self

    def sql(self, query: str) -> Frame:
        """Return the answer to a question in SQL, as DuckDB understands it.

        Parameters
        ----------
        query : str
            The table is `state`: node, key, value, number. Values are texts (lists and dictionaries as JSON); those
            that are numbers are numbers too, for others `number` is missing.

        Returns
        -------
        Frame

        Raises
        ------
        UserError
            The question is not understood, or the package duckdb is not there.

        Notes
        -----
        Cost: about 2 us a key, and what DuckDB takes. `hs.history` has tables of more than one moment.

        Examples
        --------
        >>> from hydroscope.window.log import WindowLog
        >>> log = WindowLog("till")
        >>> log["euros"], log["dollars"] = 10, 2.5
        >>> snapshot(logs=log).sql("select sum(number) as sum from state").to_dict()
        {'sum': [12.5]}
        """
        from hydroscope.scope.tables import ask_of, state_table

        return ask_of({"state": lambda: state_table(self)}, query)

    def step(self, n: int = 1) -> int:
        """Move to the n-th next event of any log, or back if `n` is below 0; return how many events it went.

        Changes with the same stamp are one event. WindowError if what comes next was forgotten already: `roll` to a
        later moment then. Cost: about 50 us an event.
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
        if not isinstance(other, Snapshot):
            raise UserError(f"{other!r} is no snapshot; take one of that moment with hs.snapshot(at)")
        if set(self.nodes) != set(other.nodes) or self._is_shared != other._is_shared:
            raise UserError(f"snapshots of {self.nodes} and of {other.nodes} cannot be compared; take the same logs")
        if self._is_shared:
            return self._shared_diff(other)
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
            cut.move(stamp, self.sources[name])
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

    def catch_up(self) -> int:
        """Learn what has happened since, without moving, and return until when.

        WindowError if a log has forgotten this moment. Cost: a copy of 8,192 entries a log.
        """
        self._renew()
        now = _now(self.sources.values())
        for name, cut in self.cuts.items():
            if not cut.refresh(self.sources[name]):
                raise outside(self.sources[name].history(), self.at)
        return now

    def skip(self) -> None:
        """Become the cut of now, whatever lies between. Cost: as `snapshot`."""
        self._renew()
        stamp = _now(self.sources.values())
        for name, source in self.sources.items():
            self.cuts[name] = source.cut(stamp)
        self.at = stamp

    def _renew(self) -> None:
        """Gather the logs of a cluster as they are now."""
        if self._past is not None:
            self._past.gather()
            self.sources = {log.name: log for log in self._past.nodes if log.name in self.cuts}
            self.cuts = {name: self.cuts[name] for name in self.sources}


def snapshot(
    at: Any = None, logs: Logs = None, nodes: Iterable[str] | str | None = None, deadline_s: float = DEADLINE_S
) -> Snapshot:
    """Return how the state was at one moment: of the cluster's keys, of one window-log, or of several together.

    Parameters
    ----------
    at : int, float, str, datetime.datetime or datetime.timedelta, optional
        When: a stamp; a time, such as "14:03:07.25"; seconds back, such as -5. Default: now.
    logs : WindowLog, PastLog or several of them, or what `read_keys` returns, optional
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
    own = None if isinstance(logs, PastKeys) else logs
    past = logs if isinstance(logs, PastKeys) else past_keys(deadline_s) if logs is None else None
    sources = _named(own, wanted) if past is None else _members(past, wanted)
    now = _now(sources.values())
    stamp = now if at is None else stamp_of(at, now)
    return Snapshot(sources, {name: source.cut(stamp) for name, source in sources.items()}, stamp, past)


def keys_changes(seconds: float | None, deadline_s: float) -> Changes | None:
    """Return what changed in the keys of this process's cluster, for who shows it beside other things.

    None if the process belongs to no cluster, no logs are kept there, or none could be had.
    """
    try:
        past = past_keys(deadline_s, exact=False)  # nobody who presses the button waits for it
    except (DataError, UserError, OSError):
        return None
    if past is None:
        return None
    now = min(node.history().until for node in past.nodes)
    after = 0 if seconds is None or seconds * 1e9 > now else int(now - seconds * 1e9)
    return changes(past.nodes, without=(VIEW,), after=after)


def _members(past: PastKeys, nodes: Iterable[str] | None) -> dict[str, Source]:
    """Return the logs of members that are meant, by name."""
    sources: dict[str, Source] = {node.name: node for node in past.nodes}
    if nodes is None:
        return sources
    chosen: dict[str, Source] = {}
    for pattern in nodes:
        found = [name for name in sources if _is_meant(pattern, name)]
        if not found:
            for name, why in past.missing:
                if _is_meant(pattern, name) or pattern.startswith(f"{name}."):
                    raise UserError(f"the window-log of {name} could not be had: {why}")
            raise unknown_name("member", pattern, sources, "this cluster")
        chosen |= {name: sources[name] for name in found}
    return {name: source for name, source in sources.items() if name in chosen}


def _is_meant(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or name.partition(".")[0] == pattern


def _named(logs: Source | Iterable[Source] | None, nodes: Iterable[str] | None) -> dict[str, Source]:
    """Return the logs that are meant, by name."""
    if logs is None:
        chosen: list[Source] = [*open_logs()]
    else:
        chosen = list(logs) if isinstance(logs, Iterable) and not isinstance(logs, WindowLog) else [logs]
    for each in chosen:
        if not isinstance(each, Source):
            raise UserError(f"{each!r} is no log; give a WindowLog, what read_window or read_keys returns, or a list")
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
    until = min((each.until for each in histories), default=STAMP_MAX)
    if not living and until == STAMP_MAX:  # of all that is left nothing goes on: it was over with the last change
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
