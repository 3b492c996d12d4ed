"""What is said to the post of a process by who gathers recordings, and how both prove that they know the secret.

A post answers beside the member of a cluster: a member that hangs has a post that does not. The talk goes over one
connection, question by question, and nothing of it belongs to a view or an epoch.

Each end first says a nonce. From the secret and both nonces follow two keys, one a direction; every frame after that is
a length, a message in MessagePack (one of a closed list of types), and a MAC under its direction's key of the frame's
number and the message. A frame that was recorded and sent again is therefore worth nothing, neither in another
connection nor in the same: no clock and no memory of what was heard is needed for it. Frames are not encrypted.
"""

from __future__ import annotations

import hmac
import struct
from typing import Any

import msgspec

__all__ = [
    "ANSWERS",
    "FRAME_MAX_BYTES",
    "GREETING_BYTES",
    "HEAD",
    "MAC_BYTES",
    "NONCE_BYTES",
    "PART_BYTES",
    "QUESTIONS",
    "UNPROVEN_MAX_BYTES",
    "Answer",
    "CatchUp",
    "Die",
    "Done",
    "Freeze",
    "LogHead",
    "Look",
    "Lying",
    "Part",
    "Question",
    "RingHead",
    "Seal",
    "Seen",
    "Ship",
    "ShipLogs",
    "Thaw",
    "Unable",
    "Where",
    "dump_key",
    "greeting",
    "nonce_of",
]

MAGIC = b"hydspost"
VERSION = 1
NONCE_BYTES = 16
MAC_BYTES = 16
GREETING_BYTES = len(MAGIC) + 1 + NONCE_BYTES

PART_BYTES = 2**20
"""Of a recording that travel at a time."""

FRAME_MAX_BYTES = PART_BYTES + 2**20
"""Of one message; the names of a ring are the longest but for its records."""

UNPROVEN_MAX_BYTES = 4096
"""Of the first message, whose sender has proven nothing before."""

HEAD = struct.Struct("!I")
_NUMBER = struct.Struct("!Q")


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A frozen value that travels as an array."""


# --- what is spoken of ----------------------------------------------------------------------------------------------


class Where(Shape, frozen=True):
    """A process that has a post, and how it is reached. `place` is the folder that its rings are in.

    `pid` is its id; 0: that is not known, or it has no ring of its own.
    """

    name: str
    host: str
    port: int
    pid: int
    place: int


class Lying(Shape, frozen=True):
    """A ring as it lies in its folder: what its header says, and what the system says of its process."""

    file: str
    name: str
    pid: int
    start_ticks: int
    opened_wall_ns: int
    opened_at_ns: int
    closed_at_ns: int
    boot: bytes
    n_slots: int
    newest_ns: int
    """About the newest stamp in it; 0: it has none."""
    state: str
    """Of its process, as the system has it: "R", "S", "T" (stopped), ...; "": it is gone."""


# --- questions ------------------------------------------------------------------------------------------------------


class Look(Shape, frozen=True, tag=1):
    """Who are you, whom do you know, which rings lie beside yours? Answered by `Seen`."""


class Ship(Shape, frozen=True, tag=2):
    """Send the rings of these files, of `Seen.rings`: each as `RingHead` and `Part`s, or `Unable`; at last `Done`."""

    files: tuple[str, ...]
    since_ns: int = 0
    """Records that are stamped earlier are left out; nanoseconds since 1970."""


class Freeze(Shape, frozen=True, tag=3):
    """Let the member stand still, at most for so long. Answered by `Done` or `Unable`."""

    seconds: float


class Thaw(Shape, frozen=True, tag=4):
    """Let it go on. Answered by `Done`."""


class Die(Shape, frozen=True, tag=5):
    """End the process. Answered by `Done`, before."""


class ShipLogs(Shape, frozen=True, tag=6):
    """Send the window-logs of this cluster that lie beside your rings: each file as `LogHead` and `Part`s; then `Done`.

    Files of one log follow each other, the oldest first.
    """

    cluster: int


class CatchUp(Shape, frozen=True, tag=7):
    """Let your member's window-log be complete up to this stamp. Answered by `Done`, once it is, or `Unable`."""

    stamp: int


# --- answers --------------------------------------------------------------------------------------------------------


class Seen(Shape, frozen=True, tag=20):
    """Who answers; the posts it knows of, its own among them; the rings that lie where its own do."""

    me: Where
    posts: tuple[Where, ...]
    rings: tuple[Lying, ...]
    now_ns: int
    """Nanoseconds since 1970 by its clock."""
    byte_order: str
    key: bytes = b""
    """Of all posts of the cluster: told only to processes of the same user on the same machine."""


class RingHead(Shape, frozen=True, tag=21):
    """A ring follows: so many bytes of records."""

    ring: Lying
    names: tuple[str, ...]
    n_bytes: int
    n_torn: int
    damage: tuple[str, ...]


class LogHead(Shape, frozen=True, tag=25):
    """A file of a window-log follows: so many bytes. Nothing up to the stamp `until` is missing from its log.

    The highest stamp there is says that it is not written to any more.
    """

    log: str
    file: str
    n_bytes: int
    until: int


class Part(Shape, frozen=True, tag=22):
    """The next bytes of what follows."""

    data: memoryview


class Unable(Shape, frozen=True, tag=23):
    """Something cannot be had or done, and why."""

    what: str
    why: str


class Done(Shape, frozen=True, tag=24):
    """That was all."""


Question = Look | Ship | ShipLogs | CatchUp | Freeze | Thaw | Die
Answer = Seen | RingHead | LogHead | Part | Unable | Done

_ENCODER = msgspec.msgpack.Encoder()
QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


# --- proof ----------------------------------------------------------------------------------------------------------


def dump_key(secret: bytes) -> bytes:
    """Return the key of all posts of a cluster; the secret cannot be had from it."""
    return _mac(secret, MAGIC)


def greeting(nonce: bytes) -> bytes:
    """Return what each end says first."""
    return MAGIC + bytes((VERSION,)) + nonce


def nonce_of(said: bytes | bytearray) -> bytes | None:
    """Return the nonce of a greeting; None: it is none, or one of another version."""
    head = greeting(b"")
    return bytes(said[len(head) :]) if len(said) == GREETING_BYTES and said.startswith(head) else None


class Seal:
    """Makes and opens the frames of one connection.

    Parameters
    ----------
    key : bytes
    asking, answering : bytes
        The nonces of who asks and of the post.
    is_post : bool
        Whether this end is the post.
    """

    __slots__ = ("_decoder", "_n_opened", "_n_sealed", "_opens", "_seals")

    def __init__(self, key: bytes, asking: bytes, answering: bytes, is_post: bool) -> None:
        session = _mac(key, asking + answering)
        keys = _mac(session, b"question"), _mac(session, b"answer")
        self._opens, self._seals = keys if is_post else keys[::-1]
        self._decoder: msgspec.msgpack.Decoder[Any] = QUESTIONS if is_post else ANSWERS
        self._n_opened = self._n_sealed = 0

    def seal(self, message: Question | Answer) -> bytes:
        """Return the frame of a message. Cost: O(bytes)."""
        body = _ENCODER.encode(message)
        proof = _mac(self._seals, _NUMBER.pack(self._n_sealed) + body)[:MAC_BYTES]
        self._n_sealed += 1
        return HEAD.pack(len(body)) + body + proof

    def open(self, frame: bytes | bytearray | memoryview) -> Any:
        """Return the message of a frame without its length; None when it is not one of the other end, or not the next.

        Cost: O(bytes).
        """
        view = memoryview(frame)
        body = view[:-MAC_BYTES]
        proof = _mac(self._opens, _NUMBER.pack(self._n_opened) + body)[:MAC_BYTES]
        if len(view) < MAC_BYTES or not hmac.compare_digest(proof, view[-MAC_BYTES:]):
            return None
        self._n_opened += 1
        try:
            return self._decoder.decode(body)
        except (ValueError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
            return None


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
