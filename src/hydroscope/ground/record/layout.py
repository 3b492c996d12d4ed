"""The file of a ring: a header, the names, and slots of one record each, written in turn for ever.

A record is 64 bytes (`FIELDS`, in this machine's byte order). Who writes one first makes all of it zero, then writes
its stamp, which no other record of the ring has, then the rest in order. Kind and lane are its end, 4 bytes that are
written at once: a record that has no kind yet is torn. `reader` says how one that changes while it is read is told
apart.

Other processes see these writes in this order on x86-64. On other processors that is certain only once the writer has
ended.
"""

from __future__ import annotations

import struct
import sys
from enum import IntEnum, unique
from hashlib import blake2b
from zlib import crc32

__all__ = [
    "CLOCK",
    "DATA_BYTES",
    "FIELDS",
    "HEADER",
    "HEADER_BYTES",
    "MAGIC",
    "NAMES_AT",
    "NAME_BYTES",
    "NOWHERE",
    "N_NAMES",
    "PART_BYTES",
    "RECORD",
    "RECORD_BYTES",
    "SAMPLE",
    "SUFFIX",
    "VERSION",
    "Kind",
    "hash64",
    "kind_and_lane",
    "pack_name",
    "sealed",
    "unpack_name",
]

MAGIC = b"hydsring"
VERSION = 2
SUFFIX = ".ring"

DATA_BYTES = 27

NOWHERE = 2**62
"""In place of a slot, where there is no ring."""

FIELDS = (
    ("stamp", "Q", "u8", "hybrid logical time"),
    ("at_ns", "Q", "u8", "nanoseconds of this machine's clock that never goes back"),
    ("id", "Q", "u8", "of the message, task or key"),
    ("n_bytes", "I", "u4", "length of the message, of which `data` is the beginning"),
    ("peer", "I", "u4", "the other end, or the key: a name"),
    ("data", f"{DATA_BYTES}s", f"V{DATA_BYTES}", "first bytes of the message, or a small payload"),
    ("nothing", "x", "V1", "zero"),
    ("kind", "H", "u2", "what happened: `Kind`; never 0, once all the rest is there"),
    ("lane", "H", "u2", "who did it, within the process: a name"),
)
"""A record: name, code of `struct`, type of numpy, meaning."""

RECORD_BYTES = 64
RECORD = struct.Struct("@" + "".join(code for _, code, _, _ in FIELDS).replace("HH", "I"))
"""For writing: kind and lane are one number (`kind_and_lane`), which saves a conversion. In the machine's own byte
order, which packs twice as fast as a stated one."""
assert RECORD.size == RECORD_BYTES

CLOCK = struct.Struct("@qQ")
"""`data` of a CLOCK: by how much the wall's clock went otherwise than the one that never goes back since the last
CLOCK, and a clock that goes on while the machine is suspended; nanoseconds."""

SAMPLE = struct.Struct("@QQQ")
"""`data` of a SAMPLE: processor time of the process in us, bytes of memory it holds, bytes it has in flight."""

HEADER = struct.Struct("@8sIIQQQqqq16s")
"""Magic, version, bytes of a record, slots, process id, its start in ticks, nanoseconds since 1970 and of the clock
that never goes back when the ring was made, the same when it was closed (0: it was not), id of the machine's boot. The
CRC-32 of all this follows."""

NAMES_AT = 4096
NAME_BYTES = 64
"""Of an entry: CRC-32, length, UTF-8."""
HEADER_BYTES = 256 * 2**10
N_NAMES = (HEADER_BYTES - NAMES_AT) // NAME_BYTES
"""Name 0 is nobody's; name 1 is the node's own."""

PART_BYTES = 256 * 2**10
"""Room is made for so much of a ring at a time: 4,096 records, some 50 us."""

_NAME = struct.Struct(f"@IH{NAME_BYTES - 6}s")
_TEXT_BYTES = NAME_BYTES - 6
_TAIL_BYTES = 13
assert HEADER.size + 4 <= NAMES_AT
assert N_NAMES <= 2**16
assert PART_BYTES % RECORD_BYTES == 0


@unique
class Kind(IntEnum):
    """What a record tells."""

    NONE = 0
    """Nothing; never written."""
    SENT = 1
    RECEIVED = 2
    DROPPED = 3
    RESENT = 4
    QUEUED = 5
    STARTED = 6
    ENDED = 7
    PUT = 8
    REMOVED = 9
    SPILLED = 10
    FAILED = 11
    NOTE = 12
    SAMPLE = 13
    """`data` is `SAMPLE`."""
    CLOCK = 14
    """`id` is the time on the wall in ns and `data` is `CLOCK`: with `at_ns` they tell how the clocks run."""


def kind_and_lane(kind: int, lane: int) -> int:
    """Return the number that is both fields in one."""
    return int.from_bytes(struct.pack("@HH", kind, lane), sys.byteorder)


def hash64(data: bytes) -> int:
    """Return a number of 64 bits that stands for `data`, the same in every process.

    Examples
    --------
    >>> hash64(b"order-17") == hash64(b"order-17") != hash64(b"order-18")
    True
    """
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def sealed(header: bytes) -> bytes:
    """Return the bytes with their CRC-32 behind them."""
    return header + struct.pack("@I", crc32(header))


def pack_name(text: str) -> bytes:
    """Return the entry of a name; one that is too long keeps its beginning and gets a hash of all of it.

    Examples
    --------
    >>> unpack_name(pack_name("node-3")), len(unpack_name(pack_name("x" * 100)))
    ('node-3', 58)
    """
    raw = text.encode(errors="replace")
    if len(raw) > _TEXT_BYTES:
        head = raw[: _TEXT_BYTES - _TAIL_BYTES].decode(errors="ignore").encode()
        raw = head + b"~" + f"{hash64(raw):016x}"[:12].encode()
    checked = _NAME.pack(0, len(raw), raw)[4:]
    return struct.pack("@I", crc32(checked)) + checked


def unpack_name(entry: bytes) -> str | None:
    """Return the name; empty where none was written, None where the entry is damaged."""
    if not any(entry):
        return ""
    crc, n_bytes, raw = _NAME.unpack(entry)
    if crc != crc32(entry[4:]) or n_bytes > len(raw):
        return None
    return str(raw[:n_bytes], errors="replace")
