"""A bell: wakes a thread that sleeps in a selector or a poll."""

from __future__ import annotations

import contextlib
import socket

__all__ = ["Bell"]


class Bell:
    """Readable from `ring` until `hush`; any thread may ring."""

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._heard.setblocking(False)
        self._rung.setblocking(False)
        self.fileno = self._heard.fileno

    def ring(self) -> None:
        """Wake who listens; free of errors when it rings already or was closed."""
        with contextlib.suppress(OSError):
            self._rung.send(b"!")

    def hush(self) -> None:
        """Let it be silent again."""
        with contextlib.suppress(BlockingIOError):
            self._heard.recv(4096)

    def close(self) -> None:
        """Let go of the sockets."""
        self._heard.close()
        self._rung.close()
