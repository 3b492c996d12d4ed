"""Protocols that captures are read with: where messages end, what they are called, which answers which."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from hydroscope.scope.decoders.dns import DNS
from hydroscope.scope.decoders.memcached import MEMCACHED
from hydroscope.scope.decoders.memcached import frame as memcached_frame
from hydroscope.scope.decoders.plain import HTTP, RESP
from hydroscope.scope.decoding import Dialect
from hydroscope.wire.framing import Framer, guess, http1, http2, length_prefixed, resp, tls

__all__ = ["PROTOCOLS", "Protocol", "protocol_of"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is known of a protocol."""

    name: str
    ports: tuple[int, ...]
    """Of its servers."""
    framer: Framer | None
    dialect: Dialect | None = None
    skip: int = 0
    """Bytes in front of a message, over TCP, that the decoder does not know."""
    over_udp: bool = False
    answers: bool = False
    """Whether each request is answered."""
    is_request: Callable[[bytes], bool] = bool
    """Whether what a client sends wants an answer."""
    is_answer: Callable[[bytes], bool] = bool
    """Whether what a server sends is one."""
    key: Callable[[bytes], Hashable] | None = None
    """What a request and its answer have in common; None: they are answered in turn."""


def _wants_answer(command: bytes) -> bool:
    line = command.partition(b"\r\n")[0]
    return not line.endswith(b" noreply") and line != b"quit"


PROTOCOLS = (
    Protocol(
        "dns", (53, 5353), length_prefixed(2), DNS, skip=2, over_udp=True, answers=True, key=lambda data: data[:2]
    ),
    Protocol(
        "http",
        (80, 3000, 5000, 8000, 8008, 8080, 8888),
        http1,
        HTTP,
        answers=True,
        is_answer=lambda data: data[9:10] != b"1",
    ),
    Protocol("redis", (6379, 16379, 26379), resp, RESP, answers=True, is_answer=lambda data: data[:1] != b">"),
    Protocol("memcached", (11211,), memcached_frame, MEMCACHED, answers=True, is_request=_wants_answer),
    Protocol("tls", (443, 8443), tls),
    Protocol("http2", (50051,), http2),
)


def protocol_of(server_port: int, begins: bytes) -> Protocol | None:
    """Return the protocol of a connection: what its first bytes say, else what its server's port is used for.

    Examples
    --------
    >>> protocol_of(9999, b"GET / HTTP/1.1\\r\\n").name, protocol_of(53, b"?").name, protocol_of(9999, b"?")
    ('http', 'dns', None)
    """
    framer = guess(begins)
    for each in PROTOCOLS:
        if framer is None and server_port in each.ports:
            return each
        if framer is not None and each.framer is framer:
            return each
    return None
