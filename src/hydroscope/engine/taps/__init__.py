"""Taps: record what a foreign program sends and receives, without changing its messages.

rec = hs.Recorder("node-3")
hs.taps.install(rec)
"""

from __future__ import annotations

from typing import Any

from hydroscope.engine.taps.loops import tap_asyncio as asyncio
from hydroscope.engine.taps.patches import Installed
from hydroscope.engine.taps.queues import all_pipes as _all_pipes
from hydroscope.engine.taps.queues import tap_queue as queue
from hydroscope.engine.taps.queues import untap_queue as _untap_queue
from hydroscope.engine.taps.remote import tap_grpc as grpc
from hydroscope.engine.taps.sockets import all_sockets
from hydroscope.engine.taps.sockets import tap_socket as socket
from hydroscope.engine.taps.sockets import untap_socket as _untap_socket
from hydroscope.engine.taps.tap import Excerpt as _Excerpt
from hydroscope.engine.taps.tap import Framers as _Framers
from hydroscope.engine.taps.tap import named as name
from hydroscope.engine.taps.web import tap_asgi as asgi
from hydroscope.engine.taps.web import tap_httpx as httpx
from hydroscope.engine.taps.web import untap_httpx as _untap_httpx
from hydroscope.ground.record.recorder import Recorder as _Recorder
from hydroscope.wire.framing import http1, http2, length_prefixed, lines, resp, tls

__all__ = [
    "Installed",
    "all_sockets",
    "asgi",
    "asyncio",
    "grpc",
    "http1",
    "http2",
    "httpx",
    "install",
    "length_prefixed",
    "lines",
    "name",
    "queue",
    "remove",
    "resp",
    "socket",
    "tls",
]


def install(rec: _Recorder, framer: _Framers = None, excerpt: _Excerpt | None = None) -> Installed:
    """Record all that this program sends and receives over sockets, and over the pipes of `multiprocessing`.

    Parameters
    ----------
    rec : Recorder
    framer : callable, mapping of int to callable, or None
        Where a message ends in a stream; as for `all_sockets`.
    excerpt : callable, optional
        From a message to the bytes to keep of it.

    Returns
    -------
    Installed
        A context manager; or call its `remove()`. A second call for the same recorder returns the same.

    Raises
    ------
    UserError
        All sockets are recorded by another recorder already.

    Notes
    -----
    gRPC does not use Python's sockets: it has a tap of its own. Cost: some 9 us a message, both ends (docs/taps.md).
    """
    installed = all_sockets(rec, framer, excerpt)
    _all_pipes(installed.tap, installed)
    return installed


def remove(thing: Any) -> bool:
    """Take the tap off a socket, a queue, an end of a pipe, or a client of httpx.

    Parameters
    ----------
    thing : object
        That was tapped by itself.

    Returns
    -------
    bool
        False if there is no tap on it; nothing is changed then.

    Notes
    -----
    Cost: microseconds.
    """
    return _untap_socket(thing) or _untap_queue(thing) or _untap_httpx(thing)
