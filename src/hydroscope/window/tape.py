"""A log's changes in files that outlive the process: written as they happen, read after its death.

A file is memory that the process shares with the system, so that what was stored in it survives
`kill -9`; only the machine's own end loses it. Files are segments of some megabytes:

    header   magic, version, process, when it was started, stamp before all records here, seconds, name ...
    record   length, kind and length of the key, stamp | key | value       (each begins at a multiple of 8 bytes)
    record   ...

Key and value are packed as `wire.values` does. A record's stamp is stored last, as one word: while it is zero there
is no record, and nothing after.

When the files take up more than the window may have, the oldest one goes. Keys whose last
record lies in it are first carried over to the newest, a few with each change, as records that say
"still". So the files always hold the whole state, and a reader knows keys that were not changed for long.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from hydroscope.ground.processes import start_ticks
from hydroscope.ground.record.folder import boot_id
from hydroscope.window.absent import ABSENT
from hydroscope.wire import values

__all__ = [
    "CLOSED_AT",
    "HEADER",
    "HEADER_BYTES",
    "KEY_SHIFT",
    "MAGIC",
    "RECORD",
    "STILL",
    "SUFFIX",
    "VERSION",
    "Kind",
    "Tape",
    "packed",
]

MAGIC: Final = b"hydrowin"
VERSION: Final = 2
SUFFIX: Final = ".window"
HEADER: Final = struct.Struct("<8sIIQQdQ16sQH")
"""Magic, version, process id, its start in ticks, start of the window, seconds, cluster (0: none), the machine's boot,
nanoseconds since 1970 when it was closed (0: it was not), length of the name that follows."""
CLOSED_AT: Final = HEADER.size - 10
HEADER_BYTES: Final = 4096
RECORD: Final = struct.Struct("@IIQ")
"""Length, kind, stamp; in this machine's byte order, which is twice as fast to write."""
KEY_SHIFT: Final = 8
"""Above these bits of the kind is the length of the key."""


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

SEGMENT_BYTES: Final = 2**22
CARRIED: Final = 4
"""Keys that are carried over with each change."""

_RECORD_BYTES: Final = RECORD.size
_pack_into: Final = RECORD.pack_into
_REMOVED: Final = Kind.REMOVED

_encode: Final = msgspec.msgpack.Encoder().encode
_PLAIN: Final = frozenset({str, int, float, bool, bytes})


class Segment:
    """One file, mapped; owned by its tape."""

    __slots__ = ("end", "keys", "map", "number", "path", "size", "start")

    def __init__(self, path: Path, number: int, size: int, start: int, seconds: float, name: str, cluster: int) -> None:
        self.path, self.number, self.size, self.start = path, number, size, start
        with open(path, "x+b", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and not a signal later
            self.map = mmap.mmap(file.fileno(), size)
        title, pid = name.encode()[: HEADER_BYTES - HEADER.size], os.getpid()
        head = HEADER.pack(MAGIC, VERSION, pid, start_ticks(pid), start, seconds, cluster, boot_id(), 0, len(title))
        self.map[: len(head) + len(title)] = head + title
        self.end = HEADER_BYTES
        self.keys: list[Hashable] = []
        """Of its records, in order."""

    def remove(self) -> None:
        """Let go of the file and delete it."""
        self.map.close()
        self.path.unlink(missing_ok=True)


class Tape:
    """Writer of one log's files; used under the log's lock."""

    __slots__ = (
        "_bytes",
        "_carrying",
        "_cluster",
        "_folder",
        "_name",
        "_newest",
        "_places",
        "_seconds",
        "_segments",
        "_stem",
    )

    def __init__(self, folder: Path, name: str, seconds: float, n_bytes: int, start: int, cluster: int = 0) -> None:
        self._name, self._seconds, self._bytes, self._cluster = name, seconds, n_bytes, cluster
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = f"{quote(name, safe='')[:100]}.{os.getpid()}.{start:x}"
        self._places: dict[Hashable, tuple[Segment, int]] = {}
        """Where the last record of each key that is there lies."""
        self._carrying: list[Hashable] | None = None
        self._segments: list[Segment] = []
        self._newest = start
        """The newest stamp of a change that was added."""
        self._open(start, 0)

    def write(self, stamp: int, key: Hashable, value: Any) -> None:
        """Add a change; when this returns it outlives the process. Cost: about 1.5 us."""
        kind = Kind.REMOVED if value is ABSENT else Kind.VALUE
        self.store(stamp, kind, key, packed(key), b"" if value is ABSENT else packed(value))

    def store(self, stamp: int, kind: int, key: Hashable, packed_key: bytes, packed_value: bytes) -> None:
        """Add a change that is packed. Cost: about 1 us; another one for the first change of a key in a file."""
        places, data, segment = self._places, packed_key + packed_value, self._segments[-1]
        n_bytes, at, last = len(data), segment.end, places.get(key)
        begin = at + _RECORD_BYTES
        end = begin + (n_bytes + 7 & ~7)
        if end > segment.size or (last is not None and last[0] is not segment):
            self._make_room(_RECORD_BYTES + 8 + n_bytes)
            last = places.get(key)
            if last is not None and last[0] is not self._segments[-1]:
                self._repeat(key, n_bytes)
            segment, at = self._put(kind | len(packed_key) << KEY_SHIFT, stamp, data)
        else:  # as `_put`: a call less
            segment.end = end
            segment.map[begin : begin + n_bytes] = data
            _pack_into(segment.map, at, n_bytes, kind | len(packed_key) << KEY_SHIFT, stamp)
        if kind == _REMOVED:
            places.pop(key, None)
        else:
            places[key] = (segment, at)
            segment.keys.append(key)
        if stamp > self._newest:
            self._newest = stamp
        if self._carrying is not None:
            self._carry(CARRIED)

    def close(self) -> None:
        """Let go of the files; they stay."""
        for each in self._segments:
            struct.pack_into("<Q", each.map, CLOSED_AT, time.time_ns())
            each.map.close()
        self._segments = []

    def _make_room(self, n_bytes: int) -> None:
        """Begin a new segment if the newest one has no room for so much."""
        while self._segments[-1].end + n_bytes > self._segments[-1].size:
            self._turn(n_bytes)

    def _put(self, kind: int, stamp: int, data: bytes) -> tuple[Segment, int]:
        """Write a record, for which there is room."""
        segment = self._segments[-1]
        at, n_bytes = segment.end, len(data)
        segment.end = at + RECORD.size + (n_bytes + 7 & ~7)
        begin = at + RECORD.size
        segment.map[begin : begin + n_bytes] = data
        RECORD.pack_into(segment.map, at, n_bytes, kind, stamp)
        return segment, at

    def _repeat(self, key: Hashable, n_bytes: int) -> None:
        """Have the value of a key that is about to change in the newest file too, with room for the change.

        Or, when the file that has it goes, nobody could tell what the value was before the change.
        """
        data = self._record(key)[2]
        needed = 2 * (RECORD.size + 8) + len(data) + n_bytes
        self._make_room(needed)
        last_kind, last_stamp, data = self._record(key)  # it may have been carried
        self._places[key] = self._put(last_kind | STILL, last_stamp, data)

    def _record(self, key: Hashable) -> tuple[int, int, bytes]:
        segment, at = self._places[key]
        n_bytes, kind, stamp = RECORD.unpack_from(segment.map, at)
        begin = at + RECORD.size
        return kind, stamp, segment.map[begin : begin + n_bytes]

    def _open(self, start: int, needed: int) -> None:
        number = self._segments[-1].number + 1 if self._segments else 0
        size = max(min(SEGMENT_BYTES, self._bytes // 8), 2 * mmap.PAGESIZE, HEADER_BYTES + needed)
        path = self._folder / f"{self._stem}.{number:08d}{SUFFIX}"
        self._segments.append(Segment(path, number, size, start, self._seconds, self._name, self._cluster))

    def _turn(self, needed: int) -> None:
        """Begin a new segment, and to carry over what the oldest one alone holds if that one is to go."""
        self._open(self._newest, needed)
        if self._carrying is not None:  # not finished within a whole segment: now, at once
            self._carry(len(self._carrying))
        oldest, second = self._segments[0], self._segments[1]
        n_bytes = sum(each.size for each in self._segments)
        n_records = sum(len(each.keys) for each in self._segments) or 1
        live_bytes = len(self._places) * n_bytes // n_records
        is_too_old = second.start < self._newest - int(self._seconds * 1e9)
        is_due = is_too_old or n_bytes > max(self._bytes, 2 * live_bytes)
        if is_due and self._carrying is None and len(self._segments) > 2:
            self._carrying = list(dict.fromkeys(oldest.keys))

    def _carry(self, n: int) -> None:
        """Repeat the next records of the oldest segment that are their keys' last; when there are no more it goes."""
        oldest, carrying = self._segments[0], self._carrying
        while carrying and n:
            n -= 1
            key = carrying[-1]
            if self._places.get(key, (None, 0))[0] is oldest:
                self._make_room(RECORD.size + 8 + len(self._record(key)[2]))
            if self._places.get(key, (None, 0))[0] is oldest:
                kind, stamp, data = self._record(key)
                place = self._put(kind | STILL, stamp, data)
                self._places[key] = place
                place[0].keys.append(key)
            if carrying and carrying[-1] is key:  # else a segment was full, and all was carried already
                carrying.pop()
        if not carrying and self._carrying is carrying:
            self._carrying = None
            self._segments.pop(0).remove()


def packed(value: Any) -> bytes:
    """Return a key or value as bytes; of a type that would not come back the same: `UserError`."""
    if type(value) in _PLAIN:
        try:
            return _encode(value)
        except (OverflowError, UnicodeEncodeError):  # a whole number of more than 64 bits; half of a character
            pass
    return values.pack(value)
