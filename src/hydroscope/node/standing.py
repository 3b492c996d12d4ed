"""A member's standing: which view it has entered, whether it may work, whose packets count.

Says what is to be done as effects: `Tell` a peer something about membership, `Enter` a view,
`Leave` for good. `membership` has the rules this follows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from hydroscope.ground.errors import InternalError
from hydroscope.node.membership import Lease, Roster, Settings
from hydroscope.wire.messages import (
    Announce,
    Heartbeat,
    Hello,
    MemberInfo,
    Message,
    Packet,
    Refuse,
    View,
    Welcome,
)

__all__ = ["Effect", "Enter", "Leave", "Standing", "Tell"]


class Tell(msgspec.Struct, frozen=True):
    """Send a message to a member, or to a life that is not one (yet)."""

    peer: int
    life: int
    message: Message


class Enter(msgspec.Struct, frozen=True):
    """A newer view holds from here on."""

    view: View


class Leave(msgspec.Struct, frozen=True):
    """This member does not belong any more."""

    reason: str


Effect = Tell | Enter | Leave


class Standing:
    """Where one member stands. Without an authority views come from outside and leases do not end.

    Parameters
    ----------
    me : MemberInfo
    cluster : int
    authority : int or None
    settings : Settings
    suspects : callable
        Returns the peers that have owed an answer for too long.
    spoken_to : callable
        Returns the peers that calls go to or come from: they get heartbeats too.
    """

    def __init__(
        self,
        me: MemberInfo,
        cluster: int,
        authority: int | None,
        settings: Settings,
        suspects: Callable[[float], tuple[int, ...]],
        spoken_to: Callable[[], Iterable[int]],
    ) -> None:
        self.me = me
        self.cluster = cluster
        self.view: View | None = None
        self.epoch = 0
        """Of the view that was entered; 0 before the first."""
        self.is_open = False
        self.is_out = False
        self.lives: dict[int, int] = {}
        self.next_beat = math.inf
        self.counters: Counter[str] = Counter()
        self._authority = authority
        self._settings = settings
        self._suspects = suspects
        self._spoken_to = spoken_to
        self._lease: Lease | None = None
        self._roster: Roster | None = None
        self._hello: Hello | None = None
        self._stamp = 0
        self._echoes: dict[int, int] = {}  # the newest of ours that each peer is known to have heard
        self._stamps: dict[int, int] = {}  # the newest heard from each peer

    @property
    def lease_until(self) -> float:
        """Until when this member may work."""
        if self.is_out or not self.is_open:
            return -math.inf
        return math.inf if self._lease is None else self._lease.until

    @property
    def deadline(self) -> float:
        """When `expire` is wanted next."""
        return self.next_beat if self._roster is None else min(self.next_beat, self._roster.next_silence())

    @property
    def n_missing(self) -> int:
        """At the authority: how many more that store have to come before work can begin."""
        return 0 if self._roster is None else self._roster.n_missing

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin as the authority."""
        self._roster = Roster(self.me, self._settings)
        self.next_beat = now
        return self.expire(now)

    def join(self, nonce: int, now: float) -> list[Effect]:
        """Begin as somebody who asks the authority to belong."""
        self._lease = Lease(self._settings, now)
        self._hello = Hello(nonce, self.me)
        self.next_beat = now
        return self.expire(now)

    def enter(self, view: View, is_open: bool, now: float) -> list[Effect]:
        """Enter a view, or learn that the one entered has opened."""
        if self.is_out or view.epoch < self.epoch:
            return []
        if view.epoch == self.epoch:
            self.is_open = self.is_open or is_open
            return []
        lives = {info.number: info.life for info in view.members}
        if lives.get(self.me.number) != self.me.life:
            return self.leave("it does not belong to the cluster's newest view")
        self.view, self.epoch, self.is_open, self.lives = view, view.epoch, is_open, lives
        if self._lease is not None:
            self.next_beat = min(self.next_beat, now)  # tell the authority
        return [Enter(view)]

    def lose(self, number: int, now: float) -> list[Effect]:
        """At the authority: a member is gone for certain."""
        if self._roster is None:
            raise InternalError(f"member {self.me.number} is not the authority")
        self._roster.lose(number)
        return self._decide(now)

    def leave(self, reason: str) -> list[Effect]:
        """Stop for good."""
        if self.is_out:
            return []
        self.is_out, self.next_beat = True, math.inf
        return [Leave(reason)]

    def farewell(self, reason: str = "it left") -> list[Effect]:
        """Stop for good, and tell the authority, which otherwise would have to find out."""
        to = self._authority
        known = to is not None and to != self.me.number and to in self.lives and not self.is_out
        told: list[Effect] = [Tell(to, self.lives[to], Refuse("left", self.epoch))] if known and to is not None else []
        return told + self.leave(reason)

    def wake(self, now: float) -> list[Effect]:
        """Go on after a standstill, in which this member's clock stood still and those of others may not have.

        The lease is for the others' time: it has to be had anew, for something that is sent from now on.
        """
        if self._lease is not None:
            self._lease.void(self._stamp)
        return self._beat(now)

    def reached(self, peer: int) -> float:
        """Return the latest time of ours of which is known that what we sent then reached the peer."""
        return self._echoes.get(peer, 0) / 1e6

    # --- packets ----------------------------------------------------------------------------------------------------

    def refusal(self, packet: Packet) -> str | None:
        """Say why a packet does not count; None when it does."""
        message = packet.message
        if packet.cluster != self.cluster:
            return "other cluster"
        if self.is_out:
            return "to a member that is out"
        if type(message) is Hello:
            return None if self._roster is not None else "hello to a member that is not the authority"
        if packet.receiver_life != self.me.life:
            return "meant for another life"
        if type(message) is Welcome:
            return None if self._hello is not None and message.nonce == self._hello.nonce else "unasked welcome"
        return None if self.lives.get(packet.sender) == packet.sender_life else "from a life that does not belong"

    def answer_stranger(self, packet: Packet) -> list[Effect]:
        """Tell a life that was given up that it was; hear that it has stopped."""
        message = packet.message
        if packet.receiver_life != self.me.life or self._roster is None:
            return []
        if type(message) is Refuse and message.reason == "left":
            self._roster.stopped(packet.sender)  # its life does not matter: numbers are never given twice
            return []
        if type(message) is not Heartbeat:
            return []
        return [Tell(packet.sender, packet.sender_life, Refuse("view", self.epoch))]

    def is_of_this_epoch(self, packet: Packet, now: float) -> bool:
        """Tell whether work may be taken from a packet; when this member is behind, ask the authority soon."""
        if packet.epoch == self.epoch:
            return True
        if packet.epoch > self.epoch:
            self.next_beat = min(self.next_beat, now)
        self.counters["from a later epoch" if packet.epoch > self.epoch else "from an earlier epoch"] += 1
        return False

    def receive(self, packet: Packet, now: float) -> list[Effect]:
        """Take in a message about membership."""
        message = packet.message
        match message:
            case Hello(info=info, nonce=nonce):
                return self._on_hello(info, nonce, now)
            case Welcome(life=life, number=number):
                assert self._authority is not None
                self.me = msgspec.structs.replace(self.me, number=number)
                self.lives[self._authority] = life
                self._hello = None
                return self._beat(now)
            case Heartbeat():
                return self._on_heartbeat(packet.sender, message, now)
            case Announce(view=view, is_open=is_open) if packet.sender == self._authority:
                return self.enter(view, is_open, now)
            case Refuse(reason="left") if self._roster is not None:
                return self.lose(packet.sender, now)
            case Refuse(reason="view") if packet.sender == self._authority:
                return self.farewell("the authority has given it up")
        self.counters["membership from a member that has no say"] += 1
        return []

    def expire(self, now: float) -> list[Effect]:
        """Beat when it is time; give up who has been silent for too long."""
        effects = self._decide(now) if self._roster is not None else []
        if self._lease is not None and self._lease.is_over(now):
            return self.leave("the authority has been silent for too long")
        return effects + self._beat(now) if now >= self.next_beat else effects

    # --- inside -----------------------------------------------------------------------------------------------------

    def _on_hello(self, info: MemberInfo, nonce: int, now: float) -> list[Effect]:
        assert self._roster is not None
        number = self._roster.hello(info, now)
        if number is None:
            self.counters["hello of a life that was given up"] += 1
            return []
        self.lives[number] = info.life
        return [Tell(number, info.life, Welcome(nonce, self.me.life, number)), *self._decide(now)]

    def _on_heartbeat(self, peer: int, beat: Heartbeat, now: float) -> list[Effect]:
        if beat.stamp <= self._stamps.get(peer, 0):  # late, or recorded and sent again: no sign of life
            self.counters["heartbeat that is not newer"] += 1
            return []
        self._stamps[peer] = beat.stamp
        self._echoes[peer] = max(beat.echo, self._echoes.get(peer, 0))
        if self._lease is not None and peer == self._authority:
            self._lease.echoed(beat.echo, now)
        if self._roster is None:
            return []
        self._roster.heard(peer, beat.view_epoch, beat.suspects, now)
        effects = self._decide(now)
        view = self._roster.view
        if view is None or peer not in self.lives:  # what it says may have been a reason to give it up
            return effects
        if beat.view_epoch < view.epoch or beat.is_open < self._roster.is_open:
            effects.append(Tell(peer, self.lives[peer], Announce(view, self._roster.is_open)))
        return effects

    def _beat(self, now: float) -> list[Effect]:
        if self.is_out:
            return []
        self.next_beat = now + self._settings.heartbeat_s
        if self._hello is not None:
            assert self._authority is not None
            return [Tell(self._authority, 0, self._hello)]
        suspects = self._suspects(now)
        to = set(self.lives) if self._roster is not None else {self._authority, *self._spoken_to()}
        to.discard(self.me.number)
        self._stamp = stamp = max(self._stamp + 1, int(now * 1e6))
        return [
            Tell(n, self.lives[n], Heartbeat(self.epoch, self.is_open, stamp, self._stamps.get(n, 0), suspects))
            for n in sorted(each for each in to if each in self.lives)
        ]

    def _decide(self, now: float) -> list[Effect]:
        """At the authority: enter what the roster decides, and tell everybody."""
        roster = self._roster
        assert roster is not None
        for peer in self._suspects(now):
            roster.give_up(peer)
        is_news = roster.decide(now)
        for number in self.lives.keys() - roster.members.keys():  # of a view to come, which may have to wait for others
            del self.lives[number]
        if not is_news or roster.view is None:
            return []
        effects = self.enter(roster.view, roster.is_open, now)
        announce = Announce(roster.view, roster.is_open)
        return effects + [
            Tell(info.number, info.life, announce) for info in roster.view.members if info.number != self.me.number
        ]
