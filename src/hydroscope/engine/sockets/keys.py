"""The key/value store of a cluster of real processes: what `hs.kv` does in each of them.

A read of a key that this process holds a replica of is a look into a dictionary, and a look
at the clock: a process that was stopped for a while must not go on with what it knew before.
Everything else is an operation of the member, which ends by its answer, by the loss of the
key's home, or by the loss of this member itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from threading import get_ident
from typing import Any, Protocol

import msgspec

from hydroscope.engine.diary import Diary
from hydroscope.engine.dump.post import Post
from hydroscope.engine.latch import Latch
from hydroscope.engine.sockets.address import Address
from hydroscope.engine.sockets.member import AUTHORITY, SocketMember
from hydroscope.engine.sockets.waiting import Outcome, Waiter
from hydroscope.engine.sockets.witness import member_name
from hydroscope.engine.watching import Watch
from hydroscope.ground.errors import InternalError, UserError
from hydroscope.kv import effects as kv
from hydroscope.kv.functions import Functions
from hydroscope.kv.homes import Homes
from hydroscope.kv.names import check_key
from hydroscope.kv.scans import what_is_missing
from hydroscope.node.actions import Action
from hydroscope.node.ports import EngineError, NodeLost
from hydroscope.wire.dumps import Where
from hydroscope.wire.messages import NOBODY, MemberInfo, View
from hydroscope.wire.values import verify

__all__ = ["SocketKeys"]

PENDING_MAX = 1024
"""Plain puts under way; who puts more waits for its own."""

ANSWER_S = 30.0
"""Seconds an operation may take beside the time after which a lost member is noticed."""

Begin = Callable[[Hashable, int, float], list[Action]]
"""Begins an operation: token, thread, now."""


class Get(Protocol):
    """The signature of `get`."""

    def __call__(self, key: str, default: Any = None) -> Any: ...


class Pending(msgspec.Struct, frozen=True, eq=False):
    """The token of a plain put, which nobody waits for."""

    thread: int
    key: str


class SocketKeys:
    """One process's part of the store; `serve` and `connect` make it.

    Attributes
    ----------
    address : Address
        Where the authority is: what `connect` needs.
    secret : bytes
        What all members share.
    opened : Latch
        Open once work can begin, or never will.
    out : str or None
        Why this process does not belong to the cluster any more.
    post : Post or None
        Answers those who gather recordings.
    diary : Diary or None
        The window-log of the keys that this member is home to.
    """

    name = "sockets"
    shared = True
    get: Get
    """Return the value, or a default. Cost: a look into a dictionary; a round trip if it is not held here."""
    ordered: Callable[[kv.Ordered | kv.Adopted], None]
    """Told what a key is here, its home."""

    def __init__(self, address: Address, secret: bytes, functions: Functions, detect_s: float) -> None:
        self.address = address
        self.secret = secret
        self.opened = Latch()
        self.out: str | None = None
        self.post: Post | None = None
        self.diary: Diary | None = None
        self._functions = functions
        self._timeout_s = detect_s + ANSWER_S
        self._socket: SocketMember
        self._n_pending = 0
        self._pending: dict[int, int] = {}  # by thread
        self._unconfirmed: dict[int, list[str]] = {}  # by thread: keys of plain puts that were lost
        self._watches: list[Watch] = []
        self._lost: set[int] = set()  # members that stored and are gone
        self._infos: dict[int, MemberInfo] = {}  # of the members, and of those that stored and are gone

    def __repr__(self) -> str:
        return f"<hydroscope keys: member {self.me} of {self.address}>"

    @property
    def me(self) -> str:
        """This member's number and life: never those of another process."""
        return _name(self._socket.member.standing.me)

    def member_name(self) -> str:
        """Return how timelines name this member."""
        me = self._socket.member.standing.me
        return member_name(me.number, me.life)

    def members(self) -> list[str]:
        """Return who belongs now, named as `me` names this process. Cost: free."""
        view = self._socket.member.standing.view
        return [_name(info) for info in view.members] if view is not None else []

    @property
    def socket(self) -> SocketMember:
        """The member behind it, to look at."""
        return self._socket

    def attach(self, member: SocketMember, post: Post | None, diary: Diary | None) -> None:
        """Work through this member from now on; beside it, the post answers, and the diary says what keys were."""
        self._socket, self.post, self.diary = member, post, diary
        self.ordered = _unheard_of if diary is None else diary.changed
        self.get = _quick(member, self._get_missing)
        if post is not None:
            post.still = member

    def posts(self) -> tuple[Where, ...]:
        """Return how the posts of all members are reached, those of founders that are gone too. Cost: free."""
        return tuple(
            Where(member_name(info.number, info.life), info.host, info.post_port, info.pid, info.place)
            for info in self._infos.values()
            if info.post_port
        )

    def waits_for(self) -> str:
        """Say what is missing until work can begin, and what to do about it. Cost: free."""
        member = self._socket.member
        n_missing, number = member.standing.n_missing, member.standing.me.number
        if n_missing:
            n_founders = member.settings.n_founders
            return (
                f"{n_founders - n_missing} of {n_founders} members that store are there; {n_missing} have not come, or "
                f"have died: start as many processes that call join_cluster({str(self.address)!r})"
            )
        if number == NOBODY:
            return f"no word from {self.address}; is it up, and are address and secret its own?"
        if number == AUTHORITY:
            return "all members have come, and not all of them answer"
        return (
            f"this process came as member {number}, and others that store have not, or died before work began; "
            "where the cluster was started, .wait() says how many"
        )

    # --- Keys -------------------------------------------------------------------------------------------------------

    def put(self, key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
        """Write. Cost: a datagram; with `wait`, and for keys with "!", a round trip and one to every replica."""
        check_key(key)
        if value is not None:
            verify(value)
        put = self._socket.member.put
        if self._unconfirmed:
            self._raise_unconfirmed()
        if wait or durable or key[0] == "!":
            self._do(lambda op, thread, now: put(op, thread, key, value, now, wait, durable), (key,))
            return
        if self._n_pending >= PENDING_MAX or self._is_full():
            self.fence()
        token = Pending(get_ident(), key)

        def begin(now: float) -> list[Action]:
            self._n_pending += 1
            self._pending[token.thread] = self._pending.get(token.thread, 0) + 1
            return put(token, token.thread, key, value, now)

        self._socket.tell(begin, may_rest=True)

    def remove(self, key: str, wait: bool = False) -> None:
        """Make the key absent. Cost: that of a put."""
        self.put(key, None, wait)

    def atomic(self, key: str, function: str, *arguments: Any) -> Any:
        """Apply a registered function at the key's home. Cost: a round trip, and one to every replica."""
        check_key(key)
        verify(arguments)  # together, as they will be packed
        atomic = self._socket.member.atomic
        self._raise_unconfirmed()
        return self._do(lambda op, thread, now: atomic(op, thread, key, function, arguments, now), (key,)).result

    def keys(self, prefix: str = "", partial: bool = False) -> list[str]:
        """Return the keys that begin with `prefix`, sorted. Cost: a round trip to every home."""
        scan = self._socket.member.scan
        names = self._do(lambda op, thread, now: scan(op, prefix, now), ())
        if names.lost and not partial:
            raise NodeLost(what_is_missing(prefix, names.lost))
        return list(names.keys)

    def fence(self) -> None:
        """Wait until the plain puts of this thread are ordered. Cost: free if they are; else a round trip."""
        if get_ident() not in self._pending and not self._unconfirmed:
            return
        fence = self._socket.member.fence
        try:
            self._do(lambda op, thread, now: fence(op, thread, now), ())
        except NodeLost:
            self._unconfirmed.pop(get_ident(), None)  # it names them too
            raise
        self._raise_unconfirmed()

    def watch(self, prefix: str = "") -> Watch:
        """Begin to watch keys. Cost: a round trip to every home, and a datagram a change."""
        watch, begin = Watch(prefix, self.get, self._unwatch), self._socket.member.watch
        self._watches = [*self._watches, watch]
        self._do(lambda op, thread, now: begin(op, prefix, now), ())
        return watch

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Give a function for `atomic` its name in this process. Cost: free."""
        self._functions.register(name, function)

    def shutdown(self) -> None:
        """Leave the cluster. What only this member held is lost to the others. Cost: some milliseconds."""
        if self.post is not None:
            self.post.close()  # first: what stands still cannot be closed
        for watch in self._watches:
            watch.close()
        self._socket.close()
        if self.diary is not None:
            self.diary.close()

    # --- what the member says by itself (never waits) ---------------------------------------------------------------

    def entered(self, view: View, is_open: bool) -> None:
        """Note that work can begin, or goes on; tell the watchers who was lost, since nobody knows all it held."""
        if self.diary is not None:
            member = self._socket.member
            self.diary.entered(member.standing.me, self.member_name(), view, member.stamp())
        stay = {number: info for number, info in self._infos.items() if info.stores}
        self._infos = stay | {info.number: info for info in view.members}
        if not is_open:
            return
        self.opened.open()
        homes = Homes(view)
        fresh, self._lost = set(homes.lost("")) - self._lost, set(homes.lost(""))
        for watch in self._watches:
            if lost := [number for number in homes.lost(watch.prefix) if number in fresh]:
                watch.lose(NodeLost(_unheard(watch.prefix, lost)))

    def changed(self, keys: tuple[str, ...]) -> None:
        """Tell the watchers."""
        for watch in self._watches:
            for key in keys:
                watch.tell(key)

    def finished(self, op: Hashable, outcome: Outcome) -> None:
        """Note the end of a plain put."""
        assert isinstance(op, Pending)
        self._n_pending -= 1
        self._pending[op.thread] -= 1
        if not self._pending[op.thread]:
            del self._pending[op.thread]
        if not isinstance(outcome, kv.Wrote):
            self._unconfirmed.setdefault(op.thread, []).append(op.key)

    def excluded(self, reason: str) -> None:
        """Note that this member belongs no longer."""
        self.out = reason
        self.opened.open()
        for watch in self._watches:
            watch.end(NodeLost(self._loss(())))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _get_missing(self, key: str, default: Any) -> Any:
        check_key(key)
        get = self._socket.member.get
        value = self._do(lambda op, thread, now: get(op, thread, key, now), (key,)).value
        return default if value is None else value

    def _do(self, begin: Begin, keys: tuple[str, ...]) -> Any:
        """Begin an operation and wait for its end; returns the outcome, or raises what it means."""
        waiter, thread = Waiter(), get_ident()
        if not self._socket.call(waiter, lambda now: begin(waiter, thread, now), self._timeout_s):
            if not self.opened.wait(0):
                raise EngineError(
                    f"the cluster has not begun within {self._timeout_s:.0f} s: {self.waits_for()}. "
                    f"What was asked about {_names(keys)} is done once it has"
                )
            raise NodeLost(
                f"no answer about {_names(keys)} within {self._timeout_s:.0f} s, and no member was given up; "
                "whether a write happened is not known",
                keys,
            )
        outcome = waiter.outcome
        match outcome:
            case kv.Lost(keys=lost):
                raise NodeLost(self._loss(tuple(lost) or keys), tuple(lost) or keys)
            case kv.Refused(kind=kind, text=text):
                if kind == "lost":
                    raise NodeLost(text or self._loss(keys), keys)
                if kind in ("function", "unknown function"):
                    raise UserError(text)
                raise EngineError(f"{kind}: {text}")
            case NodeLost():
                raise NodeLost(str(outcome), keys)
            case BaseException():
                raise InternalError(str(outcome)) from outcome
        return outcome

    def _loss(self, keys: tuple[str, ...]) -> str:
        if self.out is not None:
            return f"this process does not belong to the cluster any more ({self.out}); connect() again"
        return f"the member that held {_names(keys)} was lost; what it held is gone, put it again"

    def _is_full(self) -> bool:
        for line in tuple(self._socket.member.lines.values()):  # noqa: SIM110 - any() takes twice as long
            if line.link.is_full:
                return True
        return False

    def _raise_unconfirmed(self) -> None:
        """Tell a thread of plain puts of its own that were lost: never silent."""
        if self._unconfirmed and (lost := self._unconfirmed.pop(get_ident(), None)):
            keys = tuple(dict.fromkeys(lost))
            raise NodeLost(f"earlier puts of {_names(keys)} were not confirmed before their member was lost", keys)

    def _unwatch(self, watch: Watch) -> None:
        self._watches = [each for each in self._watches if each is not watch]
        if self.out is None and all(each.prefix != watch.prefix for each in self._watches):
            self._socket.tell(lambda now: self._socket.member.unwatch(None, watch.prefix, now))


def _quick(member: SocketMember, get_missing: Callable[[str, Any], Any]) -> Get:
    """Return `get` as a function of its own: half the time that a method with its look-ups takes."""
    now, front, forever = member.now, member.front, math.inf

    def get(key: str, default: Any = None) -> Any:
        """Return the value, or `default`. Cost: a look into a dictionary; a round trip if it is not held here."""
        if (until := member.trusted_until) is forever or now() < until:  # the authority needs no clock
            try:
                value = front[key]
            except (KeyError, TypeError):  # not held here, or no key at all
                pass
            else:
                return default if value is None else value
        return get_missing(key, default)

    return get


def _unheard_of(effect: kv.Ordered | kv.Adopted) -> None:
    """Keep no log."""


def _name(info: MemberInfo) -> str:
    return f"{info.number}-{info.life:x}"


def _unheard(prefix: str, lost: list[int]) -> str:
    which = ", ".join(f"member {number}" for number in lost)
    return (
        f"{which} was lost, and with it perhaps keys that begin with {prefix!r}: no change tells of them; "
        "look at them again (what was lost raises NodeLost until it is put again), and go on with the watch"
    )


def _names(keys: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, keys[:5]))
    return (shown + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")) or "the cluster's keys"
