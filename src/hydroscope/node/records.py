"""What all processes of a cluster can see of a job: a record under a key, and a key that stops it.

Only the job's own process writes the record, at most every `EVERY_S` and only once the job has
lasted `AFTER_S`: short work leaves no record and costs nothing. Each record has a copy at a
second member, and the last one is written before the job says that it has ended. To stop a job
anybody puts its stop key, which the job's process looks at when it writes, and no more often.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

from hydroscope.ground.errors import HydroscopeError, UserError
from hydroscope.node import ports

__all__ = ["Entry", "JobRecord", "jobs"]

RECORDS = "job/"
STOPS = "job-stop/"

AFTER_S = 0.1
"""Seconds a job lasts before it is recorded, unless it runs on a thread of its own."""

EVERY_S = 0.05
"""Seconds between two records of one job."""

HURRY_S = 1e-4
"""Seconds between two looks at the clock; of calls that come faster some do not look."""

SKIPPED_MAX = 15
"""Calls that do not look, after a good many that came fast."""

KEPT = 100
"""Records of jobs of this process that have ended."""

LIVE = ("CREATED", "RUNNING")


class JobRecord(NamedTuple):
    """A job as any process sees it.

    Attributes
    ----------
    id : int
        Counts from 1 in the process that does it.
    owner : str
        That process.
    description : str
    state : str
        "CREATED", "RUNNING", "DONE", "FAILED", "CANCELLED", or "LOST" when its process was lost.
    progress : float
        0..1.
    message : str
        What it said last; of a failed one, the error.
    started, finished : float or None
        Seconds since 1970 UTC.
    """

    id: int
    owner: str
    description: str
    state: str
    progress: float
    message: str
    started: float | None
    finished: float | None

    @property
    def key(self) -> str:
        """Where it is kept."""
        return f"{RECORDS}{self.owner}/{self.id}"

    def cancel(self) -> bool:
        """Ask the job to stop, wherever it runs; it does at its next check. False when it has ended already.

        Cost: one `put` that waits.
        """
        if self.state not in LIVE:
            return False
        keys = ports.keys()
        own = _live.get(self.id) if self.owner == keys.me else None
        if own is not None:
            own.ask_to_stop()
        else:
            keys.put(f"{STOPS}{self.owner}/{self.id}", True, wait=True)
        return True


class Owner(Protocol):
    """What a record is made of."""

    id: int

    def record(self, owner: str) -> JobRecord:
        """Return what there is to see now."""

    def ask_to_stop(self) -> None:
        """Note that the job is to end."""


class Entry:
    """The place of one running job among the records; its own thread calls it."""

    __slots__ = ("_due_s", "_job", "_keys", "_looked_s", "_skip", "_skipped")

    def __init__(self, job: Owner, started_s: float, now: bool) -> None:
        self._job = job
        self._due_s = started_s + AFTER_S
        self._looked_s = 0.0
        self._skip = self._skipped = 0
        self._keys: ports.Keys | None = None
        _live[job.id] = job
        if now:
            self._write(started_s)

    def look(self) -> None:
        """Write the record and look whether the job is to stop, if it is time for that."""
        if self._skip:
            self._skip -= 1
            return
        now_s = ports.host().seconds()
        is_fast = now_s - self._looked_s < HURRY_S
        self._skip = self._skipped = min(2 * self._skipped + 1, SKIPPED_MAX) if is_fast else 0
        self._looked_s = now_s
        if now_s >= self._due_s:
            self._write(now_s)

    def close(self) -> None:
        """Write what came of it, if anything was ever written."""
        _live.pop(self._job.id, None)
        keys = self._keys
        if keys is None:
            return
        record = self._job.record(keys.me)
        try:
            keys.put(record.key, record._asdict(), wait=True, durable=True)
            if keys.shared and keys.get(stop := f"{STOPS}{record.owner}/{record.id}"):
                keys.remove(stop)
            _ended.append(record.key)
            while len(_ended) > KEPT:
                keys.remove(_ended.popleft())
        except HydroscopeError:
            return  # a record that cannot be kept does no harm to the job

    def _write(self, now_s: float) -> None:
        self._due_s = now_s + EVERY_S
        is_first = self._keys is None
        try:
            keys = self._keys = self._keys or ports.keys_at_once()
            if keys is None:  # a cluster that still begins: work does not wait for its store
                return
            record = self._job.record(keys.me)
            # Waited for, so that a lost home is told here, and not at the next fence to what the job does.
            # Durable once: durable from then on.
            keys.put(record.key, record._asdict(), wait=True, durable=is_first)
            stop = keys.shared and keys.get(f"{STOPS}{record.owner}/{record.id}")
        except HydroscopeError:
            return
        if stop:
            self._job.ask_to_stop()


_live: dict[int, Owner] = {}
_ended: deque[str] = deque()


def jobs(running: bool = False) -> list[JobRecord]:
    """Return the jobs of all processes of the cluster: those that run, and the last that have ended.

    Parameters
    ----------
    running : bool
        Only those that have not ended.

    Returns
    -------
    list of JobRecord
        By the time they started. `cancel()` of one asks it to stop.

    Notes
    -----
    Work that ends within a tenth of a second leaves no record, unless it was started with an
    `_async` method. Of a process that was lost, what ran is "LOST".
    Cost: one look at every key on every member.
    """
    keys = ports.keys()
    found = {each.key: each for job in list(_live.values()) if (each := job.record(keys.me)).state in LIVE}
    members = set(keys.members())
    for key in keys.keys(RECORDS, partial=True):  # each has a second copy
        try:
            value = None if key in found else keys.get(key)
        except ports.NodeLost:
            continue  # lost between the two looks
        if value is not None:
            found[key] = _read(key, value, members)
    chosen = [each for each in found.values() if not running or each.state in LIVE]
    return sorted(chosen, key=lambda each: (each.started or 0.0, each.owner, each.id))


def _read(key: str, value: Any, members: set[str]) -> JobRecord:
    if not isinstance(value, dict) or set(value) != set(JobRecord._fields):
        raise UserError(f"key {key!r} does not hold a job's record; remove it: hs.kv.remove({key!r})")
    record = JobRecord(**value)
    if record.state in LIVE and record.owner not in members:
        return record._replace(state="LOST", message=f"its process {record.owner} was lost")
    return record
