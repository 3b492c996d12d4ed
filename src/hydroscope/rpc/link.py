"""All calls between us and one peer, both ways: the interpreter of `rpc.states`, and owner of the call tables.

Nothing here waits, sends or looks at a clock. A method takes what happened and `now` (seconds
of any clock that does not go back) and returns what is to be done, in order. Bodies are never
looked into: what is sent again is the very object that was sent first.

A link is for one life of its peer. When the peer is lost, so is the link; the peer's next life
gets a new one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar

import msgspec

from hydroscope.ground.errors import InternalError
from hydroscope.rpc import invariants
from hydroscope.rpc.effects import Deliver, Effect, Execute, Fail, Send, Settle
from hydroscope.rpc.rtt import RoundTrip, Timing
from hydroscope.rpc.states import (
    CLIENT,
    COUNTERS,
    SERVER,
    Action,
    ClientEvent,
    ClientState,
    ServerEvent,
    ServerState,
    Step,
)
from hydroscope.wire.messages import Ack, AckAck, Call, Message, Nack, Probe

__all__ = ["LARGE_BYTES", "Link", "Timing", "Window"]

LARGE_BYTES = 1_200
"""A body of more than this travels over a stream: with its header it would not fit one Ethernet frame."""

BODY_EVERY = 8
"""Each so manieth time a large body itself is sent again: whoever refused it for want of room has not kept it."""

MANY_TIMERS = 4_096
"""Timers, stale ones included, of which it is worth sweeping those out that lie deep."""

STORY_STEPS = 256
"""Steps of the past that a broken invariant can tell."""


class Window(msgspec.Struct, frozen=True):
    """How much may be under way to one peer."""

    calls: int = 256
    """Unanswered calls of ours."""
    bytes: int = 256 * 2**20
    """Of their bodies (one larger body may pass alone), and of results that wait for their ACKACK: beyond these no call
    of the peer is begun, small ones neither, so there has to be room for several large values that are on their way."""
    table: int = 65_536
    """Calls of the peer from the first that is open to the last."""


class Own(msgspec.Struct):
    """A call of ours; owned by its link."""

    number: int
    body: Any
    size_bytes: int
    state: int = 0
    n_sent: int = 0
    sent_at: float = 0.0
    due: float = math.inf
    is_urgent: bool = False


class Theirs(msgspec.Struct):
    """A call of the peer's while it runs or its result waits; owned by its link."""

    state: int
    body: Any = None
    size_bytes: int = 0
    n_sent: int = 0
    sent_at: float = 0.0
    due: float = math.inf


SIDES: tuple[tuple[str, Mapping[Any, Step]], ...] = (("client", CLIENT), ("server", SERVER))

Act = Callable[["Link", int, Any, Any, float, list[Effect]], None]
Row = tuple[tuple[int, tuple[Act, ...], int], ...]
Plan = tuple[Row, ...]
"""A table made ready: plan[state][event] is the next state, what to run, and the number of the entry."""

ENTRIES = [f"{side}: {on.name} at {at.name}" for side, table in SIDES for at, on in table]
"""Names of all entries; an entry's number is its place here."""


def entry_of(at: IntEnum, on: IntEnum) -> int:
    """Return the number of an entry of either table (whose states and events, as integers, would look the same)."""
    if isinstance(at, ClientState):
        return at * len(ClientEvent) + on
    return len(CLIENT) + at * len(ServerEvent) + on


COUNTED = {name: tuple(entry_of(*cell) for cell in cells) for name, cells in COUNTERS.items()}

# Plain numbers: to look up a member of an enum takes as long as the rest of a step.
_CLIENT_CALL, _CLIENT_CALL_FULL, _CLIENT_ROOM, _CLIENT_NACK, _CLIENT_ACK, _CLIENT_TIMEOUT, _CLIENT_LOSE = map(
    int, ClientEvent
)
_UNSENT, _QUEUED, _SENT, _NACKED, _CLIENT_DONE = map(int, ClientState)
_SERVER_CALL, _SERVER_PROBE, _SERVER_FINISH, _SERVER_ACKACK, _SERVER_TIMEOUT = map(int, ServerEvent)
_ABSENT, _BEYOND, _RUNNING, _SERVER_DONE, _SETTLED, _FORGOTTEN = map(int, ServerState)


class Link:
    """The calls between us and one life of one peer."""

    client: ClassVar[Plan]
    server: ClassVar[Plan]

    __slots__ = (
        "_checked_removed",
        "_in_flight",
        "_in_flight_bytes",
        "_kept_bytes",
        "_lost",
        "_own",
        "_queue",
        "_settled",
        "_story",
        "_theirs",
        "_timers",
        "_visits",
        "highest",
        "last_number",
        "removed",
        "round_trip",
        "wake",
        "window",
    )

    def __init__(self, timing: Timing = Timing(), window: Window = Window()) -> None:  # noqa: B008 - frozen
        self.window = window
        self.round_trip = RoundTrip(timing)
        self.last_number = 0
        """Of our calls."""
        self.highest = 0
        """Of the peer's calls that were seen."""
        self.removed = 0
        """Watermark: all calls of the peer up to this one are settled."""
        self.wake = math.inf
        """No later than `deadline`, and without looking: what of the timers is stale is not known here."""
        self._own: dict[int, Own] = {}
        self._queue: deque[Own] = deque()
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._theirs: dict[int, Theirs] = {}
        self._settled: set[int] = set()
        self._kept_bytes = 0
        self._timers: list[tuple[float, int]] = []  # when, 2 * number + side; stale ones are passed over
        self._visits = [0] * len(ENTRIES)
        self._story: deque[tuple[int, int]] = deque(maxlen=STORY_STEPS)
        self._checked_removed = 0
        self._lost = False

    # --- what our owner says ----------------------------------------------------------------------------------------

    def call(self, body: Any, now: float, size_bytes: int = 0, is_urgent: bool = False) -> tuple[int, list[Effect]]:
        """Ask the peer to do `body`; the number names the call in a later `Deliver` or `Fail`.

        An urgent call does not count in the window. It is one that the peer answers without waiting for anybody, and
        that others wait for: behind calls that wait it could close a circle of peers whose windows are full.
        """
        self.last_number = number = self.last_number + 1
        effects: list[Effect] = []
        if self._lost:
            effects.append(Fail(number))
            return number, effects
        self._own[number] = task = Own(number, body, size_bytes, is_urgent=is_urgent)
        has_room = is_urgent or (not self._queue and self._has_room(size_bytes))
        self._client_step(_CLIENT_CALL if has_room else _CLIENT_CALL_FULL, number, task, None, now, effects)
        return number, effects

    def finish(self, number: int, body: Any, now: float, size_bytes: int = 0) -> list[Effect]:
        """Answer a call of the peer's that `Execute` handed out."""
        effects: list[Effect] = []
        if not self._lost:
            record = self._theirs.get(number)
            if record is not None:
                record.size_bytes = size_bytes
            self._server_step(_SERVER_FINISH, number, body, now, effects)
        return effects

    def receive(self, message: Message, now: float) -> list[Effect]:
        """Take a message of the RPC from the peer."""
        effects: list[Effect] = []
        if self._lost:
            return effects
        kind = type(message)  # asked once, for speed; the type checker does not follow
        if kind is Call:
            self._server_step(_SERVER_CALL, message.number, message.body, now, effects)  # type: ignore[union-attr]
        elif kind is Ack:
            number = message.number  # type: ignore[union-attr]
            self._client_step(_CLIENT_ACK, number, self._own.get(number), message.body, now, effects)  # type: ignore[union-attr]
        elif kind is AckAck:
            self._server_step(_SERVER_ACKACK, message.number, None, now, effects)  # type: ignore[union-attr]
        elif kind is Nack:
            number = message.number  # type: ignore[union-attr]
            self._client_step(_CLIENT_NACK, number, self._own.get(number), None, now, effects)
        elif kind is Probe:
            self._server_step(_SERVER_PROBE, message.number, None, now, effects)  # type: ignore[union-attr]
        else:
            raise InternalError(f"a link was handed {kind.__name__}, which is not of the RPC; hand it to its own room")
        return effects

    def expire(self, now: float) -> list[Effect]:
        """Repeat what was not heard of in time."""
        effects: list[Effect] = []
        timers = self._timers
        while timers and timers[0][0] <= now:
            due, key = heappop(timers)
            number = key >> 1
            if key & 1:
                record = self._theirs.get(number)
                if record is not None and record.due == due:
                    self.round_trip.widen(now)
                    self._server_step(_SERVER_TIMEOUT, number, None, now, effects)
            else:
                task = self._own.get(number)
                if task is not None and task.due == due:
                    if task.state == _SENT:
                        self.round_trip.widen(now)
                    self._client_step(_CLIENT_TIMEOUT, number, task, None, now, effects)
        return effects

    def lose(self) -> list[Effect]:
        """Give up: each unanswered call of ours fails, and nothing is remembered or heard any more."""
        effects: list[Effect] = []
        for number, task in sorted(self._own.items()):
            self._client_step(_CLIENT_LOSE, number, task, None, 0.0, effects)
        self._lost = True
        self._own.clear()
        self._queue.clear()
        self._theirs.clear()
        self._settled.clear()
        self._timers.clear()
        self.wake = math.inf
        self._in_flight = self._in_flight_bytes = self._kept_bytes = 0
        return effects

    # --- what can be seen -------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """Return when `expire` is next wanted; infinity for never."""
        timers = self._timers
        if len(timers) > MANY_TIMERS and len(timers) > 4 * (len(self._own) + len(self._theirs)):
            timers[:] = [timer for timer in timers if self._is_wanted(timer)]
            heapify(timers)
        while timers:
            due, key = timers[0]
            task: Own | Theirs | None = self._theirs.get(key >> 1) if key & 1 else self._own.get(key >> 1)
            if task is not None and task.due == due:
                self.wake = due
                return due
            heappop(timers)
        self.wake = math.inf
        return math.inf

    @property
    def n_waiting(self) -> int:
        """Return how many calls of ours have no answer yet, queued ones included."""
        return len(self._own)

    @property
    def in_flight_bytes(self) -> int:
        """Return how large the calls and answers are that the peer has not confirmed."""
        return self._in_flight_bytes + self._kept_bytes

    @property
    def is_full(self) -> bool:
        """Return whether a further call would have to wait for room in the window."""
        return bool(self._queue) or not self._has_room(0)

    @property
    def is_at_rest(self) -> bool:
        """Return whether nothing is open in either direction."""
        return not (self._own or self._theirs or self._settled)

    @property
    def counters(self) -> dict[str, int]:
        """Return how often what happened, by the names of `states.COUNTERS`."""
        visits = self._visits
        return {name: sum([visits[entry] for entry in entries]) for name, entries in COUNTED.items()}

    def check(self, at_rest: bool = False) -> None:
        """Raise `InternalError` with the call's story where an invariant of the RPC does not hold."""
        invariants.check(self, at_rest)

    def story(self, number: int) -> str:
        """Return the remembered steps of the calls with this number, in order."""
        lines = [ENTRIES[entry] for entry, each in self._story if each == number]
        return f"call {number}: " + ("; ".join(lines) if lines else "no step of it is remembered")

    # --- the interpreter --------------------------------------------------------------------------------------------

    def _client_step(
        self, event: int, number: int, task: Own | None, body: Any, now: float, effects: list[Effect]
    ) -> None:
        if task is not None:
            state = task.state
        else:
            state = _CLIENT_DONE if 0 < number <= self.last_number else _UNSENT
        after, acts, entry = self.client[state][event]
        self._visits[entry] += 1
        self._story.append((entry, number))
        if task is not None:
            task.state = after
        for act in acts:
            act(self, number, task, body, now, effects)

    def _server_step(self, event: int, number: int, body: Any, now: float, effects: list[Effect]) -> None:
        record = self._theirs.get(number)
        if record is not None:
            state = record.state
        elif number <= self.removed:
            state = _FORGOTTEN
        elif number in self._settled:
            state = _SETTLED
        elif number > self.removed + self.window.table or self._kept_bytes > self.window.bytes:
            state = _BEYOND
        else:
            state = _ABSENT
        after, acts, entry = self.server[state][event]
        self._visits[entry] += 1
        self._story.append((entry, number))
        if record is not None:
            record.state = after
        for act in acts:
            act(self, number, record, body, now, effects)

    def _is_wanted(self, timer: tuple[float, int]) -> bool:
        due, key = timer
        task: Own | Theirs | None = self._theirs.get(key >> 1) if key & 1 else self._own.get(key >> 1)
        return task is not None and task.due == due

    def _has_room(self, size_bytes: int) -> bool:
        return self._in_flight == 0 or (
            self._in_flight < self.window.calls and self._in_flight_bytes + size_bytes <= self.window.bytes
        )

    # --- actions: (number, task or record, body, now, effects) --------------------------------------------------------

    def _enqueue(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        self._queue.append(task)

    def _send_call(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        if not task.is_urgent:
            self._in_flight += 1
            self._in_flight_bytes += task.size_bytes
        task.n_sent = 1
        task.sent_at = now
        effects.append(Send(Call(number, task.body)))

    def _resend_call(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        task.n_sent += 1
        is_asked_after = task.size_bytes > LARGE_BYTES and task.n_sent % BODY_EVERY
        effects.append(Send(Probe(number)) if is_asked_after else Send(Call(number, task.body), True))

    def _arm_call(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        task.due = due = now + self.round_trip.wait(task.n_sent)
        heappush(self._timers, (due, number << 1))
        if due < self.wake:
            self.wake = due

    def _send_probe(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        effects.append(Send(Probe(number)))

    def _arm_probe(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        task.n_sent += 1  # what comes now tells how long the work took, not the way
        task.due = due = now + self.round_trip.probe_s
        heappush(self._timers, (due, number << 1))
        if due < self.wake:
            self.wake = due

    def _deliver(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        if task.n_sent == 1 and task.size_bytes <= LARGE_BYTES:
            self.round_trip.measure(now - task.sent_at)
        effects.append(Deliver(number, body))

    def _send_ackack(self, number: int, task: Own | None, body: Any, now: float, effects: list[Effect]) -> None:
        effects.append(Send(AckAck(number)))

    def _forget_call(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        del self._own[number]
        if task.is_urgent:
            return
        self._in_flight -= 1
        self._in_flight_bytes -= task.size_bytes
        queue = self._queue
        while queue and self._has_room(queue[0].size_bytes):
            waiting = queue.popleft()
            self._client_step(_CLIENT_ROOM, waiting.number, waiting, None, now, effects)

    def _fail(self, number: int, task: Own, body: Any, now: float, effects: list[Effect]) -> None:
        effects.append(Fail(number))

    def _record(self, number: int, record: None, body: Any, now: float, effects: list[Effect]) -> None:
        self._theirs[number] = Theirs(_RUNNING)
        if number > self.highest:
            self.highest = number

    def _execute(self, number: int, record: None, body: Any, now: float, effects: list[Effect]) -> None:
        effects.append(Execute(number, body))

    def _send_nack(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        effects.append(Send(Nack(number)))

    def _keep_result(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        record.body = body
        self._kept_bytes += record.size_bytes

    def _send_ack(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        record.n_sent = 1
        record.sent_at = now
        effects.append(Send(Ack(number, record.body)))

    def _resend_ack(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        record.n_sent += 1
        is_asked_after = record.size_bytes > LARGE_BYTES and record.n_sent % BODY_EVERY
        effects.append(Send(Nack(number)) if is_asked_after else Send(Ack(number, record.body), True))

    def _arm_ack(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        record.due = due = now + self.round_trip.wait(record.n_sent)
        heappush(self._timers, (due, number << 1 | 1))
        if due < self.wake:
            self.wake = due

    def _settle(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        if record.n_sent == 1 and record.size_bytes <= LARGE_BYTES:
            self.round_trip.measure(now - record.sent_at)
        effects.append(Settle(number))

    def _drop_result(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        self._kept_bytes -= record.size_bytes
        del self._theirs[number]
        self._settled.add(number)

    def _roll(self, number: int, record: Theirs, body: Any, now: float, effects: list[Effect]) -> None:
        settled = self._settled
        removed = self.removed
        while removed + 1 in settled:
            removed += 1
            settled.remove(removed)
        self.removed = removed

    def _leave(self, number: int, task: Any, body: Any, now: float, effects: list[Effect]) -> None:
        """Do nothing: the visit has been counted."""

    def _raise(self, number: int, task: Any, body: Any, now: float, effects: list[Effect]) -> None:
        raise InternalError(f"the last step of this call cannot happen. {self.story(number)}")

    @classmethod
    def plan(cls, table: Mapping[Any, Step]) -> Plan:
        """Return a table of `rpc.states` made ready for `client` or `server`; each cell must be there."""
        acts: dict[Action, Act] = {action: getattr(cls, f"_{action.name.lower()}") for action in Action}
        first_state, first_event = next(iter(table))
        states: type[IntEnum] = type(first_state)
        events: type[IntEnum] = type(first_event)
        rows = []
        for at in states:
            steps = [(on, table[at, on]) for on in events]
            rows.append(
                tuple(
                    (int(step.state), tuple(acts[action] for action in step.actions), entry_of(at, on))
                    for on, step in steps
                )
            )
        return tuple(rows)


Link.client = Link.plan(CLIENT)
Link.server = Link.plan(SERVER)
