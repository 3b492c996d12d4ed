"""One member of a cluster: packets and a caller's operations go in, packets and outcomes come out.

`Member` joins what the lower rooms decide. Inwards: a packet is checked (for me? from a life
that belongs? of this epoch?), its message goes to the link with that peer, what the link
says is to be done goes to the store. Outwards: what the store asks of peers becomes calls on
links, which become packets.

It does no I/O: whoever owns it (a thread with sockets, the simulator) hands in packets and
the time, and performs the actions that come back, in their order. One owner at a time; only
`front` may be read by anybody.

Work is *held* while this member must not work (the view has not opened, the lease has run
out), and goes on by itself afterwards. Without a lease not even what is under way may end: a
process that was stopped for long could otherwise tell its threads that a write is done,
although the key has been given to another home meanwhile.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import msgspec

from hydroscope.ground.clocks.hlc import HybridClock
from hydroscope.ground.clocks.port import Clock
from hydroscope.ground.errors import DataError, InternalError
from hydroscope.kv.effects import Adopted, Answer, Ask, Finish, Lost, Ordered
from hydroscope.kv.effects import Effect as StoreEffect
from hydroscope.kv.functions import Functions
from hydroscope.kv.store import Store
from hydroscope.node import standing
from hydroscope.node.actions import Action, Connect, Entered, Excluded, Transmit
from hydroscope.node.line import Line, LineEffect, is_large
from hydroscope.node.membership import Settings
from hydroscope.node.standing import Standing
from hydroscope.rpc import bulk
from hydroscope.rpc.effects import Deliver, Execute, Fail, Send, Settle
from hydroscope.rpc.link import Link
from hydroscope.wire import bodies
from hydroscope.wire.messages import (
    Ack,
    AckAck,
    Backup,
    Call,
    Failed,
    Invalidate,
    MemberInfo,
    Message,
    Nack,
    Notify,
    Packet,
    Piece,
    PieceAck,
    Probe,
    Reply,
    View,
)

__all__ = ["Member"]

WORK = frozenset((Call, Probe, Nack, Ack, AckAck, Piece, PieceAck))
"""Messages that belong to an epoch."""

URGENT = frozenset((Backup, Invalidate, Notify))
"""Calls that are answered at once and that writes wait for: they go beside the window that those writes fill."""

Operation = Callable[..., list[StoreEffect]]
"""A method of the store: it takes the store, the operation's name, and what was asked for."""


class Member:
    """One member: its links, its store, its standing.

    Parameters
    ----------
    me : MemberInfo
        With number NOBODY: `join` asks for one.
    cluster : int
        Drawn by whoever starts the cluster; packets of others are refused.
    clock : Clock
    functions : Functions
        What `atomic` can apply; the same at all members.
    authority : int or None
        Number of the authority; None: views come from outside, through `enter`, and leases do not end.
    encode : bool
        Whether bodies of calls are bytes (they are, except in the simulator's fast mode).
    settings : Settings or None
    """

    def __init__(
        self,
        me: MemberInfo,
        cluster: int,
        clock: Clock,
        functions: Functions,
        *,
        authority: int | None = None,
        encode: bool = True,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.standing = Standing(me, cluster, authority, self.settings, self._suspects, lambda: self.lines)
        self.front: dict[str, Any] = {}
        self.lines: dict[int, Line] = {}
        self.counters: Counter[str] = Counter()
        self.deadline = math.inf
        self.refusals: dict[int, str] = {}
        """Of the frame that was received last: which packets did not count, by their place, and why."""
        self._hlc = HybridClock(clock)
        self._encode = encode
        self._functions = functions
        self._store: Store | None = None
        self._tags: dict[tuple[int, int], Any] = {}  # what the store calls each of our calls
        self._entering: View | None = None  # the store enters it once work may go on
        self._held: deque[tuple[Hashable, Operation, tuple[Any, ...]]] = deque()
        self._actions: list[Action] = []
        self._now = -math.inf
        self._open_epoch = 0  # of the last view that was told to have opened
        self._owing_since: dict[int, float] = {}  # peers that have owed us answers without a break

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        """Begin as the authority: others may join."""
        return self._membership(now, self.standing.start(now))

    def join(self, nonce: int, now: float) -> list[Action]:
        """Ask the authority to belong, until it answers."""
        return self._membership(now, self.standing.join(nonce, now))

    def enter(self, view: View, now: float, is_open: bool = True) -> list[Action]:
        """Enter a view that was decided outside."""
        return self._membership(now, self.standing.enter(view, is_open, now))

    def lose(self, number: int, now: float) -> list[Action]:
        """Tell the authority that a member is gone for certain."""
        return self._membership(now, self.standing.lose(number, now))

    def wake(self, now: float) -> list[Action]:
        """Go on after a standstill of this member and its clock."""
        return self._membership(now, self.standing.wake(now))

    def leave(self, now: float) -> list[Action]:
        """Stop for good, and tell the authority so."""
        return self._membership(now, self.standing.farewell())

    # --- operations of this process's threads: each ends with `Finish(op, outcome)` ----------------------------------

    def get(self, op: Hashable, thread: int, key: str, now: float) -> list[Action]:
        """Read a key that `front` does not have."""
        return self._operate(now, op, Store.get, thread, key)

    def put(
        self, op: Hashable, thread: int, key: str, value: Any, now: float, wait: bool = False, durable: bool = False
    ) -> list[Action]:
        """Write a key (None: remove it)."""
        return self._operate(now, op, Store.put, thread, key, value, wait, durable)

    def atomic(
        self,
        op: Hashable,
        thread: int,
        key: str,
        name: str,
        arguments: tuple[Any, ...],
        now: float,
        durable: bool = False,
    ) -> list[Action]:
        """Apply a registered function at the key's home."""
        return self._operate(now, op, Store.atomic, thread, key, name, arguments, durable)

    def fence(self, op: Hashable, thread: int, now: float) -> list[Action]:
        """Wait until the plain puts of this thread are ordered."""
        return self._operate(now, op, Store.fence, thread)

    def scan(self, op: Hashable, prefix: str, now: float) -> list[Action]:
        """List the keys that begin with `prefix`."""
        return self._operate(now, op, Store.scan, prefix)

    def watch(self, op: Hashable, prefix: str, now: float) -> list[Action]:
        """Hear of changes of keys that begin with `prefix`, as `Changed`; finished once all homes know of it."""
        return self._operate(now, op, Store.watch, prefix)

    def unwatch(self, op: Hashable, prefix: str, now: float) -> list[Action]:
        """Hear of them no longer."""
        return self._operate(now, op, Store.unwatch, prefix)

    def is_full(self, peer: int) -> bool:
        """Tell whether so much is on the way to `peer` that callers should wait."""
        line = self.lines.get(peer)
        return line is not None and line.link.is_full

    @property
    def links(self) -> dict[int, Link]:
        """The links by peer, to look at."""
        return {peer: line.link for peer, line in self.lines.items()}

    # --- packets and time -------------------------------------------------------------------------------------------

    def receive(self, packets: Sequence[Packet], now: float) -> list[Action]:
        """Take in the packets of one frame. Those that do not count are dropped, counted, and told in `refusals`."""
        self._now, self.refusals = now, {}
        line: Line | None = None
        for place, packet in enumerate(packets):
            message = packet.message
            kind = type(message)
            if line is None or kind not in WORK:  # what holds for one message of work holds for those that follow
                line = self._admit(place, packet, now)
            if line is None:
                continue
            if kind is Piece or kind is PieceAck:
                self._perform_bulk(packet.sender, line, line.piece(message, now))  # type: ignore[arg-type]
            else:
                self._perform(packet.sender, line, line.link.receive(message, now))
        return self._take()

    def connected(self, peer: int, stream: int, now: float) -> list[Action]:
        """Note that a stream that `Connect` asked for is open."""
        return self._streamed(peer, now, lambda line: line.connected(stream, now))

    def broken(self, peer: int, stream: int, now: float) -> list[Action]:
        """Note that a stream is gone, or did not open. Not to notice costs time only."""
        return self._streamed(peer, now, lambda line: line.broken(stream, now))

    def expire(self, now: float) -> list[Action]:
        """Do what is due: send again, beat, give up the silent."""
        self._now = now
        for peer in list(self.lines):
            line = self.lines.get(peer)
            if line is not None and line.deadline <= now:
                self._perform_bulk(peer, line, line.expire(now))
        return self._membership(now, self.standing.expire(now) if now >= self.standing.deadline else [])

    def stamp(self) -> int:
        """Return a hybrid logical time: later than everything this member has seen."""
        return self._hlc.tick()

    def merge(self, stamp: int) -> bool:
        """Let all later stamps be higher than this one; False, and nothing changes, if it is too far ahead."""
        return self._hlc.merge(stamp)

    def check(self) -> None:
        """Check all invariants of lines and store; raises InternalError."""
        for line in self.lines.values():
            line.check()
        if self._store is not None:
            self._store.check()

    @property
    def number(self) -> int:
        """This member's number."""
        return self.standing.me.number

    @property
    def store(self) -> Store:
        """The store; there is one from the first view on."""
        if self._store is None:
            raise InternalError(f"member {self.number} has not entered a view yet")
        return self._store

    @property
    def lease_until(self) -> float:
        """Until when `front` may be trusted (a process that was stopped finds this in the past)."""
        return self.standing.lease_until

    # --- inside: membership -----------------------------------------------------------------------------------------

    def _admit(self, place: int, packet: Packet, now: float) -> Line | None:
        """Return the line that the work in a packet is for; else do what the packet means for the membership."""
        standing = self.standing
        refusal = standing.refusal(packet)
        if refusal is not None:
            self._follow(now, standing.answer_stranger(packet))
        elif not self._hlc.merge(packet.hlc):
            refusal = "stamp from the future"
        elif type(packet.message) not in WORK:
            self._follow(now, standing.receive(packet, now))
            return None
        elif now >= standing.lease_until:  # what is under way must not go on here, and comes again
            refusal = "without a lease"
        elif packet.epoch == standing.epoch or standing.is_of_this_epoch(packet, now):
            return self.lines.get(packet.sender) or self._line(packet.sender)
        else:
            refusal = "of another epoch"
        self.refusals[place] = refusal
        self.counters[refusal] += 1
        return None

    def _membership(self, now: float, effects: list[standing.Effect]) -> list[Action]:
        self._follow(now, effects)
        return self._take()

    def _follow(self, now: float, effects: list[standing.Effect]) -> None:
        """Do what the standing says; then go on with what was held, if that may be."""
        self._now = now
        for effect in effects:
            match effect:
                case standing.Tell(peer=peer, life=life, message=message):
                    self._transmit(peer, life, message)
                case standing.Enter(view=view):
                    self._enter(view)
                case standing.Leave(reason=reason):
                    self._leave(reason)
        if self.standing.view is not None and self.standing.is_open and self._open_epoch != self.standing.epoch:
            self._open_epoch = self.standing.epoch
            self._actions.append(Entered(self.standing.view, True))
        self._release()
        self._set_deadline()

    def _enter(self, view: View) -> None:
        """Drop replicas that may be overwritten in the view, and the lines to members that are not in it."""
        if self._store is None:
            self._store = Store(self.number, self._functions, self.front)
        if not self.standing.is_open:
            self._actions.append(Entered(view, False))
        self._store.drop_replicas(view)
        self._entering = view
        for peer in [peer for peer in self.lines if peer not in self.standing.lives]:
            line = self.lines[peer]
            self._perform(peer, line, line.link.lose())
            del self.lines[peer]
            self._owing_since.pop(peer, None)

    def _leave(self, reason: str) -> None:
        """Let every operation end as lost."""
        if self._store is not None:
            self._do(self._store.leave())
        self.front.clear()
        self.lines.clear()
        self._tags.clear()
        while self._held:
            self._actions.append(Finish(self._held.popleft()[0], Lost(())))
        self._actions.append(Excluded(reason))

    def _suspects(self, now: float) -> tuple[int, ...]:
        """Return the peers that owe us an answer, and have shown for too long no sign that they hear us."""
        for peer, line in self.lines.items():
            if line.link.n_waiting:
                self._owing_since.setdefault(peer, now)
            else:
                self._owing_since.pop(peer, None)
        limit, reached = now - self.settings.detect_s, self.standing.reached
        return tuple(sorted(p for p, since in self._owing_since.items() if max(since, reached(p)) <= limit))

    # --- inside: work -----------------------------------------------------------------------------------------------

    def _may_work(self) -> bool:
        return self._now < self.standing.lease_until

    def _operate(self, now: float, op: Hashable, operation: Operation, *arguments: Any) -> list[Action]:
        self._now = now
        if now < self.standing.lease_until and not self._held:
            self._do(operation(self._store, op, *arguments))
        elif self.standing.is_out:
            self._actions.append(Finish(op, Lost(())))
        else:
            self._held.append((op, operation, arguments))
        return self._take()

    def _release(self) -> None:
        """Go on, if work may: first with what the newest view means for what was under way."""
        if self._entering is not None and self._may_work():
            view, self._entering = self._entering, None
            self._do(self.store.enter(view))
        while self._held and self._may_work():
            op, operation, arguments = self._held.popleft()
            self._do(operation(self.store, op, *arguments))

    def _perform(self, peer: int, line: Line, effects: Iterable[Any]) -> None:
        """Do what a line says, in order: an answer is used before the peer is told that it was."""
        store = self._store
        assert store is not None  # there is a line
        life = self.standing.lives.get(peer)
        for effect in effects:  # compared by type: this is the hot path, and `match` would ask for fields one by one
            kind = type(effect)
            if kind is Send:
                message = effect.message
                if type(message) is not AckAck and is_large(message):
                    self._perform_bulk(peer, line, line.cut(message, self._now))
                elif life is not None:
                    self._transmit(peer, life, message, 0, effect.again)
            elif kind is Execute:
                self._serve(peer, effect.number, effect.body)
            elif kind is Deliver:
                self._do(store.answered(self._tags.pop((peer, effect.number)), self._reply(effect.body)))
            elif kind is Settle:
                self._do(store.settled(peer, effect.number))
            elif kind is Fail:
                self._do(store.failed(self._tags.pop((peer, effect.number))))
            elif kind is bulk.Connect:
                self._actions.append(Connect(peer, effect.stream))
            elif life is not None:
                self._transmit(peer, life, effect.message, effect.stream)
        if line.link.wake < self.deadline:
            self.deadline = line.link.wake

    def _perform_bulk(self, peer: int, line: Line, effects: Iterable[Any]) -> None:
        """Do what a line says that may have to do with large messages."""
        self._perform(peer, line, effects)
        if line.bulk.deadline < self.deadline:
            self.deadline = line.bulk.deadline

    def _streamed(self, peer: int, now: float, told: Callable[[Line], list[LineEffect]]) -> list[Action]:
        self._now = now
        line = self.lines.get(peer)
        if line is not None:
            self._perform_bulk(peer, line, told(line))
        return self._take()

    def _serve(self, peer: int, number: int, body: Any) -> None:
        try:
            request = bodies.decode_request(body) if self._encode else body
        except DataError as error:  # of another version: its sender learns of it
            self.counters["request that cannot be read"] += 1
            self._do([Answer(peer, number, Failed("refused", str(error)))])
            return
        assert self._store is not None
        self._do(self._store.serve(peer, number, request))

    def _do(self, effects: list[StoreEffect]) -> None:
        """Do what the store says, in order."""
        for effect in effects:
            kind = type(effect)  # asked once, for speed; the type checker does not follow
            if kind is Ask:
                self._ask(effect)  # type: ignore[arg-type]
            elif kind is Answer:
                self._answer(effect)  # type: ignore[arg-type]
            elif kind is Ordered or kind is Adopted:  # stamped before anything is sent that follows from it
                self._actions.append(msgspec.structs.replace(effect, stamp=self._hlc.tick()))  # type: ignore[arg-type]
            else:
                self._actions.append(effect)  # type: ignore[arg-type]

    def _ask(self, ask: Ask) -> None:
        peer, request = ask.peer, ask.request
        line = self.lines.get(peer) or self._line(peer)
        body: Any = bodies.encode(request) if self._encode else request
        n_bytes = len(body) if self._encode else 0
        number, told = line.link.call(body, self._now, n_bytes, type(request) in URGENT)
        self._tags[peer, number] = ask.tag
        self._perform(peer, line, told)

    def _answer(self, answer: Answer) -> None:
        peer = answer.peer
        line = self.lines.get(peer)
        if line is None:  # it is gone meanwhile
            return
        body: Any = bodies.encode(answer.reply) if self._encode else answer.reply
        n_bytes = len(body) if self._encode else 0
        self._perform(peer, line, line.link.finish(answer.number, body, self._now, n_bytes))

    def _reply(self, body: Any) -> Reply:
        if not self._encode:
            reply: Reply = body
            return reply
        try:
            return bodies.decode_reply(body)
        except DataError as error:  # of another version
            self.counters["reply that cannot be read"] += 1
            return Failed("refused", str(error))

    def _line(self, peer: int) -> Line:
        line = self.lines[peer] = Line()
        return line

    def _transmit(self, peer: int, life: int, message: Message, stream: int = 0, again: bool = False) -> None:
        here = self.standing
        me = here.me
        packet = Packet(here.cluster, me.number, me.life, peer, life, here.epoch, self._hlc.tick(), message)
        self._actions.append(Transmit(peer, packet, stream, again))

    def _set_deadline(self) -> None:
        self.deadline = min((line.deadline for line in self.lines.values()), default=math.inf)
        self.deadline = min(self.deadline, self.standing.deadline)

    def _take(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
