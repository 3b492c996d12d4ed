"""Everything one member can say to another, as frozen types. What is not here cannot be said.

Three layers, each opaque to the one below:

- a `Packet` is one frame: who says it to whom, when, in which epoch, and one `Message`;
- a `Message` belongs to the RPC (`Call`, `Nack`, `Ack`, `AckAck`, `Probe`), to large payloads
  (`Piece`, `PieceAck`) or to membership (`Hello`, `Welcome`, `Heartbeat`, `Announce`, `Refuse`);
- the body of a `Call` is a `Request`, that of an `Ack` a `Reply`.

Bodies are bytes on a real network (encoded once, so that each resend is the same bytes) and
the typed values themselves in the simulator; the RPC never looks into them.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "NOBODY",
    "REPLIES",
    "REQUESTS",
    "Ack",
    "AckAck",
    "Announce",
    "Atomic",
    "Backup",
    "Call",
    "Done",
    "Failed",
    "Get",
    "Got",
    "Heartbeat",
    "Hello",
    "Invalidate",
    "MemberInfo",
    "Message",
    "Nack",
    "Names",
    "Notify",
    "Packet",
    "Piece",
    "PieceAck",
    "Probe",
    "Put",
    "Refuse",
    "Reply",
    "Request",
    "Scan",
    "View",
    "Watch",
    "Welcome",
    "Written",
]


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A frozen value that travels as an array."""


# --- membership -----------------------------------------------------------------------------------------------------


NOBODY = 0xFFFF
"""The sender's number in a `Hello`: numbers are given by the authority, and never twice."""


class MemberInfo(Shape, frozen=True):
    """One member of a view. `life` is its incarnation: drawn anew at every start, never 0."""

    number: int
    life: int
    host: str = ""
    udp_port: int = 0
    tcp_port: int = 0
    stores: bool = True
    """False for a leaf: it caches, and is home to nothing."""
    post_port: int = 0
    """Where its post answers (`wire.dumps`); 0: it has none."""
    pid: int = 0
    place: int = 0
    """Which folder of which machine its recordings lie in; 0: not told."""


class View(Shape, frozen=True):
    """Who belongs to the cluster. Homes follow from `founders` and from who of them is still in `members`."""

    epoch: int
    members: tuple[MemberInfo, ...]
    founders: tuple[int, ...]
    """Numbers of all members that ever stored: what the lost among them held is lost, and said to be so."""


class Hello(Shape, frozen=True, tag=1):
    """Ask to belong (the receiver's life is not known yet, so the frame carries 0 for it)."""

    nonce: int
    info: MemberInfo


class Welcome(Shape, frozen=True, tag=2):
    """Answer a `Hello`: its nonce, the authority's life, and the number that is yours from the next view on."""

    nonce: int
    life: int
    number: int


class Heartbeat(Shape, frozen=True, tag=3):
    """The sender lives. Members send it to the authority, and the authority to them."""

    view_epoch: int
    """The view that the sender has entered."""
    is_open: bool
    """Whether it knows that everybody has entered it."""
    stamp: int
    """The sender's own time in microseconds, for `echo`."""
    echo: int
    """The newest stamp heard from the receiver: what it sent at that time did arrive."""
    suspects: tuple[int, ...] = ()
    """Members that owe the sender an answer and have been silent for too long."""


class Announce(Shape, frozen=True, tag=4):
    """A newer view, from the authority; `is_open`: everybody has entered it, work may go on."""

    view: View
    is_open: bool


class Refuse(Shape, frozen=True, tag=5):
    """No more of this: "view" (from the authority: you do not belong any more) or "left" (to it: I go)."""

    reason: str
    epoch: int


# --- RPC ------------------------------------------------------------------------------------------------------------


class Call(Shape, frozen=True, tag=10):
    """Do `body`. Numbers count from 1 without gaps for each ordered pair of members."""

    number: int
    body: bytes
    """What travels is nothing else; a simulator that does not encode puts the typed value here."""


class Probe(Shape, frozen=True, tag=11):
    """What of my call? Sent instead of a large body again."""

    number: int


class Nack(Shape, frozen=True, tag=12):
    """Working on it: do not send it again, the answer will come."""

    number: int


class Ack(Shape, frozen=True, tag=13):
    """It is done, with this result."""

    number: int
    body: bytes
    """As in `Call`."""


class AckAck(Shape, frozen=True, tag=14):
    """The result has been used: it can be forgotten."""

    number: int


# --- large payloads -------------------------------------------------------------------------------------------------


class Piece(Shape, frozen=True, tag=20):
    """One piece of a large message (an encoded `Call` or `Ack`), over a stream."""

    transfer: int
    index: int
    n_pieces: int
    size_bytes: int
    """Of the whole."""
    checksum: int
    """CRC-32 of all of it up to the end of this piece."""
    data: memoryview
    """Part of what is sent, or of the buffer that was received into: to be used at once, or copied."""


class PieceAck(Shape, frozen=True, tag=21):
    """All pieces below `n_received` of the transfer have arrived."""

    transfer: int
    n_received: int


Message = Hello | Welcome | Heartbeat | Announce | Refuse | Call | Probe | Nack | Ack | AckAck | Piece | PieceAck


class Packet(Shape, frozen=True):
    """One frame: from which life of which member, to which, when, in which epoch, and what."""

    cluster: int
    sender: int
    sender_life: int
    receiver: int
    receiver_life: int
    epoch: int
    hlc: int
    message: Message


# --- requests and replies of the key/value store ----------------------------------------------------------------------


class Get(Shape, frozen=True, tag=40):
    """The value of a key, to be kept as a replica."""

    key: str


class Put(Shape, frozen=True, tag=41):
    """A new value; None removes the key."""

    key: str
    value: Any
    durable: bool = False


class Atomic(Shape, frozen=True, tag=42):
    """Apply the registered function `name` to the value, once."""

    key: str
    name: str
    arguments: tuple[Any, ...] = ()
    durable: bool = False


class Invalidate(Shape, frozen=True, tag=43):
    """Drop your replica of this key if it has this version."""

    version: int
    """First, so that what is recorded of the message has it at one place, however long the key."""
    key: str


class Scan(Shape, frozen=True, tag=44):
    """The keys that you are home to and that begin with this."""

    prefix: str


class Watch(Shape, frozen=True, tag=45):
    """Tell me of changes of keys that begin with this (or no longer)."""

    prefix: str
    wanted: bool = True


class Notify(Shape, frozen=True, tag=46):
    """These keys have changed."""

    keys: tuple[str, ...]


class Backup(Shape, frozen=True, tag=47):
    """Keep a second copy: you are home after me."""

    key: str
    value: Any
    version: int


Request = Get | Put | Atomic | Invalidate | Scan | Watch | Notify | Backup


class Got(Shape, frozen=True, tag=60):
    """The value (None: absent). `keep`: you are registered as a replica of `version` in `epoch`."""

    value: Any
    version: int
    keep: bool
    epoch: int


class Written(Shape, frozen=True, tag=61):
    """The write happened as `version`; an atomic has a result, and may have been aborted by its function."""

    version: int
    result: Any = None
    aborted: bool = False


class Done(Shape, frozen=True, tag=62):
    """Done, nothing to tell."""


class Names(Shape, frozen=True, tag=63):
    """The keys of a scan."""

    keys: tuple[str, ...]


class Failed(Shape, frozen=True, tag=64):
    """It cannot be done: `kind` is "lost", "unknown function", "function", "not home" or "refused"."""

    kind: str
    text: str
    keys: tuple[str, ...] = ()


Reply = Got | Written | Done | Names | Failed

REQUESTS = (Get, Put, Atomic, Invalidate, Scan, Watch, Notify, Backup)
REPLIES = (Got, Written, Done, Names, Failed)
