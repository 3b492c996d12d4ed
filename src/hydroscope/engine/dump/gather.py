"""Gather what all processes have recorded: of this machine from disk, of others from their posts, within a deadline.

A post ships the rings of its own process, and so all of them at once. Who does not answer may be stopped or hang, or be
dead: then its ring is read from disk, on another machine by any post that answers there. What could not be had, or
had only in this way, is told with the reason.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from queue import Empty, SimpleQueue

from hydroscope.engine.dump import disk
from hydroscope.engine.dump.asking import SLICE_S, Asked, Got, Task, ask, read_here, since_ns, tell, until_over
from hydroscope.engine.dump.post import behind, doors
from hydroscope.ground.record.reader import Ring
from hydroscope.wire.dumps import Die, Freeze, Lying, Seen, Thaw, Where

__all__ = ["Gathered", "Targets", "gather", "order", "targets_here"]

DOORS_S = 1.0
"""To wait for processes of this machine to say which cluster they belong to."""

NEIGHBOUR_SHARE = 0.4
"""Of the time; then rings of processes that do not answer are asked for at their neighbours."""

ORDER_S = 1.0
"""For an order to be taken."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom to ask: posts by their key."""

    posts: tuple[tuple[Where, bytes], ...] = ()
    silent: tuple[int, ...] = ()
    """Processes of this machine that did not say which cluster they belong to."""


@dataclass(slots=True)
class Gathered:
    """What was had, and what was not."""

    rings: list[Ring] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    """Nodes, and what is wrong with each of them or with the way to it."""
    n_left_out: int = 0
    """Rings of earlier runs."""
    posts: tuple[tuple[Where, bytes], ...] = ()
    """All posts that were found, with their keys."""


def targets_here(within_s: float = DOORS_S) -> Targets:
    """Find the posts of this user's processes on this machine, and through them those of their clusters."""
    events: SimpleQueue[Asked] = SimpleQueue()
    until = time.monotonic() + within_s
    asked = [ask(Where("", path, 0, 0, 0), b"", until, events) for path in doors()]
    until_over(asked, events, until)
    posts: dict[tuple[str, int], tuple[Where, bytes]] = {}
    for each in asked:
        if each.seen is not None:
            for where in (each.seen.me, *each.seen.posts):
                posts.setdefault((where.host, where.port), (where, each.seen.key))
    here = disk.place()
    told = {where.pid for where, _ in posts.values() if where.place == here}
    silent = {behind(each.where.host) for each in asked if each.waited_s is not None}
    return Targets(tuple(posts.values()), tuple(silent - told))


def order(targets: Targets, what: Thaw | Die | Freeze, within_s: float = ORDER_S) -> list[tuple[str, str]]:
    """Have something done at all posts; return those at which it was not, and why.

    This process is not told to die. Of known processes that have ended, nothing is to be told.
    """
    events: SimpleQueue[Asked] = SimpleQueue()
    until = time.monotonic() + within_s
    spared = (disk.place(), os.getpid()) if isinstance(what, Die) else None
    asked = [
        tell(where, key, until, events, what) for where, key in targets.posts if (where.place, where.pid) != spared
    ]
    until_over(asked, events, until)
    return [
        (each.where.name, "; ".join(each.refusals) or _why(each))
        for each in asked
        if not each.is_done and not (each.is_gone and each.where.pid)
    ]


def gather(
    targets: Targets,
    *,
    nodes: Sequence[str] | None = None,
    seconds: float | None = None,
    freeze_s: float = 0.0,
    deadline_s: float = 5.0,
) -> Gathered:
    """Read all rings that can be had within the deadline.

    Parameters
    ----------
    targets : Targets
        Posts; those that they know of are asked, too.
    nodes : sequence of str or None
        Patterns of names, such as "worker-*"; None: all.
    seconds : float or None
        Of history. None: all of what runs, and of what ended while that ran.
    freeze_s : float
        Above 0: whoever can be is made to stand still first, for at most so long.
    deadline_s : float

    Returns
    -------
    Gathered
        Cost: that of reading the rings; never much more than the deadline.
    """
    gathering = _Gathering(targets, nodes, seconds, freeze_s, deadline_s)
    gathering.run()
    return gathering.result()


@dataclass(slots=True)
class _Place:
    """A folder with rings: what lies there, and the posts that can read it. Here, nobody has to be asked."""

    seen: Seen
    rings: dict[str, Lying]
    via: list[tuple[Where, bytes]] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    n_tries: int = 0


class _Gathering:
    """One press."""

    def __init__(
        self,
        targets: Targets,
        nodes: Sequence[str] | None,
        seconds: float | None,
        freeze_s: float,
        deadline_s: float,
    ) -> None:
        self._silent = targets.silent
        self._nodes, self._seconds, self._freeze_s = nodes, seconds, freeze_s
        self._began = time.monotonic()
        self._deadline_s, self._until = deadline_s, self._began + deadline_s
        self._events: SimpleQueue[Asked] = SimpleQueue()
        self._here = disk.place()
        self._asked: dict[tuple[str, int], tuple[Asked, bytes]] = {}
        self._known: dict[tuple[str, int], tuple[Where, bytes]] = {}  # whose rings are read here: they are not asked
        self._fetches: list[tuple[Asked, _Place, list[Lying]]] = []
        self._failed: list[Asked] = []
        self._places: dict[int, _Place] = {}
        self._got: dict[tuple[int, str], Got] = {}
        found = disk.lying()
        where = Where("", "", 0, os.getpid(), self._here)
        seen = Seen(where, (), tuple(found.values()), time.time_ns(), "")
        self._places[self._here] = _Place(seen, found)
        for each, key in targets.posts:
            self._add(each, key)

    def run(self) -> None:
        """Ask, read, wait, until all is there or time is over."""
        while time.monotonic() < self._until:
            was_waiting = self._is_waiting()  # before what has come is taken in: else the last would be missed
            for asked in self._come(SLICE_S if was_waiting else 0.0):
                self._take(asked)
            self._fetch_what_nobody_ships()
            if not was_waiting and not self._is_waiting():
                break
        for asked in [*(asked for asked, _ in self._asked.values()), *(fetch for fetch, *_ in self._fetches)]:
            self._take(asked)
            asked.stop()

    def result(self) -> Gathered:
        """Return what was had, and say what was not."""
        chosen = [(number, ring) for number, rings in self._wanted().items() for ring in rings]
        n_meant = sum(self._wants(ring) for place in self._places.values() for ring in place.rings.values())
        result = Gathered(n_left_out=n_meant - len(chosen), posts=self._posts())
        failed = {self._owner(asked.where): asked for asked, _ in self._asked.values() if self._is_failed(asked)}
        for number, ring in chosen:
            got = self._got.get((number, ring.file))
            if got is not None and isinstance(got[2], Ring):
                result.rings.append(got[2])
            why = self._why_odd(ring, failed.get((number, ring.pid)))
            how = _how(got, number == self._here)
            if why or got is None or isinstance(got[2], str):
                result.missing.append((ring.name, f"{why}; {how}" if why else how))
        chosen_here = {ring.pid for number, ring in chosen if number == self._here}
        for pid in self._silent:
            if self._nodes is None or pid in chosen_here:
                why = "it did not say whether it belongs to a cluster, whose other members were not asked then"
                result.missing.append((f"process {pid}", why))
        result.missing += self._without_ring()
        for asked, _ in self._asked.values():
            result.missing += [(asked.where.name, why) for why in asked.refusals]
        return result

    def _without_ring(self) -> list[tuple[str, str]]:
        """Tell of processes of which no ring is known: those that cannot be reached may have some, called whatever."""
        owners = {(number, ring.pid) for number, place in self._places.items() for ring in place.rings.values()}
        told = []
        for asked, _ in self._asked.values():
            if self._is_failed(asked) and self._owner(asked.where) not in owners:
                told.append((asked.where.name, f"{_why(asked)}; its recording could not be had"))
        for where, _ in self._known.values():
            if where.pid and self._owner(where) not in owners and self._nodes is None:
                told.append((where.name, f"process {where.pid} has no recording on this machine"))
        return told

    # --- asking -------------------------------------------------------------------------------------------------------

    def _add(self, where: Where, key: bytes) -> None:
        """Ask a post that was not asked yet, unless there is nothing that only it can tell or do."""
        address = where.host, where.port
        if address in self._asked or address in self._known:
            return
        is_here = where.place == self._here
        if is_here and not self._freeze_s:
            self._known[address] = where, key
            return
        task = Task(key, self._until, self._freeze_s, not is_here, self._wants, self._seconds)
        self._asked[address] = Asked(where, self._events).start(task.ask), key

    def _come(self, within_s: float) -> list[Asked]:
        """Return who has something to tell."""
        found: list[Asked] = []
        with contextlib.suppress(Empty):
            found.append(self._events.get(timeout=within_s) if within_s else self._events.get_nowait())
            while True:
                found.append(self._events.get_nowait())
        return found

    def _take(self, asked: Asked) -> None:
        """Take in what has come."""
        while True:
            try:
                number, ring, what = asked.got.get_nowait()
            except Empty:
                break
            before = self._got.get((number, ring.file))
            if before is None or isinstance(before[2], str):
                self._got[number, ring.file] = number, ring, what
        key = next((key for each, key in self._asked.values() if each is asked), None)
        if asked.seen is None or key is None:
            return
        place = self._places.setdefault(asked.where.place, _Place(asked.seen, {}))
        if asked.where.place != self._here and (asked.where, key) not in place.via:
            place.rings |= {ring.file: ring for ring in asked.seen.rings}
            place.via.append((asked.where, key))
        for where in asked.seen.posts:
            self._add(where, key)

    def _fetch_what_nobody_ships(self) -> None:
        for fetch, place, rings in self._fetches:
            if fetch.is_over and self._is_failed(fetch) and fetch not in self._failed:
                self._failed.append(fetch)
                place.under_way -= {ring.file for ring in rings}
                place.n_tries += 1  # then by way of the next one
        late = time.monotonic() >= self._began + NEIGHBOUR_SHARE * self._deadline_s
        pending = {self._owner(asked.where) for asked, _ in self._asked.values() if not asked.is_over}
        for number, wanted in self._wanted().items():
            place = self._places[number]
            rings = [
                ring
                for ring in wanted
                if (number, ring.file) not in self._got
                and ring.file not in place.under_way
                and (late or _is_stuck(ring) or (number, ring.pid) not in pending)
            ]
            if not rings:
                continue
            if number == self._here and place.n_tries == 0:
                work = read_here(rings, number, since_ns(place.seen, self._seconds))
                fetch = Asked(place.seen.me, self._events).start(work)
            elif place.n_tries < len(place.via):
                where, key = place.via[place.n_tries]
                task = Task(key, self._until, 0.0, True, self._wants, self._seconds)
                fetch = Asked(where, self._events).start(task.fetch(rings, place.seen))
            else:
                continue
            place.under_way |= {ring.file for ring in rings}
            self._fetches.append((fetch, place, rings))

    def _is_waiting(self) -> bool:
        """Tell whether something may still come that is not there."""
        if any(not fetch.is_over for fetch, *_ in self._fetches):
            return True
        return any(not asked.is_over and not self._is_needless(asked) for asked, _ in self._asked.values())

    def _is_needless(self, asked: Asked) -> bool:
        """Tell whether all that a silent post could send was read from disk: nobody waits for a stopped process."""
        number, pid = self._owner(asked.where)
        place = self._places.get(number)
        if place is None:
            return False
        own = [ring for ring in place.rings.values() if ring.pid == pid]
        late = time.monotonic() >= self._began + NEIGHBOUR_SHARE * self._deadline_s
        if not own or not (late or all(_is_stuck(ring) for ring in own)):
            return False
        return all((number, ring.file) in self._got for ring in self._wanted()[number] if ring.pid == pid)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _posts(self) -> tuple[tuple[Where, bytes], ...]:
        """Return all posts that were found, each once, however it was reached."""
        found: dict[Where, tuple[Where, bytes]] = {}
        for asked, key in self._asked.values():
            found.setdefault(asked.seen.me if asked.seen is not None else asked.where, (asked.where, key))
        for where, key in self._known.values():
            found.setdefault(where, (where, key))
        return tuple(found.values())

    def _owner(self, where: Where) -> tuple[int, int]:
        return where.place, where.pid

    def _wants(self, ring: Lying) -> bool:
        return self._nodes is None or self._matches(ring.name)

    def _matches(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._nodes or ())

    def _wanted(self) -> dict[int, list[Lying]]:
        """Return the rings that are meant, of each place."""
        meant, chosen = {}, {}
        posts = self._posts()
        for number, place in self._places.items():
            since = None if self._seconds is None else since_ns(place.seen, self._seconds)
            members = {where.pid for where, _ in posts if where.place == number}
            meant[number] = [ring for ring in place.rings.values() if self._wants(ring)]
            chosen[number] = disk.wanted(meant[number], place.seen.now_ns, since, members)
        if self._seconds is not None or any(chosen.values()):
            return chosen
        last = disk.last_run(ring for rings in meant.values() for ring in rings)
        return {number: [ring for ring in rings if ring in last] for number, rings in meant.items()}

    def _is_failed(self, asked: Asked) -> bool:
        return asked.failure is not None or asked.waited_s is not None

    def _why_odd(self, ring: Lying, failed: Asked | None) -> str:
        """Say what is wrong with a process; "" when nothing is."""
        if ring.state in disk.STOPPED:
            return f"stopped: process {ring.pid} is in state {ring.state}"
        if not ring.state and not ring.closed_at_ns:
            return f"ended: process {ring.pid} is gone, and had not closed its recording"
        return "" if failed is None else _why(failed)


def _is_stuck(ring: Lying) -> bool:
    """Tell whether the process of a ring cannot ship it: it is stopped, or gone."""
    return ring.state in disk.STOPPED or not ring.state


def _why(asked: Asked) -> str:
    where = asked.where
    if asked.waited_s is not None:
        return f"no answer from {where.host}:{where.port} within {asked.waited_s:.1f} s"
    return asked.failure or "it did something else"


def _how(got: Got | None, is_here: bool) -> str:
    if got is None:
        return "its recording could not be had in time"
    if isinstance(got[2], str):
        return f"its recording could not be read: {got[2]}"
    return "its recording was read from disk" if is_here else "its recording was read from disk, by its neighbour"
