"""The stream to one peer, as a table: when it is opened, when it is given up for a fresh one.

A stream that accepts what is written proves nothing: the kernel of an overloaded receiver may
have acknowledged it all and then thrown it away with the connection, and the sender is told
nothing but success. So a stream counts as alive only while pieces are acknowledged by the
program at the other end; when none has been for too long, the stream is left, whatever it
says of itself, and a fresh one resumes from what was acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, unique
from typing import NamedTuple

__all__ = ["STREAM", "StreamAction", "StreamEvent", "StreamState", "StreamStep"]


@unique
class StreamState(IntEnum):
    """Of our stream to the peer."""

    CLOSED = 0
    """Nothing was sent yet, or it broke when nothing was to be sent."""
    OPENING = 1
    OPEN = 2
    WAITING = 3
    """It broke; the next is tried after a while."""


@unique
class StreamEvent(IntEnum):
    """What happens to our stream."""

    WANTED = 0
    """There is a message to send."""
    CONNECTED = 1
    BROKEN = 2
    BROKEN_IDLE = 3
    """It broke, and nothing is to be sent."""
    SILENT = 4
    """Nothing was acknowledged for a while: perhaps an acknowledgement was lost."""
    STALLED = 5
    """Nothing was acknowledged for too long, or it does not open; or the pause is over."""


@unique
class StreamAction(Enum):
    """What a step does."""

    CONNECT = "ask for a fresh stream, leave the old one"
    REWIND = "go back to what was acknowledged"
    PUMP = "send pieces, a window full"
    NUDGE = "send the first piece again that is not acknowledged"
    BACK_OFF = "be patient for twice as long from now on"
    LEAVE = "nothing"
    RAISE = "cannot happen: an error of ours"


class StreamStep(NamedTuple):
    """What follows from one event in one state."""

    state: StreamState
    actions: tuple[StreamAction, ...] = ()


def _stream() -> dict[tuple[StreamState, StreamEvent], StreamStep]:
    state, event, do = StreamState, StreamEvent, StreamAction
    table = {
        (state.CLOSED, event.WANTED): StreamStep(state.OPENING, (do.CONNECT,)),
        (state.OPENING, event.WANTED): StreamStep(state.OPENING, (do.LEAVE,)),
        (state.OPENING, event.CONNECTED): StreamStep(state.OPEN, (do.REWIND, do.PUMP)),
        (state.OPENING, event.BROKEN): StreamStep(state.WAITING, (do.BACK_OFF,)),
        (state.OPENING, event.BROKEN_IDLE): StreamStep(state.CLOSED),
        (state.OPENING, event.STALLED): StreamStep(state.OPENING, (do.BACK_OFF, do.CONNECT)),
        (state.OPEN, event.WANTED): StreamStep(state.OPEN, (do.PUMP,)),
        (state.OPEN, event.BROKEN): StreamStep(state.WAITING, (do.BACK_OFF,)),
        (state.OPEN, event.BROKEN_IDLE): StreamStep(state.CLOSED),
        (state.OPEN, event.SILENT): StreamStep(state.OPEN, (do.NUDGE,)),
        (state.OPEN, event.STALLED): StreamStep(state.OPENING, (do.BACK_OFF, do.CONNECT)),
        (state.WAITING, event.WANTED): StreamStep(state.WAITING, (do.LEAVE,)),
        (state.WAITING, event.STALLED): StreamStep(state.OPENING, (do.CONNECT,)),
    }
    return {(at, on): table.get((at, on), StreamStep(at, (do.RAISE,))) for at in state for on in event}


STREAM: Mapping[tuple[StreamState, StreamEvent], StreamStep] = _stream()
"""What a sender of large messages does; events of streams that were left are not its events any more."""
