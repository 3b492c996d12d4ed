"""Real processes that form a cluster: datagrams, streams, and one thread a process."""

from __future__ import annotations

from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.engine.sockets.start import connect, serve

__all__ = ["SocketKeys", "connect", "serve"]
