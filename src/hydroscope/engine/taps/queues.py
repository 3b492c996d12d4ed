"""Taps on the pipes and queues of `multiprocessing`: what is pickled and sent is the message.

Several processes may write to one pipe, so that nobody knows how much has gone through it: an id is a hash of the pipe
and of the message's content. Equal messages are copies of one id, told apart by their times.
"""

from __future__ import annotations

import os
import stat
from multiprocessing.connection import Connection
from typing import Any

from hydroscope.engine.taps.patches import Installed, restore, shadow
from hydroscope.engine.taps.tap import Excerpt, Tap, content_id
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.addresses import ROUGH
from hydroscope.ground.record.layout import hash64
from hydroscope.ground.record.recorder import Recorder

__all__ = ["all_pipes", "tap_queue", "untap_queue"]

_ENDS = ("_writer", "_reader")


def _identity(connection: Any) -> str:
    """Return what both ends of a connection are called."""
    found = os.fstat(connection.fileno())
    return f"pipe:{found.st_ino}" if stat.S_ISFIFO(found.st_mode) else "pipe"


class _Pipe:
    """One end."""

    def __init__(self, tap: Tap, connection: Any) -> None:
        self._tap = tap
        name = _identity(connection)
        self._base = hash64(name.encode())
        self._peer = ROUGH + name if tap.peer is None else tap.peer

    def going(self, data: Any) -> None:
        """Take note of what is about to be sent."""
        try:
            view = memoryview(data).cast("B")
            self._tap.rec.sent(self._peer, content_id(self._base, view), self._tap.excerpt_of(view.tobytes()))
        except Exception:
            self._tap.n_lost += 1

    def coming(self, buffer: Any) -> None:
        """Take note of what was received; None: of what was too long."""
        if buffer is None:
            return
        try:
            data = buffer.getvalue()
            self._tap.rec.received(self._peer, content_id(self._base, data), self._tap.excerpt_of(data))
        except Exception:
            self._tap.n_lost += 1


def _wrap(tap: Tap, connection: Any) -> None:
    if getattr(connection, "__dict__", {}).get(_MARK):
        return
    pipe, send, receive = _Pipe(tap, connection), connection._send_bytes, connection._recv_bytes

    def sending(buf: Any) -> None:
        pipe.going(buf)
        send(buf)

    def receiving(maxsize: int | None = None) -> Any:
        buffer = receive(maxsize)
        pipe.coming(buffer)
        return buffer

    shadow(connection, _send_bytes=sending, _recv_bytes=receiving, **{_MARK: True})


_MARK = "_hydroscope_tapped"


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
        _wrap(tap, each)
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

    def pipe_of(connection: Any) -> _Pipe | None:
        if not tap.is_on or vars(connection).get(_MARK):
            return None
        try:
            pipe: _Pipe | None = vars(connection).get(_PIPE)
            if pipe is None:
                pipe = vars(connection)[_PIPE] = _Pipe(tap, connection)
            return pipe
        except Exception:
            tap.n_lost += 1
            return None

    def sending(self: Any, buf: Any) -> None:
        pipe = pipe_of(self)
        if pipe is not None:
            pipe.going(buf)
        send(self, buf)

    def receiving(self: Any, maxsize: int | None = None) -> Any:
        buffer = receive(self, maxsize)
        pipe = pipe_of(self)
        if pipe is not None:
            pipe.coming(buffer)
        return buffer

    installed.put(Connection, "_send_bytes", sending)
    installed.put(Connection, "_recv_bytes", receiving)


_PIPE = "_hydroscope_pipe"
