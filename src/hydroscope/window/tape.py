"""A log's changes in files that outlive the process: written as they happen, read after its death.

A file is memory that the process shares with the system, so that what was stored in it survives
`kill -9`; only the machine's own end loses it. Files are segments of some megabytes, laid out as `layout` says.

When the files take up more than the window may have, the oldest one goes. Keys whose last
record lies in it are first carried over to the newest, a few with each change, as records that say
"still". So the files always hold the whole state, and a reader knows keys that were not changed for long.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from hydroscope.ground.errors import UserError
from hydroscope.window.absent import ABSENT
from hydroscope.window.layout import CLOSED_AT, HEADER_BYTES, KEY_SHIFT, MAGIC, RECORD, STILL, SUFFIX, Head, Kind
from hydroscope.wire import values

__all__ = ["Tape", "packed"]

SEGMENT_BYTES: Final = 2**22
CARRIED: Final = 4
"""Keys that are carried over with each change."""

KEY_BYTES_MAX: Final = 2**24 - 1
RECORD_BYTES_MAX: Final = 2**32 - 1
"""What a record's length can say."""

_RECORD_BYTES: Final = RECORD.size
_pack_into: Final = RECORD.pack_into
_REMOVED: Final = Kind.REMOVED

_encode: Final = msgspec.msgpack.Encoder().encode
_PLAIN: Final = frozenset({str, int, float, bool, bytes})


class Segment:
    """One file, mapped; owned by its tape."""

    __slots__ = ("base", "end", "keys", "map", "path", "size", "start")

    def __init__(self, path: Path, base: int, size: int, head: Head) -> None:
        self.path, self.size, self.start = path, size, head.start
        self.base = base
        """Bytes of all segments before."""
        with open(path, "x+b", buffering=0) as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, and not a signal later
                else:
                    file.truncate(size)
                self.map = mmap.mmap(file.fileno(), size)
            except OSError as error:
                path.unlink()
                error.filename = str(path)
                raise
        told = head.packed()
        self.map[len(MAGIC) : len(MAGIC) + len(told)] = told
        self.map[: len(MAGIC)] = MAGIC
        self.end = HEADER_BYTES
        self.keys: list[Hashable] = []
        """Of its records, in order."""

    def remove(self) -> None:
        """Let go of the file and delete it."""
        self.map.close()
        self.path.unlink(missing_ok=True)


class Tape:
    """Writer of one log's files; used under the log's lock.

    Parameters
    ----------
    folder : Path
    head : Head
        Of the first file.
    n_bytes : int
        That the files may take up, or twice what the state takes, if that is more.

    Raises
    ------
    OSError
        Here and when a change is added: there is no room for another file. Then the change is not added.
    """

    __slots__ = ("_bytes", "_carrying", "_folder", "_head", "_n_opened", "_newest", "_places", "_segments", "_stem")

    def __init__(self, folder: Path, head: Head, n_bytes: int) -> None:
        self._folder, self._head, self._bytes = folder, head, n_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = f"{quote(head.name, safe='', errors='replace')[:100]}.{head.pid}.{head.start:x}"
        self._places: dict[Hashable, int] = {}
        """Where the last record of each key that is there lies, counted from the first segment's begin."""
        self._carrying: list[Hashable] | None = None
        self._segments: list[Segment] = []
        self._n_opened = 0
        self._newest = head.start
        """The newest stamp of a change that was added."""
        self._open(head.start, 0)

    def write(self, stamp: int, key: Hashable, value: Any) -> None:
        """Add a change; when this returns it outlives the process. Cost: about 1.5 us."""
        kind = Kind.REMOVED if value is ABSENT else Kind.VALUE
        self.store(stamp, kind, key, packed(key), b"" if value is ABSENT else packed(value))

    def store(self, stamp: int, kind: int, key: Hashable, packed_key: bytes, packed_value: bytes) -> None:
        """Add a change that is packed. Cost: about 1 us; another one for the first change of a key in a file."""
        if self._carrying is not None:
            self._carry(CARRIED)
        places, data, segment = self._places, packed_key + packed_value, self._segments[-1]
        n_bytes, at, base = len(data), segment.end, segment.base
        what = kind | len(packed_key) << KEY_SHIFT
        begin = at + _RECORD_BYTES
        end = begin + (n_bytes + 7 & ~7)
        if end > segment.size or places.get(key, base) < base:
            if len(packed_key) > KEY_BYTES_MAX or n_bytes > RECORD_BYTES_MAX:
                raise UserError(
                    f"{n_bytes:,} bytes, {len(packed_key):,} of them the key's, have no room in a window-log"
                )
            self._make_room(_RECORD_BYTES + 8 + n_bytes)
            if places.get(key, self._segments[-1].base) < self._segments[-1].base:
                self._repeat(key, n_bytes)
            segment = self._segments[-1]
            place = self._put(what, stamp, data)
        else:  # as `_put`: a call less
            segment.end = end  # from here on there is no call until the record is there, and so no Ctrl-C
            segment.map[begin : begin + n_bytes] = data
            _pack_into(segment.map, at, n_bytes, what, stamp)
            place = base + at
        if kind == _REMOVED:
            places.pop(key, None)
        else:
            places[key] = place
            segment.keys.append(key)
        if stamp > self._newest:
            self._newest = stamp

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

    def _put(self, kind: int, stamp: int, data: bytes) -> int:
        """Write a record, for which there is room, and return its place."""
        segment = self._segments[-1]
        at, n_bytes = segment.end, len(data)
        begin = at + RECORD.size
        segment.end = begin + (n_bytes + 7 & ~7)
        segment.map[begin : begin + n_bytes] = data
        RECORD.pack_into(segment.map, at, n_bytes, kind, stamp)
        return segment.base + at

    def _repeat(self, key: Hashable, n_bytes: int) -> None:
        """Have the value of a key that is about to change in the newest file too, with room for the change.

        Or, when the file that has it goes, nobody could tell what the value was before the change.
        """
        kind, stamp, data = self._record(key)
        self._make_room(2 * (RECORD.size + 8) + len(data) + n_bytes)
        self._places[key] = self._put(kind | STILL, stamp, data)
        self._segments[-1].keys.append(key)

    def _record(self, key: Hashable) -> tuple[int, int, bytes]:
        place = self._places[key]
        segment = self._segments[bisect_right(self._segments, place, key=lambda each: each.base) - 1]
        at = place - segment.base
        n_bytes, kind, stamp = RECORD.unpack_from(segment.map, at)
        begin = at + RECORD.size
        return kind, stamp, segment.map[begin : begin + n_bytes]

    def _open(self, start: int, needed: int) -> None:
        size = max(min(SEGMENT_BYTES, self._bytes // 8), 2 * mmap.PAGESIZE, HEADER_BYTES + needed)
        path = self._folder / f"{self._stem}.{self._n_opened:08d}{SUFFIX}"
        base = self._segments[-1].base + self._segments[-1].size if self._segments else 0
        self._segments.append(Segment(path, base, size, replace(self._head, start=start)))
        self._n_opened += 1

    def _turn(self, needed: int) -> None:
        """Begin a new segment, and to carry over what the oldest one alone holds if that one is to go."""
        self._open(self._newest, needed)
        if self._carrying is not None:  # not finished within a whole segment: now, at once
            self._carry(len(self._carrying))
        oldest, second = self._segments[0], self._segments[1]
        n_bytes = sum(each.size for each in self._segments)
        n_records = sum(len(each.keys) for each in self._segments) or 1
        live_bytes = len(self._places) * n_bytes // n_records
        is_too_old = second.start < self._newest - int(min(self._head.seconds * 1e9, 2.0**63))
        is_due = (is_too_old or n_bytes > self._bytes) and n_bytes > 2 * live_bytes  # or it would carry without end
        if is_due and self._carrying is None and len(self._segments) > 2:
            self._carrying = list(dict.fromkeys(oldest.keys))

    def _carry(self, n: int) -> None:
        """Repeat the next records of the oldest segment that are their keys' last; when there are no more it goes."""
        end, carrying = self._segments[1].base, self._carrying
        while carrying and n:
            n -= 1
            key = carrying[-1]
            if self._places.get(key, end) < end:
                kind, stamp, data = self._record(key)
                self._make_room(RECORD.size + 8 + len(data))
                if self._places[key] < end:  # else a segment was full, and all was carried already
                    self._places[key] = self._put(kind | STILL, stamp, data)
                    self._segments[-1].keys.append(key)
            if carrying and carrying[-1] is key:
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
