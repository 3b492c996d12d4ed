"""How a ring tells where a node can be reached, and by which address it knew a peer: taps write it, and scope reads."""

from __future__ import annotations

import os
from typing import Any, Final

from hydroscope.ground.record.layout import hash64

__all__ = ["AT", "ROUGH", "host_of", "joined", "place_of"]

AT: Final = "at "
"""A note that begins so says at which address others may know this node."""

ROUGH: Final = "~"
"""Before the name of a peer: where messages to it begin and end is not known, so what has no other end is not lost."""

_MAPPED: Final = "::ffff:"
_LONGEST: Final = 54
"""Bytes of a name for which there is room, after `AT`."""


def place_of(address: Any) -> str:
    """Return an address as a text; empty where there is none.

    Examples
    --------
    >>> place_of(("127.0.0.1", 80)), place_of(("::1", 80, 0, 0)), place_of(("::ffff:10.0.0.7", 80, 0, 0))
    ('127.0.0.1:80', '[::1]:80', '10.0.0.7:80')
    >>> place_of("/run/app.sock"), place_of(b"\\0name"), place_of("127.0.0.1:80")
    ('unix:/run/app.sock', 'unix:@name', '127.0.0.1:80')
    """
    if isinstance(address, tuple) and len(address) >= 2:
        return joined(str(address[0]), int(address[1]))
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    if not isinstance(address, str) or not address:
        return ""
    if address[0] not in "\0/":
        return address
    place = "unix:" + address.replace("\0", "@", 1)
    if len(place.encode(errors="replace")) <= _LONGEST:
        return place
    return f"unix:{hash64(address.encode(errors='surrogateescape')):016x}..{ascii(address[-16:])[1:-1][-30:]}"


def joined(host: str, port: int) -> str:
    """Return the text of host and port."""
    host = host.partition("%")[0]
    if host.startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(place: str) -> str:
    """Return a place without its port.

    Examples
    --------
    >>> host_of("127.0.0.1:80"), host_of("[::1]:80"), host_of("unix:/run/app.sock")
    ('127.0.0.1', '[::1]', 'unix:/run/app.sock')
    """
    host, colon, port = place.rpartition(":")
    return host if colon and port.isdigit() else place
