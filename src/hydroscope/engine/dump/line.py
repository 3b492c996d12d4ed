"""A connection between who asks and a post: greeted, proven, and over when its time is."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from typing import Any

from hydroscope.wire.dumps import (
    FRAME_MAX_BYTES,
    GREETING_BYTES,
    HEAD,
    MAC_BYTES,
    NONCE_BYTES,
    UNPROVEN_MAX_BYTES,
    Answer,
    Question,
    Seal,
    greeting,
    nonce_of,
)

__all__ = ["Broken", "Late", "Line", "Nobody"]


class Broken(Exception):
    """The talk cannot go on; the text says why."""


class Late(Broken):
    """Time is over."""


class Nobody(Broken):
    """There is no process at the other end any more."""


class Line:
    """One end. Every wait ends at `until`, of the monotonic clock.

    Parameters
    ----------
    connection : socket
        Open; it is closed with the line.
    key : bytes
    is_post : bool
    until : float
    """

    def __init__(self, connection: socket.socket, key: bytes, is_post: bool, until: float) -> None:
        self.until = until
        self.is_proven = False
        self._socket = connection
        self._key = key
        self._is_post = is_post
        self._seal: Seal | None = None

    def greet(self) -> None:
        """Say and hear the first words."""
        mine = secrets.token_bytes(NONCE_BYTES)
        self._write(greeting(mine))
        theirs = nonce_of(self._read(GREETING_BYTES))
        if theirs is None:
            raise Broken("what answers is no post of this version of hydroscope")
        asking, answering = (theirs, mine) if self._is_post else (mine, theirs)
        self._seal = Seal(self._key, asking, answering, self._is_post)

    def say(self, message: Question | Answer) -> None:
        """Send a message."""
        assert self._seal is not None
        self._write(self._seal.seal(message))

    def hear(self) -> Any:
        """Return the next message."""
        assert self._seal is not None
        (n_bytes,) = HEAD.unpack(self._read(HEAD.size))
        most = UNPROVEN_MAX_BYTES if self._is_post and not self.is_proven else FRAME_MAX_BYTES
        if n_bytes > most:
            raise Broken(f"it announced a message of more than {most} bytes")
        message = self._seal.open(self._read(n_bytes + MAC_BYTES))
        if message is None:
            raise Broken("the other end does not know the secret, or speaks otherwise than this version of hydroscope")
        self.is_proven = True
        return message

    def close(self) -> None:
        """End it; from any thread, also while another waits in it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise Late("no answer in time")
        return left

    def _write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except TimeoutError:
            raise Late("no answer in time") from None
        except OSError as error:
            raise Broken(f"the connection broke: {error.strerror or error}") from None

    def _read(self, n_bytes: int) -> bytearray:
        data = bytearray(n_bytes)
        view, n_read = memoryview(data), 0
        while n_read < n_bytes:
            try:
                self._socket.settimeout(self._left())
                n = self._socket.recv_into(view[n_read:])
            except TimeoutError:
                raise Late("no answer in time") from None
            except OSError as error:
                raise Broken(f"the connection broke: {error.strerror or error}") from None
            if n == 0:
                raise Broken(f"the other end hung up{'' if self.is_proven else ' at once (is its secret the same?)'}")
            n_read += n
        return data
