"""One call, as two tables: what its client does, what its server does.

Theory of operation. A call travels as CALL, its result as ACK, and an ACKACK lets the server
forget the result. Each message may be lost, doubled or overtaken, so each side repeats itself
until it hears the other: the client its CALL, until a NACK ("working on it") or the ACK; the
server its ACK, until the ACKACK. The server executes a number once because it remembers it:
in a record while the call runs or its result waits, in a set once settled, and below one
watermark when all numbers up to there are settled. A client that has used a result says ACKACK
to whatever still speaks of that call, however late.

Large bodies are seldom repeated: they travel over streams, whose own acknowledgement
(`rpc.bulk`) sees them through. Mostly the client repeats a PROBE instead, the server a NACK,
which asks a client that has the result for its ACKACK.

Every pair of state and event has an entry. What only our own error can bring about raises;
what the peer (or somebody in its name) can send, however mistaken, is counted and left.
`rpc.link` interprets the tables; documentation and models are drawn from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, unique
from typing import NamedTuple

__all__ = [
    "CLIENT",
    "CLIENT_MEANINGS",
    "COUNTERS",
    "SERVER",
    "SERVER_MEANINGS",
    "Action",
    "ClientEvent",
    "ClientState",
    "ServerEvent",
    "ServerState",
    "Step",
]


@unique
class ClientState(IntEnum):
    """Of a call that we make; `CLIENT_MEANINGS` says what each is."""

    UNSENT = 0
    QUEUED = 1
    SENT = 2
    NACKED = 3
    DONE = 4


@unique
class ClientEvent(IntEnum):
    """What happens to a call that we make."""

    CALL = 0
    """Our owner wants it, and there is room."""
    CALL_FULL = 1
    """Our owner wants it, and the window is full."""
    ROOM = 2
    """The window has room for it."""
    NACK = 3
    ACK = 4
    TIMEOUT = 5
    LOSE = 6
    """The peer is lost."""


@unique
class ServerState(IntEnum):
    """Of a call that the peer makes; `SERVER_MEANINGS` says what each is."""

    ABSENT = 0
    BEYOND = 1
    RUNNING = 2
    DONE = 3
    SETTLED = 4
    FORGOTTEN = 5


@unique
class ServerEvent(IntEnum):
    """What happens to a call that the peer makes."""

    CALL = 0
    PROBE = 1
    FINISH = 2
    """Our owner has executed it."""
    ACKACK = 3
    TIMEOUT = 4


@unique
class Action(Enum):
    """What a step does, in words that a model checker's macros can bear."""

    ENQUEUE = "wait for room in the window"
    SEND_CALL = "send CALL"
    RESEND_CALL = "send the same CALL again (mostly PROBE for a large one)"
    ARM_CALL = "wait for an answer"
    SEND_PROBE = "send PROBE"
    ARM_PROBE = "wait longer for an answer"
    DELIVER = "use the result"
    SEND_ACKACK = "send ACKACK"
    FORGET_CALL = "forget the call, let the next into the window"
    FAIL = "tell that there will be no answer"

    RECORD = "record the number"
    EXECUTE = "execute"
    SEND_NACK = "send NACK"
    KEEP_RESULT = "keep the result"
    SEND_ACK = "send ACK"
    RESEND_ACK = "send the same ACK again (mostly NACK for a large one)"
    ARM_ACK = "wait for the ACKACK"
    SETTLE = "tell that the result was used"
    DROP_RESULT = "drop the result"
    ROLL = "move the watermark over what is settled"

    LEAVE = "count and leave"
    RAISE = "cannot happen: an error of ours"


class Step(NamedTuple):
    """What follows from one event in one state."""

    state: IntEnum
    actions: tuple[Action, ...] = ()


def _client() -> dict[tuple[ClientState, ClientEvent], Step]:
    state, event = ClientState, ClientEvent
    answered = (Action.DELIVER, Action.SEND_ACKACK, Action.FORGET_CALL)
    table = {
        (state.UNSENT, event.CALL): Step(state.SENT, (Action.SEND_CALL, Action.ARM_CALL)),
        (state.UNSENT, event.CALL_FULL): Step(state.QUEUED, (Action.ENQUEUE,)),
        (state.UNSENT, event.NACK): Step(state.UNSENT, (Action.LEAVE,)),
        (state.UNSENT, event.ACK): Step(state.UNSENT, (Action.LEAVE,)),
        (state.QUEUED, event.ROOM): Step(state.SENT, (Action.SEND_CALL, Action.ARM_CALL)),
        (state.QUEUED, event.NACK): Step(state.QUEUED, (Action.LEAVE,)),
        (state.QUEUED, event.ACK): Step(state.QUEUED, (Action.LEAVE,)),
        (state.QUEUED, event.LOSE): Step(state.DONE, (Action.FAIL,)),
        (state.SENT, event.NACK): Step(state.NACKED, (Action.ARM_PROBE,)),
        (state.SENT, event.ACK): Step(state.DONE, answered),
        (state.SENT, event.TIMEOUT): Step(state.SENT, (Action.RESEND_CALL, Action.ARM_CALL)),
        (state.SENT, event.LOSE): Step(state.DONE, (Action.FAIL,)),
        (state.NACKED, event.NACK): Step(state.NACKED, (Action.LEAVE,)),
        (state.NACKED, event.ACK): Step(state.DONE, answered),
        (state.NACKED, event.TIMEOUT): Step(state.NACKED, (Action.SEND_PROBE, Action.ARM_PROBE)),
        (state.NACKED, event.LOSE): Step(state.DONE, (Action.FAIL,)),
        (state.DONE, event.NACK): Step(state.DONE, (Action.SEND_ACKACK,)),
        (state.DONE, event.ACK): Step(state.DONE, (Action.SEND_ACKACK,)),
    }
    return {(at, on): table.get((at, on), Step(at, (Action.RAISE,))) for at in state for on in event}


def _server() -> dict[tuple[ServerState, ServerEvent], Step]:
    state, event = ServerState, ServerEvent
    table = {
        (state.ABSENT, event.CALL): Step(state.RUNNING, (Action.RECORD, Action.EXECUTE)),
        (state.ABSENT, event.PROBE): Step(state.ABSENT, (Action.LEAVE,)),
        (state.ABSENT, event.ACKACK): Step(state.ABSENT, (Action.LEAVE,)),
        (state.BEYOND, event.CALL): Step(state.BEYOND, (Action.LEAVE,)),
        (state.BEYOND, event.PROBE): Step(state.BEYOND, (Action.LEAVE,)),
        (state.BEYOND, event.ACKACK): Step(state.BEYOND, (Action.LEAVE,)),
        (state.RUNNING, event.CALL): Step(state.RUNNING, (Action.SEND_NACK,)),
        (state.RUNNING, event.PROBE): Step(state.RUNNING, (Action.SEND_NACK,)),
        (state.RUNNING, event.FINISH): Step(state.DONE, (Action.KEEP_RESULT, Action.SEND_ACK, Action.ARM_ACK)),
        (state.RUNNING, event.ACKACK): Step(state.RUNNING, (Action.LEAVE,)),
        (state.DONE, event.CALL): Step(state.DONE, (Action.RESEND_ACK,)),
        (state.DONE, event.PROBE): Step(state.DONE, (Action.RESEND_ACK,)),
        (state.DONE, event.ACKACK): Step(state.SETTLED, (Action.SETTLE, Action.DROP_RESULT, Action.ROLL)),
        (state.DONE, event.TIMEOUT): Step(state.DONE, (Action.RESEND_ACK, Action.ARM_ACK)),
        (state.SETTLED, event.CALL): Step(state.SETTLED, (Action.LEAVE,)),
        (state.SETTLED, event.PROBE): Step(state.SETTLED, (Action.LEAVE,)),
        (state.SETTLED, event.ACKACK): Step(state.SETTLED, (Action.LEAVE,)),
        (state.FORGOTTEN, event.CALL): Step(state.FORGOTTEN, (Action.LEAVE,)),
        (state.FORGOTTEN, event.PROBE): Step(state.FORGOTTEN, (Action.LEAVE,)),
        (state.FORGOTTEN, event.ACKACK): Step(state.FORGOTTEN, (Action.LEAVE,)),
    }
    return {(at, on): table.get((at, on), Step(at, (Action.RAISE,))) for at in state for on in event}


CLIENT: Mapping[tuple[ClientState, ClientEvent], Step] = _client()
"""What a client does."""

SERVER: Mapping[tuple[ServerState, ServerEvent], Step] = _server()
"""What a server does."""

CLIENT_MEANINGS = {
    ClientState.UNSENT: "its number was not given yet",
    ClientState.QUEUED: "the window is full",
    ClientState.SENT: "on the way, repeated by the client",
    ClientState.NACKED: "the server has it and will answer; asked after from time to time, so that it is noticed "
    "when the server is gone",
    ClientState.DONE: "answered, or given up with its peer",
}

SERVER_MEANINGS = {
    ServerState.ABSENT: "never seen",
    ServerState.BEYOND: "never seen, and there is no room for it: too many results wait for their ACKACK",
    ServerState.RUNNING: "being executed",
    ServerState.DONE: "executed; the result is kept, and repeated by the server",
    ServerState.SETTLED: "the client has used the result; an earlier call is still open",
    ServerState.FORGOTTEN: "settled, as all before it: at or below the watermark",
}

COUNTERS: Mapping[str, tuple[tuple[IntEnum, IntEnum], ...]] = {
    "calls": ((ClientState.UNSENT, ClientEvent.CALL), (ClientState.UNSENT, ClientEvent.CALL_FULL)),
    "calls_queued": ((ClientState.UNSENT, ClientEvent.CALL_FULL),),
    "calls_resent": ((ClientState.SENT, ClientEvent.TIMEOUT),),
    "calls_asked_after": ((ClientState.NACKED, ClientEvent.TIMEOUT),),
    "calls_answered": ((ClientState.SENT, ClientEvent.ACK), (ClientState.NACKED, ClientEvent.ACK)),
    "calls_failed": tuple((at, ClientEvent.LOSE) for at in (ClientState.QUEUED, ClientState.SENT, ClientState.NACKED)),
    "nacks_received": ((ClientState.SENT, ClientEvent.NACK), (ClientState.NACKED, ClientEvent.NACK)),
    "answers_to_forgotten": ((ClientState.DONE, ClientEvent.ACK), (ClientState.DONE, ClientEvent.NACK)),
    "stray_answers": tuple(
        (at, on) for at in (ClientState.UNSENT, ClientState.QUEUED) for on in (ClientEvent.NACK, ClientEvent.ACK)
    ),
    "executed": ((ServerState.ABSENT, ServerEvent.CALL),),
    "duplicates_while_running": (
        (ServerState.RUNNING, ServerEvent.CALL),
        (ServerState.RUNNING, ServerEvent.PROBE),
    ),
    "duplicates_of_done": ((ServerState.DONE, ServerEvent.CALL), (ServerState.DONE, ServerEvent.PROBE)),
    "duplicates_of_settled": tuple(
        (at, on) for at in (ServerState.SETTLED, ServerState.FORGOTTEN) for on in (ServerEvent.CALL, ServerEvent.PROBE)
    ),
    "calls_beyond_window": ((ServerState.BEYOND, ServerEvent.CALL),),
    "early_probes": ((ServerState.ABSENT, ServerEvent.PROBE), (ServerState.BEYOND, ServerEvent.PROBE)),
    "acks_resent": ((ServerState.DONE, ServerEvent.TIMEOUT),),
    "settled": ((ServerState.DONE, ServerEvent.ACKACK),),
    "duplicate_ackacks": ((ServerState.SETTLED, ServerEvent.ACKACK), (ServerState.FORGOTTEN, ServerEvent.ACKACK)),
    "stray_ackacks": tuple(
        (at, ServerEvent.ACKACK) for at in (ServerState.ABSENT, ServerState.BEYOND, ServerState.RUNNING)
    ),
}
"""What a link counts: each name is the number of visits to these entries of its tables."""
