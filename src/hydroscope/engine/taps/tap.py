"""What all taps share: the recorder they write to, what they count, how peers are named.

**A tap changes nothing.** What goes wrong in recording is swallowed, counted (`Tap.n_lost`) and told in the ring; what
the tapped call returns, raises and does is its own. A message is recorded as sent just before the call that hands over
its last byte, and as received just after the call that brought its last byte: so no receipt can be recorded before what
it is of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.addresses import AT, host_of, place_of
from hydroscope.ground.record.layout import DATA_BYTES, hash64
from hydroscope.ground.record.recorder import Recorder
from hydroscope.ground.record.writer import safe_text
from hydroscope.wire.framing import Framer

__all__ = [
    "KEPT_MAX",
    "Beginning",
    "Bytes",
    "Excerpt",
    "Framers",
    "Tap",
    "bytes_of",
    "content_id",
    "named",
    "swallowed",
]

Function = TypeVar("Function", bound=Callable[..., Any])

Bytes = bytes | memoryview

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
_COPIED_MAX = 4096
"""Bytes of a message that are copied whole: of one that is longer, the first are."""
_TOLD_MAX = 20
"""Sorts of errors in recording that are told in the ring, once each."""

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


def bytes_of(data: Any) -> Bytes | None:
    """Return the bytes of what a program sends or has received, without a copy if that can be; None if it has none."""
    if type(data) is bytes:
        return data
    try:
        view = memoryview(data)
    except (TypeError, ValueError):  # the call that is given this says what is wrong with it
        return None
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # it is in pieces, or of items that have no name
        return view.tobytes()


def listed(pieces: Any) -> Any:
    """Return what can be gone through twice; what cannot be gone through at all as it is."""
    try:
        return pieces if isinstance(pieces, list | tuple) else list(pieces)
    except TypeError:  # the call that is given this says what is wrong with it
        return pieces


def content_id(base: int, data: Bytes) -> int:
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
    def of(cls, data: Bytes, n_bytes: int) -> Beginning:
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
        self.ends: dict[Any, Any] = {}
        """What is open; forgotten when the tap is removed."""
        self._framer, self.peer = framer, peer
        self._told: set[str] = set()
        self._announced: set[str] = set()
        self._peers: dict[str, str] = {}

    def stop(self) -> None:
        """Record no more, also where somebody has kept a wrapper."""
        self.is_on = False
        self.ends.clear()

    def is_like(self, framer: Framers, excerpt: Excerpt | None) -> bool:
        """Tell whether this tap does what is asked for, as far as something is."""
        return framer in (None, self._framer) and excerpt in (None, self.excerpt)

    def lost(self, error: BaseException | str) -> None:
        """Count an error in recording; of each sort, tell the first in the ring."""
        self.n_lost += 1
        kind = error if isinstance(error, str) else type(error).__name__
        if kind in self._told or len(self._told) >= _TOLD_MAX:
            return
        self._told.add(kind)
        text = f"tap: {kind if error is kind else f'{kind}: {safe_text(error)}'}"
        self.rec.failed(text)
        self.rec.note(text)  # an error keeps 27 bytes of its text, a note 58

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

    def excerpt_of(self, message: Bytes) -> bytes:
        """Return what is to be kept of a message."""
        if self.excerpt is not None:
            try:
                return Beginning.of(self.excerpt(bytes(message)), len(message))
            except Exception as error:  # it is the user's
                self.lost(error)
        return Beginning.of(message, len(message)) if len(message) > _COPIED_MAX else bytes(message)


def swallowed(function: Function) -> Function:
    """Return a function that raises nothing, but tells its tap: what it is given first is one, or has one."""

    @functools.wraps(function)
    def quiet(first: Any, *args: Any) -> Any:
        try:
            return function(first, *args)
        except Exception as error:
            getattr(first, "tap", first).lost(error)
            return None

    return cast(Function, quiet)
