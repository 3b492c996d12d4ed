"""A member of a cluster of real processes: a `node.Member`, its sockets, and the thread that waits for them.

The tables of the member have one owner at a time: whoever holds `_lock`. Mostly that is the
loop, a daemon thread that sleeps in a selector until a datagram, a stream or a timer needs
it. But waking a sleeping thread costs more than all of the protocol (50 us each on a virtual
machine, measured; a call through two threads wakes three), so a caller that waits for an
answer *reads the datagrams itself* meanwhile: it takes the socket away from the loop's
selector, looks for its answer, first without sleeping, then in a poll, and gives the socket
back. Only one caller at a time reads; others sleep until whoever reads has their answer.

What a caller may read without all this is `front`, a plain dictionary of everything this
member holds a replica of; it is to be trusted while the lease lasts (`trusted_until`).
"""

from __future__ import annotations

import contextlib
import math
import select
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from hydroscope.engine.bell import Bell
from hydroscope.engine.forks import abandon_after_fork
from hydroscope.engine.sockets.address import Routes
from hydroscope.engine.sockets.datagrams import Datagrams, Tap
from hydroscope.engine.sockets.outbox import Outbox
from hydroscope.engine.sockets.shield import Shield
from hydroscope.engine.sockets.streams import Listener, Outbound, Streams
from hydroscope.engine.sockets.waiting import Observer, Outcome, Waiter
from hydroscope.engine.sockets.witness import Witness
from hydroscope.ground.clocks.port import Clock
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import InternalError
from hydroscope.kv import effects as kv
from hydroscope.node.actions import Action, Connect, Entered, Excluded, Transmit
from hydroscope.node.member import Member
from hydroscope.node.ports import NodeLost
from hydroscope.wire.frame import Framing
from hydroscope.wire.messages import Hello, MemberInfo, Packet, Piece, PieceAck

__all__ = ["AUTHORITY", "SocketMember"]

SPIN_S = 250e-6
"""Seconds that a reader looks again before it sleeps: twice what an answer takes, a few times what a wake-up costs."""

SLEEPY_CALLS = 15
"""Calls that do not spin after one that did in vain: on a machine with more to do than cores answers take longer."""

SLICE_S = 0.05
"""Seconds; a sleeping caller looks this often whether Ctrl-C was pressed."""

TURNS = 16
"""So often datagrams are taken before streams and timers have their turn."""

DATAGRAMS_A_TURN = 8
"""So many datagrams of several messages are taken before what they led to is sent."""

AUTHORITY = 0
"""The number of the authority; it begins with the cluster."""

NOTED = frozenset((Hello, Piece, PieceAck))
"""Messages that the owner of a member has to know of, too."""

SLEEP_MAX_S = 3600.0
CLOSE_WAIT_S = 5.0


class SocketMember:
    """A member with sockets and a thread: `run` it, `call` it from any thread, `close` it at the end."""

    def __init__(
        self,
        member_of: Callable[[MemberInfo], Member],
        info: MemberInfo,
        framing: Framing,
        datagrams: Datagrams,
        clock: Clock,
        observer: Observer,
        authority: tuple[str, int] | None = None,
        tcp_port: int = 0,
        witness: Witness | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._seconds = time.monotonic if type(clock) is SystemClock else clock.seconds  # each call saves one
        self.now: Callable[[], float] = self._seconds
        self._lag = self._halted_at = 0.0
        self.trusted_until = -math.inf
        self._framing = framing
        self._datagrams = datagrams
        self._observer = observer
        self._authority = authority
        self._lock = threading.Lock()
        self._reader = threading.Lock()
        self._waiters: set[Waiter] = set()
        self._routes = Routes()
        self._witness = witness
        told = None if witness is None else witness.said
        self._outbox = Outbox(framing, self._dispatch, self.counters, told)
        self._n_pieces = 0  # and acknowledgements of some: large messages move
        self._broken: BaseException | None = None
        self._closing = False
        self._sleeps_until = -math.inf
        self._sleepy = 0  # so many calls to come will not spin
        self._idle_since = -math.inf  # the loop: since the last datagram
        self._selector = selectors.DefaultSelector()
        self._streams = Streams(framing, self._selector, self._on_stream, self.counters, told)
        self._listener = Listener(info.host, tcp_port, self._selector, framing, self._take, self.counters)
        self._member = member_of(msgspec.structs.replace(info, tcp_port=info.tcp_port or self._listener.port))
        self.front = self._member.front
        self._poll = select.poll()
        self._bell = Bell()
        self._nudge = Bell()  # wakes a reader whose answer came by another way
        self._poll.register(datagrams.fileno(), select.POLLIN)
        self._poll.register(self._nudge.fileno(), select.POLLIN)
        self._reading: Waiter | None = None
        self._selector.register(self._bell, selectors.EVENT_READ, self._on_bell)
        self._tap = Tap(self._selector, datagrams.fileno(), self._on_datagrams)
        self._thread = threading.Thread(target=self._run, name="hydroscope-member", daemon=True)

    # --- for any thread ---------------------------------------------------------------------------------------------

    @property
    def member(self) -> Member:
        """The member, to look at; only `call` and `tell` change it."""
        return self._member

    @property
    def framing(self) -> Framing:
        """What made of bytes packets, and counted those that were none."""
        return self._framing

    def check(self) -> None:
        """Check the invariants of the protocol; raises InternalError."""
        with Shield(), self._lock:
            self._member.check()

    @property
    def tcp_port(self) -> int:
        """Where streams are accepted."""
        return self._listener.port

    def run(self, begin: Callable[[float], list[Action]]) -> None:
        """Start the thread, with the actions of `begin(now)`."""
        abandon_after_fork(self)
        self._thread.start()
        self.tell(begin)

    def tell(self, decide: Callable[[float], list[Action]], may_rest: bool = False) -> None:
        """Perform the actions of `decide(now)` and come back at once; packets may rest a while to go with others."""
        with Shield(), self._lock:
            self._act(decide, may_rest and not self._waiters)
            self._ring_if_due()

    def call(self, waiter: Waiter, decide: Callable[[float], list[Action]], timeout_s: float) -> bool:
        """Perform the actions of `decide(now)` and wait until `waiter` has an outcome; False when time ran out.

        Time does not run out while large messages move, which may take as long as they need.
        """
        until, seen = self.now() + timeout_s, self._n_pieces
        self._waiters.add(waiter)
        try:
            with Shield() as shield:
                with self._lock:
                    self._act(decide)
                self._await(waiter, until, shield)
            while waiter.outcome is None:
                if self.now() >= until:
                    if self._n_pieces == seen:
                        break
                    until, seen = self.now() + timeout_s, self._n_pieces
                with Shield() as shield:  # again, too, when Ctrl-C was pressed and its handler only took note
                    self._await(waiter, until, shield)
        finally:
            self._waiters.discard(waiter)
        return waiter.outcome is not None

    def abandon(self) -> None:
        """In a forked child: refuse from now on; the sockets are the parent's."""
        self._lock = threading.Lock()
        self._broken = InternalError("this process was forked from a member of a cluster; connect() anew in it")
        self.trusted_until = -math.inf

    def halt(self, wait_s: float) -> bool:
        """Let nothing happen from here on, not even time, until `go_on`; False when the tables are not to be had."""
        if not self._lock.acquire(timeout=wait_s):
            return False
        self._halted_at, self.trusted_until = self.now(), -math.inf
        return True

    def go_on(self) -> None:
        """Go on after `halt`, as if no time had passed; only the lease has to be had anew."""
        seconds, lag = self._seconds, self._seconds() - self._halted_at
        self._lag, self.now = lag, lambda: seconds() - lag
        try:
            with contextlib.suppress(Exception):  # it is told to everybody who comes
                self._act(self._member.wake)
        finally:
            self._lock.release()
        self._bell.ring()

    def catch_up(self, stamp: int, wait_s: float) -> str | None:
        """Let what is stamped up to here be done, and all else be stamped later; return why that cannot be, or None."""
        if not self._lock.acquire(timeout=wait_s):  # within a turn, what is stamped may not be written yet
            return f"its member held on to its tables for {wait_s:g} s: it hangs, or stands still"
        try:
            return None if self._member.merge(stamp) else f"stamp {stamp} is too far ahead of the clock here"
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the thread and let go of the sockets; callers that wait come back."""
        self._closing = True
        self._bell.ring()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(CLOSE_WAIT_S)

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _await(self, waiter: Waiter, until: float, shield: Shield) -> None:
        """Wait for the outcome: as the reader of datagrams, or asleep while another caller is."""
        while waiter.outcome is None and not shield.struck:
            if self._reader.acquire(blocking=False):
                try:
                    self._read_until(waiter, until, shield)
                finally:
                    self._reader.release()
            else:
                self._ring_if_due()
                waiter.gate.acquire(timeout=max(0.0, min(SLICE_S, until - self.now())))
            if self.now() >= until:
                break
        self._ring_if_due()

    def _read_until(self, waiter: Waiter, until: float, shield: Shield) -> None:
        """Read datagrams in the loop's place until the outcome is there."""
        datagrams, now = self._datagrams, self.now
        self._reading = waiter
        self._tap.shut()
        try:
            began = arrived = now()
            spin_until = began if self._sleepy else began + SPIN_S
            while waiter.outcome is None and self.now is now:  # else all stood still meanwhile: begin anew
                data = datagrams.receive()
                if data is not None:
                    arrived = now()
                    self._take_datagram(data)
                elif (moment := now()) >= spin_until:
                    if moment >= until or shield.struck:
                        return
                    if moment >= self._member.deadline:
                        with self._lock:
                            self._act(self._member.expire)
                    wake = min(until, self._member.deadline, moment + SLICE_S)  # nothing rests while a caller waits
                    if self._poll.poll(max(0.0, (wake - now()) * 1e3)):
                        self._nudge.hush()
            quick = arrived < began + SPIN_S
            self._sleepy = 0 if quick else SLEEPY_CALLS if not self._sleepy else self._sleepy - 1
        finally:
            self._tap.open()
            self._reading = None

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Sleep until a datagram, a stream or a timer needs it, until closed."""
        try:
            while not self._closing and self._broken is None:
                with self._lock:
                    if self.now() >= self._deadline:
                        self._act(self._expire)
                    self._sleeps_until = min(self._deadline, self.now() + SLEEP_MAX_S)
                for key, mask in self._selector.select(max(0.0, self._sleeps_until - self.now())):
                    key.data(mask)
                self._sleeps_until = -math.inf
        except BaseException as error:  # nobody above could be told: those who call are
            self._break(error)
        finally:
            self._let_go()

    def _on_datagrams(self, mask: int) -> None:
        """Read what there is, and look once more before sleeping: an answer mostly follows a question."""
        now, left = self.now, TURNS
        is_worth_it = now() < self._idle_since + SPIN_S
        while left and self.now is now:
            data = self._datagrams.receive()
            if data is not None:
                left -= 1
                self._take_datagram(data)
                self._idle_since = self.now()
            elif not is_worth_it or self._reader.locked() or now() >= self._idle_since + SPIN_S:
                return

    def _on_bell(self, mask: int) -> None:
        self._bell.hush()

    def _ring_if_due(self) -> None:
        """Wake the loop when it would sleep for too long."""
        if self._member.deadline < self._sleeps_until or self._outbox.deadline < self._sleeps_until:
            self._sleeps_until = -math.inf
            self._bell.ring()

    def _let_go(self) -> None:
        """End all operations, then close all sockets."""
        self.trusted_until = -math.inf
        with self._lock:
            if self._broken is None:
                self._act(self._member.leave)
                self._broken = NodeLost("this member of the cluster was closed")
            self._end_all(self._broken)
        self._reader.acquire(timeout=CLOSE_WAIT_S)  # a caller may read until now; there will be no other
        with self._lock:
            self._listener.close()
            self._streams.keep(())
            self._selector.close()
            self._tap.close()
            self._datagrams.close()
            self._bell.close()
            self._nudge.close()

    # --- deciding and acting, by whoever holds the lock -------------------------------------------------------------

    def _take_datagram(self, data: bytes) -> None:
        with self._lock:
            self._act(lambda now: self._arrivals(data, now))

    def _take(self, packet: Packet) -> None:
        """Take a packet that came over a stream."""
        with self._lock:
            self._act(lambda now: self._received([packet], now))

    def _arrivals(self, data: bytes | None, now: float) -> Iterator[Action]:
        """Return what follows from a datagram, and from those that came with it if it is part of a rush."""
        left = DATAGRAMS_A_TURN
        while data is not None:
            packets = self._framing.unpack(data)
            if not isinstance(packets, list):  # a refusal, counted by the framing
                if self._witness is not None:
                    self._witness.refused(packets.reason)
                return
            self.counters["datagrams received"] += 1
            self.counters["messages received"] += len(packets)
            yield from self._received(packets, now)
            left -= 1
            if not left or len(packets) == 1:  # one alone is answered at once
                return
            data = self._datagrams.receive()

    def _received(self, packets: list[Packet], now: float) -> list[Action]:
        """Hand packets to the member; what follows from them is done, and recorded, after they are recorded."""
        for packet in packets:
            if type(packet.message) in NOTED:
                self._note(packet)
        actions = self._member.receive(packets, now)
        if self._witness is not None:
            self._witness.heard(packets, self._member.refusals)
        return actions

    def _note(self, packet: Packet) -> None:
        """Note what this owner has to know of a packet."""
        message = packet.message
        if isinstance(message, Hello):
            self._routes.remember(message.info)
        else:
            self._n_pieces += 1

    @property
    def _deadline(self) -> float:
        return min(self._member.deadline, self._outbox.deadline)

    def _expire(self, now: float) -> list[Action]:
        """Return what is due; what rests goes after any turn."""
        if self._witness is not None and now >= self._witness.due:
            self._witness.sample(now, self._in_flight_bytes())
        return self._member.expire(now) if now >= self._member.deadline else []

    def _act(self, decide: Callable[[float], Iterable[Action]], may_rest: bool = False) -> None:
        """Perform what is decided, in order: one turn. After an error the tables cannot be trusted: all stops."""
        if self._broken is not None:
            raise type(self._broken)(str(self._broken)) from self._broken.__cause__
        try:
            now = self.now()
            for action in decide(now):
                self._perform(action)
            while self._streams.news:  # told only now: what is performed is performed in order
                peer, stream, is_open = self._streams.news.popleft()
                tell = self._member.connected if is_open else self._member.broken
                for action in tell(peer, stream, self.now()):
                    self._perform(action)
            until = self._member.lease_until
            self.trusted_until = until + self._lag if self._lag else until  # by the clock that never stood still
            if may_rest:
                self._outbox.rest(now, self._is_awaited)
            else:
                self._outbox.flush()
        except BaseException as error:
            self._break(error)
            raise

    def _perform(self, action: Action) -> None:
        if type(action) is Transmit:  # most are the first or the second; patterns cost more than all of these
            if action.stream:
                self._streams.send(action.packet, action.stream)
            else:
                self._outbox.add(action.peer, action.packet, action.again)
        elif type(action) is kv.Finish:
            if type(action.op) is Waiter:
                self._end(action.op, action.outcome)
            elif action.op is not None:
                self._observer.finished(action.op, action.outcome)
        elif type(action) is kv.Ordered:
            self.counters["writes ordered"] += 1
            if self._witness is not None:
                self._witness.ordered(action, self._member.standing.lives.get)
            self._observer.ordered(action)
        elif type(action) is kv.Adopted:
            self._observer.ordered(action)
        elif isinstance(action, kv.Changed):
            self._observer.changed(action.keys)
        elif isinstance(action, Connect):
            life = self._member.standing.lives.get(action.peer, 0)
            route = self._routes.of.get(life)
            self._streams.open(action.peer, life, action.stream, route and (route[0], route[2]))
        elif isinstance(action, Entered):
            self._routes.enter(action.view)
            self._streams.keep(self._routes.of)
            if self._witness is not None:
                self._witness.entered(action.view)
            self._observer.entered(action.view, action.is_open)
        elif isinstance(action, Excluded):
            self._observer.excluded(action.reason)
        else:
            raise InternalError(f"{type(action).__name__} is not an action that can be performed")

    def _is_awaited(self, peer: int, n: int) -> bool:
        """Tell whether the peer owes us more answers than those to `n` calls."""
        line = self._member.lines.get(peer)
        return line is not None and line.link.n_waiting > n

    def _dispatch(self, peer: int, life: int, frame: bytes) -> None:
        """Send a datagram."""
        route = self._routes.find(life)
        if route is not None:
            self._datagrams.send(frame, route[0], route[1])
        elif peer == AUTHORITY and self._authority is not None:
            self._datagrams.send(frame, *self._authority)
        else:
            self.counters["no way to a peer"] += 1

    def _in_flight_bytes(self) -> int:
        """Return how much was sent and is not acknowledged, or waits to be sent."""
        return sum(line.in_flight_bytes for line in self._member.lines.values()) + self._streams.queued_bytes

    def _on_stream(self, stream: Outbound, mask: int) -> None:
        """React to a stream that can be written again, or is gone (in the loop)."""
        with self._lock:
            stream.react(mask)
            self._act(lambda now: [])

    def _end(self, waiter: Waiter, outcome: Outcome | BaseException) -> None:
        waiter.end(outcome)
        if waiter is self._reading and threading.current_thread() is self._thread:
            self._nudge.ring()

    def _end_all(self, error: BaseException) -> None:
        for waiter in list(self._waiters):
            self._end(waiter, error)

    def _break(self, error: BaseException) -> None:
        """Stop for good: what went wrong is told to everybody who waits, and who comes later."""
        if self._broken is None:
            broken = InternalError(f"this member of the cluster stopped: {type(error).__name__}: {error}")
            broken.__cause__ = error
            self._broken = broken
        self.trusted_until = -math.inf
        self._end_all(self._broken)
        self._observer.excluded(str(self._broken))
        self._bell.ring()
