"""A log's changes in files that outlive the process: written as they happen, read after its death.

A file is memory that the process shares with the system, so that what was stored in it survives
`kill -9`; only the machine's own end loses it. Files are segments of some megabytes:

    header   magic, version, process, when it was started, stamp before all records here, seconds, name
    record   length, kind, stamp | the key and value, packed           (each begins at a multiple of 8 bytes)
    record   ...

A record's stamp is stored last, as one word: while it is zero there is no record, and nothing after.

When the files take up more than the window may have, the oldest one goes. Keys whose last
record lies in it are first carried over to the newest, a few with each change, as records that say
"still". So the files always hold the whole state, and a reader knows keys that were not changed for long.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from hydroscope.ground.processes import start_ticks
from hydroscope.window.history import ABSENT
from hydroscope.wire import values

__all__ = ["HEADER", "HEADER_BYTES", "MAGIC", "RECORD", "STILL", "SUFFIX", "VERSION", "Kind", "Tape"]

MAGIC: Final = b"hydrowin"
VERSION: Final = 1
SUFFIX: Final = ".window"
HEADER: Final = struct.Struct("<8sIIQQdH")
"""Magic, version, process id, its start in ticks, start of the window, seconds, length of the name that follows."""
HEADER_BYTES: Final = 4096
RECORD: Final = struct.Struct("@IIQ")
"""Length, kind, stamp; in this machine's byte order, which is twice as fast to write."""


class Kind:
    """What a record's bytes are."""

    PLAIN: Final = 1
    """Key and value as MessagePack."""
    PACKED: Final = 2
    """Key and value, each as `wire.values` packs it, as MessagePack of bytes."""
    REMOVED: Final = 3
    """The key, likewise."""


STILL: Final = 16
"""Added to the kind of a record that was carried over: no change."""

SEGMENT_BYTES: Final = 2**22
CARRIED: Final = 4
"""Keys that are carried over with each change."""

_encode: Final = msgspec.msgpack.Encoder().encode
_PLAIN: Final = frozenset({str, int, float, bool, bytes})


class Segment:
    """One file, mapped; owned by its tape."""

    __slots__ = ("end", "keys", "map", "number", "path", "size", "start")

    def __init__(self, path: Path, number: int, size: int, start: int, seconds: float, name: str) -> None:
        self.path, self.number, self.size, self.start = path, number, size, start
        with open(path, "x+b", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and not a signal later
            self.map = mmap.mmap(file.fileno(), size)
        title = name.encode()[: HEADER_BYTES - HEADER.size]
        head = HEADER.pack(MAGIC, VERSION, os.getpid(), start_ticks(os.getpid()), start, seconds, len(title))
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

    __slots__ = ("_bytes", "_carrying", "_folder", "_name", "_places", "_seconds", "_segments", "_stem")

    def __init__(self, folder: Path, name: str, seconds: float, n_bytes: int, start: int) -> None:
        self._name, self._seconds, self._bytes = name, seconds, n_bytes
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = f"{quote(name, safe='')[:100]}.{os.getpid()}.{start:x}"
        self._places: dict[Hashable, tuple[Segment, int]] = {}
        """Where the last record of each key that is there lies."""
        self._carrying: list[Hashable] | None = None
        self._segments: list[Segment] = []
        self._open(start, 0)

    def write(self, stamp: int, key: Hashable, value: Any) -> None:
        """Add a change; when this returns it outlives the process. Cost: about 1.5 us."""
        kind, data = packed(key, value)
        segment, at = self._put(kind, stamp, data)
        if value is ABSENT:
            self._places.pop(key, None)
        else:
            self._places[key] = (segment, at)
            segment.keys.append(key)
        if self._carrying is not None:
            self._carry(CARRIED)

    def close(self) -> None:
        """Let go of the files; they stay."""
        for each in self._segments:
            each.map.close()
        self._segments = []

    def _put(self, kind: int, stamp: int, data: bytes) -> tuple[Segment, int]:
        segment = self._segments[-1]
        at, n_bytes = segment.end, len(data)
        end = at + RECORD.size + (n_bytes + 7 & ~7)
        if end > segment.size:
            self._turn(stamp, RECORD.size + n_bytes + 8)
            return self._put(kind, stamp, data)
        segment.end = end
        begin = at + RECORD.size
        segment.map[begin : begin + n_bytes] = data
        RECORD.pack_into(segment.map, at, n_bytes, kind, stamp)
        return segment, at

    def _open(self, start: int, needed: int) -> None:
        number = self._segments[-1].number + 1 if self._segments else 0
        size = max(min(SEGMENT_BYTES, self._bytes // 8), 2 * mmap.PAGESIZE, HEADER_BYTES + needed)
        path = self._folder / f"{self._stem}.{number:08d}{SUFFIX}"
        self._segments.append(Segment(path, number, size, start, self._seconds, self._name))

    def _turn(self, stamp: int, needed: int) -> None:
        """Begin a new segment, and to carry over what the oldest one alone holds if that one is to go."""
        self._open(stamp - 1, needed)
        if self._carrying is not None:  # not finished within a whole segment: now, at once
            self._carry(len(self._carrying))
        oldest, second = self._segments[0], self._segments[1]
        n_bytes = sum(each.size for each in self._segments)
        n_records = sum(len(each.keys) for each in self._segments) or 1
        live_bytes = len(self._places) * n_bytes // n_records
        is_too_old = second.start < stamp - int(self._seconds * 1e9)
        is_due = is_too_old or n_bytes > max(self._bytes, 2 * live_bytes)
        if is_due and self._carrying is None and len(self._segments) > 2:
            self._carrying = list(dict.fromkeys(oldest.keys))

    def _carry(self, n: int) -> None:
        """Repeat the next records of the oldest segment that are their keys' last; when there are no more it goes."""
        oldest, carrying = self._segments[0], self._carrying
        while carrying and n:
            n -= 1
            key = carrying[-1]
            segment, at = self._places.get(key, (None, 0))
            if segment is oldest:
                n_bytes, kind, stamp = RECORD.unpack_from(oldest.map, at)
                begin = at + RECORD.size
                place = self._put(kind | STILL, stamp, oldest.map[begin : begin + n_bytes])
                self._places[key] = place
                place[0].keys.append(key)
            if carrying and carrying[-1] is key:  # else a segment was full, and all was carried already
                carrying.pop()
        if not carrying and self._carrying is carrying:
            self._carrying = None
            self._segments.pop(0).remove()


def packed(key: Hashable, value: Any) -> tuple[int, bytes]:
    """Return a change's kind and bytes; of types that would not come back the same: `UserError`."""
    if value is ABSENT:
        return Kind.REMOVED, values.pack(key)
    if type(key) in _PLAIN and type(value) in _PLAIN:
        try:
            return Kind.PLAIN, _encode((key, value))
        except OverflowError:  # a whole number of more than 64 bits
            pass
    return Kind.PACKED, _encode((values.pack(key), values.pack(value)))
