"""How a window-log lies in its files, and what each file says of itself.

    header   magic, version, process, when that was started, stamp before all records here, seconds, name ...
    record   length, kind and length of the key, stamp | key | value       (each begins at a multiple of 8 bytes)
    record   ...

Key and value are packed as `wire.values` does. A record's stamp is stored last, as one word: while it is zero there
is no record, and nothing after. The magic is stored last likewise: while it is zero there is no file yet.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Final

from hydroscope.ground.errors import CorruptError
from hydroscope.ground.processes import start_ticks
from hydroscope.ground.record.folder import boot_id, is_alive

__all__ = [
    "CLOSED_AT",
    "HEADER_BYTES",
    "KEY_SHIFT",
    "MAGIC",
    "RECORD",
    "STAMP_MAX",
    "STILL",
    "SUFFIX",
    "Head",
    "Kind",
    "head_of",
]

MAGIC: Final = b"hydrowin"
VERSION: Final = 2
SUFFIX: Final = ".window"
HEADER_BYTES: Final = 4096
HEADER: Final = struct.Struct("<8sIIQQdQ16sQH")
"""Magic, version, process id, its start in ticks, start of the window, seconds, cluster (0: none), the machine's boot,
nanoseconds since 1970 when it was closed (0: it was not), length of the name that follows."""
CLOSED_AT: Final = HEADER.size - 10
RECORD: Final = struct.Struct("@IIQ")
"""Length, kind, stamp; in this machine's byte order, which is twice as fast to write."""
KEY_SHIFT: Final = 8
"""Above these bits of the kind is the length of the key."""
STAMP_MAX: Final = 2**64 - 1
"""The last stamp; until then all is known of a log that nobody writes to any more."""

_NEVER: Final = bytes(len(MAGIC))


class Kind:
    """What a record says of its key."""

    VALUE: Final = 1
    """Its value is what follows."""
    REMOVED: Final = 2
    """It is not there any more."""
    LARGE: Final = 3
    """Its value is too large to be kept; what follows says what it is."""


STILL: Final = 16
"""Added to the kind of a record that was carried over: no change."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself."""

    name: str
    """Of the log."""
    pid: int
    ticks: int
    start: int
    """The stamp before all changes in it."""
    seconds: float
    cluster: int
    """The number of the cluster whose keys these are; 0: none."""
    boot: bytes
    closed_ns: int = 0

    @classmethod
    def of_this_process(cls, name: str, start: int, seconds: float, cluster: int = 0) -> Head:
        """Return that of a log which this process begins to write."""
        pid = os.getpid()
        return cls(name, pid, start_ticks(pid), start, seconds, cluster, boot_id())

    def packed(self) -> bytes:
        """Return the bytes that say so, without the magic's."""
        name = self.name.encode(errors="replace")[: HEADER_BYTES - HEADER.size]
        fields = self.pid, self.ticks, self.start, self.seconds, self.cluster, self.boot, self.closed_ns, len(name)
        return HEADER.pack(_NEVER, VERSION, *fields)[len(MAGIC) :] + name

    @property
    def is_alive(self) -> bool:
        """Whether its log may still be written to, as far as can be told here and now."""
        return not self.closed_ns and is_alive(self.pid, self.ticks, self.boot)


def head_of(data: bytes, source: str) -> Head | None:
    """Return what the first bytes of a file say; None if nothing was written yet.

    Raises
    ------
    CorruptError
        If it is no file of a window-log, or one of another version.
    """
    if len(data) < HEADER_BYTES or data[: len(MAGIC)] == _NEVER:
        return None
    magic, version, pid, ticks, start, seconds, cluster, boot, closed_ns, n_name = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise CorruptError(f"{source} is not a window-log of version {VERSION}; read it with what wrote it")
    name = data[HEADER.size : HEADER.size + n_name].decode(errors="replace")
    return Head(name, pid, ticks, start, seconds, cluster, boot, closed_ns)
