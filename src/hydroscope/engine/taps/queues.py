"""Taps on the pipes and queues of `multiprocessing`: what is pickled and sent is the message.

Several processes may write to one pipe, so that nobody knows how much has gone through it: an id is a hash of the pipe
and of the message's content. Equal messages are copies of one id, told apart by their times.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from hydroscope.engine.taps.patches import Installed, is_shadowed, restore, shadow
from hydroscope.engine.taps.tap import Excerpt, Tap, bytes_of, content_id, swallowed
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.addresses import ROUGH
from hydroscope.ground.record.layout import hash64
from hydroscope.ground.record.recorder import Recorder

__all__ = ["all_pipes", "tap_queue", "untap_queue"]

_ENDS = ("_writer", "_reader")
_PIPE = "_hydroscope_pipe"


def _identity(connection: Any) -> str:
    """Return what both ends of a connection are called."""
    found = os.fstat(connection.fileno())
    return f"pipe:{found.st_ino}" if stat.S_ISFIFO(found.st_mode) else "pipe"


class _Pipe:
    """One end."""

    def __init__(self, tap: Tap, connection: Any) -> None:
        self.tap = tap
        name = _identity(connection)
        self._base = hash64(name.encode())
        self._peer = ROUGH + name if tap.peer is None else tap.peer

    @swallowed
    def going(self, data: Any) -> None:
        """Take note of what is about to be sent."""
        data = bytes_of(data)
        self.tap.rec.sent(self._peer, content_id(self._base, data), self.tap.excerpt_of(data))

    @swallowed
    def coming(self, buffer: Any) -> None:
        """Take note of what was received; None: of what was too long."""
        if buffer is not None:
            data = buffer.getvalue()
            self.tap.rec.received(self._peer, content_id(self._base, data), self.tap.excerpt_of(data))

    def sending(self, below: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a wrapper of what sends a message."""

        def send(buf: Any) -> None:
            self.going(buf)
            below(buf)

        return send

    def receiving(self, below: Callable[..., Any]) -> Callable[..., Any]:
        """Return a wrapper of what receives a message."""

        def receive(maxsize: int | None = None) -> Any:
            buffer = below(maxsize)
            self.coming(buffer)
            return buffer

        return receive


def tap_queue(rec: Recorder, queue: Any, excerpt: Excerpt | None = None, peer: str | None = None) -> Any:
    """Record what goes through a queue or pipe of `multiprocessing`, at this end.

    Parameters
    ----------
    rec : Recorder
    queue : Queue, SimpleQueue, JoinableQueue, or one end of a Pipe
        Of `multiprocessing`. Each process taps its own; one that is forked has inherited that.
    excerpt : callable, optional
        From a message (pickled, as it is sent) to the bytes to keep of it.
    peer : str, optional
        What the process at the other end is called, if there is one. By default a timeline finds out by the messages.

    Returns
    -------
    queue
        The same. If it is tapped already nothing changes.

    Raises
    ------
    UserError
        It is neither.

    Examples
    --------
    >>> import multiprocessing
    >>> import hydroscope as hs
    >>> rec, (ours, theirs) = hs.Recorder("node-3"), multiprocessing.Pipe()
    >>> hs.taps.queue(rec, ours).send({"step": 1})
    >>> theirs.recv(), hs.taps.remove(ours), ours.close(), theirs.close(), rec.close(remove=True)
    ({'step': 1}, True, None, None, None)

    Notes
    -----
    Cost: some 10 us a message, both ends (docs/taps.md).
    """
    ends = _ends(queue)
    if not ends:
        raise UserError(f"{type(queue).__name__} is no queue and no end of a pipe of multiprocessing")
    tap = Tap(rec, None, excerpt, peer)
    for each in ends:
        pipe = _Pipe(tap, each)
        shadow(each, {"_send_bytes": pipe.sending, "_recv_bytes": pipe.receiving})
    return queue


def untap_queue(queue: Any) -> bool:
    """Take the wrappers off; False if there are none."""
    found = [restore(each) for each in _ends(queue)]
    return any(found)


def _ends(queue: Any) -> list[Any]:
    every = [queue, *(getattr(queue, name, None) for name in _ENDS)]
    return [each for each in every if isinstance(each, Connection)]


def all_pipes(tap: Tap, installed: Installed) -> None:
    """Put wrappers on all pipes of the program, which all queues and pools are made of; once."""
    if installed.has(Connection):
        return
    send, receive = Connection._send_bytes, Connection._recv_bytes  # type: ignore[attr-defined]

    def sending(self: Any, buf: Any) -> None:
        pipe = _pipe_of(tap, self)
        if pipe is not None:
            pipe.going(buf)
        send(self, buf)

    def receiving(self: Any, maxsize: int | None = None) -> Any:
        buffer = receive(self, maxsize)
        pipe = _pipe_of(tap, self)
        if pipe is not None:
            pipe.coming(buffer)
        return buffer

    installed.put(Connection, "_send_bytes", sending)
    installed.put(Connection, "_recv_bytes", receiving)


@swallowed
def _pipe_of(tap: Tap, connection: Any) -> _Pipe | None:
    """Return what records a connection, as one of all; None if it is tapped by itself."""
    if not tap.is_on or is_shadowed(connection):
        return None
    pipe: _Pipe | None = vars(connection).get(_PIPE)
    if pipe is None or pipe.tap is not tap:
        pipe = vars(connection)[_PIPE] = _Pipe(tap, connection)
    return pipe
