"""What a log left in its files, read as a log that takes no more changes."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from hydroscope.ground.errors import CorruptError, HydroscopeError, UserError, unknown_name
from hydroscope.ground.processes import start_ticks
from hydroscope.window.cut import Cut
from hydroscope.window.errors import outside
from hydroscope.window.history import ABSENT, GONE, ROW_BYTES, Beginning, Block, Chunk, History
from hydroscope.window.tape import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    RECORD,
    STILL,
    SUFFIX,
    VERSION,
    Kind,
)
from hydroscope.wire import values

__all__ = ["PastLog", "read_window"]

CHUNK_ENTRIES: Final = 8192
_STAMP_MAX: Final = 2**64 - 1
_decode: Final = msgspec.msgpack.Decoder(tuple[Any, Any]).decode


class PastLog:
    """A log as its files have it; `snapshot` and all queries take it like one in use.

    Attributes
    ----------
    name : str
    pid : int
        Of its writer.
    is_alive : bool
        Whether the writer ran when it was read: then the log goes on beyond what was read.
    """

    def __init__(self, history: History, state: Cut, pid: int, is_alive: bool, seconds: float) -> None:
        self.name = history.name
        self.pid = pid
        self.is_alive = is_alive
        self._seconds = seconds
        self._history = history
        self._end = state

    @property
    def start(self) -> int:
        """The stamp from which on the state is known."""
        return self._history.start

    def history(self) -> History:
        """Return all entries. Cost: free."""
        return self._history

    def cut(self, stamp: int | None = None) -> Cut:
        """Return the state at a stamp (default: the last). Cost: O(keys + entries since), about 30 ns each."""
        history = self._history
        target = min(history.until, _STAMP_MAX) if stamp is None else stamp
        if not history.covers(target):
            raise outside(history, target)
        cut = self._end.copy()
        cut.move(target, self)
        return cut


def read_window(folder: str | Path, name: str | None = None) -> PastLog:
    """Read the files of a log, whose writer may be dead.

    Parameters
    ----------
    folder : path
        That the log was given.
    name : str, optional
        Of the log, if there are several. Of several writers in turn under one name the last one counts.

    Returns
    -------
    PastLog
        For `snapshot(logs=...)`.

    Raises
    ------
    UnknownNameError
        If there are no files of such a log.
    CorruptError
        If a file is not what it says.

    Notes
    -----
    Cost: about 1.5 us an entry.
    """
    until = time.time_ns()  # what is stamped from now on may be missing
    writers: dict[str, dict[str, list[_Segment]]] = {}
    for path in sorted(Path(folder).glob(f"*{SUFFIX}")):
        segment = _Segment.read(path)
        if segment is not None:
            writers.setdefault(segment.name, {}).setdefault(segment.writer, []).append(segment)
    if name is None and len(writers) != 1:
        if writers:
            raise UserError(f"folder {folder} has the logs {', '.join(sorted(writers))}; say which")
        raise UserError(f"folder {folder} has no files of window-logs (*{SUFFIX}); give the one that WindowLog got")
    name = next(iter(writers)) if name is None else name
    if name not in writers:
        raise unknown_name("log", name, writers, f"folder {folder}")
    segments = max(writers[name].values(), key=lambda each: each[-1].start)
    return _assembled(segments, until)


@dataclass(frozen=True, slots=True)
class _Segment:
    """One file's bytes, and what its header says."""

    path: Path
    name: str
    pid: int
    ticks: int
    start: int
    seconds: float
    data: bytes

    @classmethod
    def read(cls, path: Path) -> _Segment | None:
        """Return a file's content; None if it went away, or nothing had been written."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) < HEADER_BYTES or data[:8] == bytes(8):
            return None
        magic, version, pid, ticks, start, seconds, n_title = HEADER.unpack_from(data)
        if magic != MAGIC or version != VERSION:
            raise CorruptError(f"{path} is not a window-log of version {VERSION}; read it with what wrote it")
        name = data[HEADER.size : HEADER.size + n_title].decode(errors="replace")
        return cls(path, name, pid, ticks, start, seconds, data)

    @property
    def writer(self) -> str:
        """What all files of one writer have in common."""
        return self.path.name.removesuffix(SUFFIX).rpartition(".")[0]

    def records(self) -> Iterator[tuple[int, int, Hashable, Any]]:
        """Yield kind, stamp, key and value of each record, up to the first that was not finished."""
        at, data = HEADER_BYTES, self.data
        while at + RECORD.size <= len(data):
            n_bytes, kind, stamp = RECORD.unpack_from(data, at)
            if stamp == 0:
                return
            begin = at + RECORD.size
            try:
                yield kind, stamp, *_unpacked(kind & ~STILL, data[begin : begin + n_bytes])
            except (ValueError, HydroscopeError) as error:
                raise CorruptError(f"{self.path}, byte {at}: {error}; the file was damaged") from error
            at = begin + (n_bytes + 7 & ~7)


def _unpacked(kind: int, data: bytes) -> tuple[Hashable, Any]:
    if kind == Kind.PLAIN:
        return _decode(data)
    if kind == Kind.PACKED:
        key, value = _decode(data)
        return values.unpack(key), values.unpack(value)
    if kind == Kind.REMOVED:
        return values.unpack(data), ABSENT
    raise CorruptError(f"a record of kind {kind}, which there is not")


def _assembled(segments: list[_Segment], until: int) -> PastLog:
    """Put the records in the order of their stamps, and find their old values."""
    first = segments[0]
    keys: list[Hashable] = []
    numbers: dict[Hashable, int] = {}
    state: list[int] = []
    is_changed: list[bool] = []
    stamps: list[int] = []
    ids: list[int] = []
    new: list[int] = []
    values: list[Any] = []
    for segment in segments:
        for kind, stamp, key, value in segment.records():
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(keys)
                keys.append(key)
                state.append(GONE)
                is_changed.append(False)
            slot = GONE if value is ABSENT else len(values)
            values.append(value)
            if kind & STILL:
                if not is_changed[number]:
                    state[number] = slot
                continue
            is_changed[number] = True
            stamps.append(max(stamp, first.start + 1))
            ids.append(number)
            new.append(slot)
    order = np.argsort(np.array(stamps, np.uint64), kind="stable").tolist()
    old: list[int] = []
    for row in order:
        old.append(state[ids[row]])
        state[ids[row]] = new[row]
    chunks = [
        Chunk(
            np.array([stamps[row] for row in rows], np.uint64),
            np.array([ids[row] for row in rows], np.uint32),
            np.array(old[begin : begin + len(rows)], np.int64),
            np.array([new[row] for row in rows], np.int64),
            ROW_BYTES * len(rows),
        )
        for begin in range(0, len(order), CHUNK_ENTRIES)
        if (rows := order[begin : begin + CHUNK_ENTRIES])
    ]
    is_alive = first.ticks != 0 and start_ticks(first.pid) == first.ticks
    newest = int(chunks[-1].stamps[-1]) if chunks else first.start
    until = max(until, newest) if is_alive else _STAMP_MAX
    beginning = Beginning(np.zeros(0, np.object_))
    history = History(
        first.name, (0, 0), first.start, until, chunks, keys, numbers, len(keys), [Block(0, values)], beginning
    )
    end = Cut(history, np.array(state, np.int64), until, history.n_entries)
    return PastLog(history, end, first.pid, is_alive, first.seconds)
