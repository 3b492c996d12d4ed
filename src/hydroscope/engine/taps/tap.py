"""What all taps share: the recorder they write to, what they count, how peers are named.

**A tap changes nothing.** What goes wrong in recording is swallowed and counted (`Tap.n_lost`); what the tapped call
returns, raises and does is its own. A message is recorded as sent just before the call that hands over its last byte,
and as received just after the call that brought its last byte: so no receipt can be recorded before what it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.addresses import AT, ROUGH, host_of, place_of
from hydroscope.ground.record.layout import DATA_BYTES, hash64
from hydroscope.ground.record.recorder import Recorder
from hydroscope.wire.framing import Framer

__all__ = ["KEPT_MAX", "Beginning", "Excerpt", "Framers", "Tap", "content_id", "named"]

Excerpt = Callable[[bytes], bytes]
"""From a message to the bytes to be recorded of it, instead of its first ones."""

Framers = Framer | Mapping[int, Framer] | None
"""Of all streams; by port of either end; or what their first bytes say."""

KEPT_MAX = 2**20
"""Bytes of a message that wait for its end."""

_NAMED_MAX = 1000
"""Peers that are named with their port: of those with ports of the moment there may be any number, and a ring has
room for 4,000 names."""
_HASHED = 512

_given: dict[str, str] = {}
"""Names that the program has given to addresses."""


def named(address: tuple[str, int] | str, name: str) -> None:
    """Call the node at an address by its name, in all records of taps from now on.

    Parameters
    ----------
    address : (host, port), or its text, or the path of a Unix socket
        As the program connects to it.
    name : str
        That of the other node's recorder.

    Raises
    ------
    UserError
        One of them is empty.

    Notes
    -----
    Seldom needed: where both ends are recorded, a timeline finds out whose address it is.
    Connections that are open keep the name they have. Cost: microseconds.
    """
    place = place_of(address)
    if not place or not isinstance(name, str) or not name:
        raise UserError(f"the node at {address!r} is to be called {name!r}: give an address and a name")
    _given[place] = name


def content_id(base: int, data: bytes | memoryview) -> int:
    """Return the id of a message that both ends know by its content: its length, its first and last 512 bytes."""
    n = len(data)
    if n > 2 * _HASHED:
        data = b"%d " % n + bytes(data[:_HASHED]) + bytes(data[-_HASHED:])
    return base ^ hash64(data if type(data) is bytes else bytes(data))


class Beginning(bytes):
    """The first bytes of a message that is longer: a recorder asks for its length, and keeps its first bytes."""

    n_bytes: int

    def __len__(self) -> int:
        return self.n_bytes

    @classmethod
    def of(cls, data: bytes | memoryview, n_bytes: int) -> Beginning:
        """Return the beginning of a message of so many bytes."""
        self = cls(data[:DATA_BYTES])
        self.n_bytes = n_bytes
        return self


class Tap:
    """A recorder, and how what goes by is to be written to it.

    Parameters
    ----------
    rec : Recorder
    framer : Framer, mapping of int to Framer, or None
    excerpt : callable or None
    peer : str or None
        What the other end is called, if there is only one.
    """

    def __init__(
        self, rec: Recorder, framer: Framers = None, excerpt: Excerpt | None = None, peer: str | None = None
    ) -> None:
        if not isinstance(rec, Recorder):
            raise UserError(f"a tap writes to an hs.Recorder; this is {type(rec).__name__}: {rec!r}")
        if not (framer is None or callable(framer) or isinstance(framer, Mapping)):
            raise UserError(f"framer={framer!r} is no function and no mapping from ports to functions")
        if not (excerpt is None or callable(excerpt)):
            raise UserError(f"excerpt={excerpt!r} is no function from a message to the bytes to keep")
        self.rec, self.excerpt = rec, excerpt
        self.n_lost = 0
        """Errors in recording; where streams are concerned, each is the last record of that direction's messages."""
        self.is_on = True
        self._framer, self.peer = framer, peer
        self._announced: set[str] = set()
        self._peers: dict[str, str] = {}

    def stop(self) -> None:
        """Record no more, also where somebody has kept a wrapper."""
        self.is_on = False

    def announce(self, address: Any) -> None:
        """Note, once, an address of this process by which others may know it."""
        place = place_of(address)
        if place and place not in self._announced:
            self._announced.add(place)
            self.rec.note(AT + place)

    def framer_of(self, *addresses: Any) -> Framer | None:
        """Return what frames a stream between these addresses; None: its first bytes are to say."""
        if not isinstance(self._framer, Mapping):
            return self._framer
        ports = [address[1] for address in addresses if isinstance(address, tuple) and len(address) >= 2]
        return next((self._framer[port] for port in ports if port in self._framer), None)

    def peer_of(self, place: str) -> str:
        """Return what the node at a place is called."""
        if self.peer is not None:
            return self.peer
        known = _given.get(place) or self._peers.get(place)
        if known is None:
            if len(self._peers) >= _NAMED_MAX:
                return _given.get(host_of(place)) or host_of(place)
            known = self._peers[place] = place
        return known

    def rough(self, peer: str) -> str:
        """Return the name of a peer whose messages are known by their pieces only."""
        return ROUGH + peer

    def excerpt_of(self, message: bytes) -> bytes:
        """Return what is to be kept of a message."""
        if self.excerpt is None:
            return message
        try:
            return Beginning.of(self.excerpt(message), len(message))
        except Exception:  # it is the user's
            self.n_lost += 1
            return message
