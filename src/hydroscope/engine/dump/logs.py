"""Window-logs of a cluster's keys: those that lie on this machine, and those of others, by way of their posts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from hydroscope.engine.dump.asking import Asked, tell, until_over
from hydroscope.engine.dump.line import Broken, Line
from hydroscope.ground.errors import CorruptError, DataError
from hydroscope.ground.record.folder import default_folders
from hydroscope.window.files import Written, written
from hydroscope.window.past import PastLog, past_of, read_files
from hydroscope.wire.dumps import PART_BYTES, CatchUp, Done, LogHead, Part, ShipLogs, Unable, Where

__all__ = ["Complete", "Fetched", "catch_up", "fetch", "here", "parts"]

FILE_MAX_BYTES: Final = 2**31
"""More than a file of a log can have."""

Fetched = tuple[list[PastLog], list[str]]
"""Logs, and what is wrong with others."""

Complete = Mapping[str, int]
"""Stamps up to which logs are known to have everything, by their names; of others the clock where they lie says it."""


def catch_up(wheres: Iterable[Where], key: bytes, stamp: int, within_s: float) -> Complete:
    """Have members stamp higher from now on, so that their logs, when they are read next, are complete up to a stamp.

    Those that do not answer in time, or refuse, are left out. Cost: a thread and a connection each, for a millisecond.
    """
    until = time.monotonic() + within_s
    events: SimpleQueue[Asked] = SimpleQueue()
    asked = [tell(where, key, until, events, CatchUp(stamp)) for where in wheres]
    until_over(asked, events, until)
    return {each.where.name: stamp for each in asked if each.is_done}


def here(cluster: int, folders: Iterable[Path] | None = None, complete: Complete | None = None) -> Fetched:
    """Read the logs of a cluster that lie on this machine. Cost: about 0.7 us a change."""
    logs, failures = [], []
    for found in _written(cluster, folders):
        try:
            files, until = read_files(found)
            logs.append(_log(found.head.name, files, until, complete))
        except (DataError, CorruptError, OSError) as error:
            failures.append(str(error))
    return logs, failures


def parts(cluster: int) -> Iterator[LogHead | Part | Unable]:
    """Return what is sent of the logs that lie here. Cost: a copy of each file."""
    for found in _written(cluster):
        try:
            files, until = read_files(found)
        except (DataError, OSError) as error:
            yield Unable(found.head.name, str(error))
            continue
        for file, data in files:
            yield LogHead(found.head.name, file, len(data), until)
            for at in range(0, len(data), PART_BYTES):
                yield Part(memoryview(data)[at : at + PART_BYTES])


def fetch(
    places: dict[int, list[Where]], key: bytes, cluster: int, within_s: float, complete: Complete | None = None
) -> Fetched:
    """Have the logs of other machines sent, one post of each being enough.

    Parameters
    ----------
    places : dict of list of Where
        The posts, by where their logs lie.
    key : bytes
    cluster : int
    within_s : float
    complete : dict of int, optional
        What `catch_up` returned.

    Returns
    -------
    logs, failures
        What came in time, and why the rest did not.
    """
    until = time.monotonic() + within_s
    asked = [_Place(wheres, key, cluster, until, complete) for wheres in places.values()]
    logs, failures = [], []
    for each in asked:
        each.thread.join(max(0.0, until - time.monotonic()))
        each.stop()
        got, failed = each.result or ([], [f"no answer from {each.wheres[0].host} in time"])
        logs += got
        failures += failed
    return logs, failures


def _written(cluster: int, folders: Iterable[Path] | None = None) -> list[Written]:
    return [each for each in written(folders or default_folders())[0] if each.head.cluster == cluster]


def _log(name: str, files: list[tuple[str, bytes]], until: int, complete: Complete | None) -> PastLog:
    return past_of(files, max(until, (complete or {}).get(name, 0)))


class _Place:
    """One machine, asked by a thread that ends with the deadline."""

    def __init__(self, wheres: list[Where], key: bytes, cluster: int, until: float, complete: Complete | None) -> None:
        self.wheres, self._key, self._cluster, self._until, self._complete = wheres, key, cluster, until, complete
        self.result: Fetched | None = None
        self._asked: Asked | None = None
        self.thread = threading.Thread(target=self._run, name="hydroscope-asking", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End it, wherever it is."""
        if self._asked is not None and self.result is None:
            self._asked.stop()

    def _run(self) -> None:
        why = []
        left = len(self.wheres)
        for where in self.wheres:  # each gets its share of the time: the first may hang
            share = time.monotonic() + (self._until - time.monotonic()) / left
            left -= 1
            try:
                self._asked = Asked(where, SimpleQueue())
                with self._asked.line(self._key, share) as line:
                    self.result = self._hear(line)
                    return
            except (Broken, DataError, OSError) as error:
                why.append(f"{where.name} at {where.host}: {error}")
        self.result = [], why

    def _hear(self, line: Line) -> Fetched:
        line.say(ShipLogs(self._cluster))
        files: dict[str, list[tuple[str, bytes]]] = {}
        told: dict[str, LogHead] = {}
        failures = []
        while not isinstance(answer := line.hear(), Done):
            if isinstance(answer, Unable):
                failures.append(f"{answer.what}: {answer.why}")
                continue
            if not isinstance(answer, LogHead) or not 0 <= answer.n_bytes <= FILE_MAX_BYTES:
                raise Broken("it sent something else than window-logs")
            data = bytearray()
            while len(data) < answer.n_bytes:
                part = line.hear()
                if not isinstance(part, Part) or not 0 < len(part.data) <= answer.n_bytes - len(data):
                    raise Broken("it sent something else than the file it had announced")
                data += part.data
            files.setdefault(answer.log, []).append((answer.file, bytes(data)))
            told[answer.log] = answer
        logs = []
        for name, each in files.items():
            try:
                logs.append(_log(name, each, told[name].until, self._complete))
            except (DataError, CorruptError) as error:
                failures.append(str(error))
        return logs, failures
