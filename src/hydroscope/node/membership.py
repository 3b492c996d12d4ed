"""Who belongs: decided by one member, the authority; the others hold a lease from it.

There is no election. The authority is the process that started the cluster (the driver);
when it is gone the service is down, which is said and not papered over. In exchange the
rules are few:

- A member is a *life*: a process that starts again is somebody else, with a new number.
  Numbers are never given twice, so that nothing said to or by the dead can be mistaken.
- The authority announces *views*, numbered by epochs. Every packet carries its epoch, and
  work between members of different epochs is refused (and sent again later by the RPC).
- A view *opens* once all its members have entered it: who enters one that lacks a home drops
  all replicas, so nobody can still read what a newer epoch may overwrite.
- The *founders*, who store, are chosen by the first view: the first that came and want to. One
  that dies before any view has opened held nothing: the next who comes takes its place.
- A member may work while it holds a *lease*: while the authority has acknowledged something
  it sent less than `lease_s` ago. The authority gives a member up after `detect_s` of
  silence, which is longer: whoever is given up has stopped working before (a process that
  was stopped finds its lease expired when it wakes).
- A member that gets no answer from a peer tells the authority whom it suspects. When both
  are heard by the authority, the way between them is broken, and one of them is given up:
  the one in most suspicions, of equals the later one. It may hold a lease still: the view
  without it opens when it has said that it stopped, or its lease has run out.

`Roster` is the authority's part, `Lease` everybody else's. Both only decide.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice

import msgspec

from hydroscope.ground.errors import InternalError
from hydroscope.wire.messages import MemberInfo, View

__all__ = ["Lease", "Roster", "Settings"]


class Settings(msgspec.Struct, frozen=True):
    """Times of a cluster; the same for all its members."""

    n_founders: int = 1
    """Members that store, the authority included: the first view waits for them."""
    heartbeat_s: float = 0.25
    """With six of ten packets lost each way, detect_s of silence by chance is one in a billion."""
    lease_s: float = 6.0
    """Without news from the authority a member stops working after this time."""
    detect_s: float = 10.0
    """And is given up after this. The difference covers clocks that run at different speeds."""

    def check(self) -> None:
        """Refuse times that cannot work."""
        assert 0 < self.heartbeat_s < self.lease_s < self.detect_s, self


class Roster:
    """What the authority knows of everybody, and the view that follows from it.

    Attributes
    ----------
    view : View or None
        None until as many as shall store have come.
    is_open : bool
        Whether all members have entered it.
    members : dict
        Who is taken for alive, by number; whether they store is what they asked for.
    """

    def __init__(self, me: MemberInfo, settings: Settings) -> None:
        settings.check()
        self._me = me
        self._settings = settings
        self.members: dict[int, MemberInfo] = {me.number: me}
        self._founders: tuple[int, ...] = ()
        self._has_worked = False  # some view has opened: the founders are settled
        self._numbers: dict[int, int] = {me.life: me.number}  # of every life ever seen
        self._lost: set[int] = set()
        self._working: dict[int, float] = {}  # given up, not known to have stopped: until when they may go on
        self._heard: dict[int, float] = {me.number: math.inf}
        self._entered: dict[int, int] = {}
        self._suspects: dict[int, tuple[int, ...]] = {}
        self._changed = True
        self._awake = -math.inf
        self.view: View | None = None
        self.is_open = False

    def hello(self, info: MemberInfo, now: float) -> int | None:
        """Take in a new life and return its number; None for one that was given up before."""
        number = self._numbers.get(info.life)
        if number is not None:
            return None if number in self._lost else number
        number = max(self._numbers.values()) + 1
        self._numbers[info.life] = number
        self.members[number] = msgspec.structs.replace(info, number=number)
        self._heard[number] = now
        self._changed = True
        return number

    def heard(self, number: int, epoch: int, suspects: tuple[int, ...], now: float) -> None:
        """Note a heartbeat."""
        if number in self.members:
            self._heard[number] = now
            self._entered[number] = max(epoch, self._entered.get(number, 0))
            self._suspects[number] = suspects

    def stopped(self, number: int) -> None:
        """Note that somebody who was given up has stopped working."""
        self._working.pop(number, None)

    def give_up(self, number: int) -> None:
        """Give a member up that may be there still: it works no longer than its lease allows."""
        if number in self.members:
            self._working[number] = self._heard[number] + self._settings.detect_s
            self.lose(number)

    def lose(self, number: int) -> None:
        """Give a member up: somebody who knows (the engine) says that it is gone, or it left."""
        if number == self._me.number:
            raise InternalError("the authority cannot give itself up")
        if self.members.pop(number, None) is not None:
            self._lost.add(number)
            self._suspects.pop(number, None)
            self._changed = True

    def decide(self, now: float) -> bool:
        """Give up the silent and the cut off; True when there is a new view, or it has opened."""
        before = self.view, self.is_open
        self._forgive(now)
        for number in [n for n in self.members if self._heard[n] + self._settings.detect_s <= now]:
            self.give_up(number)
        if (worst := self._most_suspected(now)) is not None:
            self.give_up(worst)
        if self._changed and not self.n_missing:
            self._renew_view()
        self._working = {n: until for n, until in self._working.items() if until > now}
        if self.view is not None and not self._changed and not self.is_open and not self._working:
            self.is_open = all(self._entered.get(n, 0) >= self.view.epoch for n in self.members)
            self._has_worked = self._has_worked or self.is_open
        return (self.view, self.is_open) != before

    @property
    def n_missing(self) -> int:
        """How many more that store have to come before work can begin."""
        if self._has_worked:
            return 0
        return max(0, self._settings.n_founders - sum(info.stores for info in self.members.values()))

    def _renew_view(self) -> None:
        """Make the view of those who live; choose the founders as long as nobody can have stored anything."""
        if not self._has_worked:
            willing = (number for number in sorted(self.members) if self.members[number].stores)
            self._founders = tuple(islice(willing, self._settings.n_founders))
        epoch = self.view.epoch + 1 if self.view is not None else 1
        members = (
            msgspec.structs.replace(self.members[number], stores=number in self._founders)
            for number in sorted(self.members)
        )
        self.view = View(epoch, tuple(members), self._founders)
        self._changed, self.is_open = False, False
        self._entered[self._me.number] = epoch
        self._suspects.clear()

    def next_silence(self) -> float:
        """Return when somebody will have been silent for too long, or the lease of who was given up has run out."""
        silence = min(self._heard[n] for n in self.members) + self._settings.detect_s
        return min(silence, *self._working.values()) if self._working else silence

    def _forgive(self, now: float) -> None:
        """While this process did not run (it was stopped) nobody was silent: nobody was listened to."""
        asleep = now - self._awake
        if self._settings.lease_s < asleep < math.inf:
            self._heard = {n: heard + asleep for n, heard in self._heard.items()}
        self._awake = now

    def _most_suspected(self, now: float) -> int | None:
        """Return one end of a way that is broken although both ends are heard here.

        Who has not been heard for a while is probably dead, and its silence will say so: to judge
        earlier would give up those who rightly suspect it.
        """
        counts: Counter[int] = Counter()
        recently = now - self._settings.detect_s / 2
        for suspecting, suspects in self._suspects.items():
            for suspect in suspects:
                if suspect in self.members and self._heard[suspect] > recently:
                    counts.update((suspecting, suspect))
        counts.pop(self._me.number, None)
        return max(counts, key=lambda n: (counts[n], n), default=None)


class Lease:
    """Until when a member may work: its own clock, from the time at which it sent what was acknowledged."""

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings = settings
        self._void_us = 0
        self.until = -math.inf
        self.heard = now

    def echoed(self, stamp_us: int, now: float) -> None:
        """The authority has heard what was sent at `stamp_us` (0: nothing yet)."""
        self.heard = now
        if stamp_us > self._void_us:
            self.until = max(self.until, stamp_us / 1e6 + self._settings.lease_s)

    def void(self, stamp_us: int) -> None:
        """Let nothing count any more that was sent up to then: this member's clock has stood still since."""
        self._void_us, self.until = stamp_us, -math.inf

    def is_over(self, now: float) -> bool:
        """Tell whether the authority has been silent for so long that it must be gone."""
        return now >= self.heard + 2 * self._settings.detect_s
