"""Locks with a lease, kept under a key and decided at its home by the functions of `kv.leases`."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

from hydroscope.ground.errors import UserError
from hydroscope.node import jobs, ports

__all__ = ["Lease", "lock"]

LOOK_EVERY_S = 1.0
"""Seconds between two tries for a lock, should no change of its key be told."""

LEASE_MAX_S = 86_400.0 * 7


class Lease:
    """A lock that is held; a context manager that gives it back.

    Attributes
    ----------
    key : str
    number : int
        Greater than that of every earlier holder: what the lock protects can refuse a smaller
        one than it has seen, and so a holder that was overtaken without knowing.
    lease_s : float
    """

    def __init__(self, key: str, number: int, lease_s: float) -> None:
        self.key = key
        self.number = number
        self.lease_s = lease_s

    def __repr__(self) -> str:
        return f"<lease {self.number} of {self.key!r} for {self.lease_s:g} s>"

    def renew(self) -> None:
        """Hold it for another `lease_s` from now; UserError when somebody else has it. Cost: one `atomic`."""
        if not ports.keys().atomic(self.key, "lease.renew", self.number, self.lease_s):
            raise self._overtaken()

    def release(self) -> bool:
        """Give it back; False when somebody else had taken it, or it was given back. Cost: one `atomic`."""
        return bool(ports.keys().atomic(self.key, "lease.release", self.number))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self.release() and kind is None:
            raise self._overtaken()

    def _overtaken(self) -> UserError:
        return UserError(
            f"lock {self.key!r}: the lease of {self.lease_s:g} s (number {self.number}) ended and "
            "somebody else took it; both may have done what it protects: use a longer lease_s, or renew() in time"
        )


def lock(key: str, lease_s: float = 30.0, wait_s: float | None = None) -> Lease:
    """Take the lock under `key`; see `hs.kv.lock`."""
    if not 0.0 < lease_s <= LEASE_MAX_S:
        raise UserError(f"lease_s={lease_s!r} must be above 0 and at most {LEASE_MAX_S:.0f} seconds")
    keys, host = ports.keys(), ports.host()
    job = jobs.current()
    holder = keys.me if job is None else f"{keys.me}, job {job.id} ({job.description})"
    deadline = None if wait_s is None else host.seconds() + wait_s
    with keys.watch(key) as watch:
        while True:
            number, left_s, other = keys.atomic(key, "lease.take", holder, float(lease_s))
            if number:
                return Lease(key, number, lease_s)
            if deadline is not None:
                left_s = min(left_s, deadline - host.seconds())
                if left_s <= 0.0:
                    raise TimeoutError(f"lock {key!r} is held by {other}; it was not given back within {wait_s:g} s")
            jobs.check()
            with suppress(ports.NodeLost):  # of another key, or the next try is told
                watch.poll(min(left_s, LOOK_EVERY_S))
