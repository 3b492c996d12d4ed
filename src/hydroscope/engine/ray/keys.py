"""`hs.kv` on Ray: who stores, who only holds copies, and who says that a member is gone.

The driver is the authority. On a cluster of several nodes each node's warden is home to a
part of the keys, and the driver and all workers are leaves: they hold copies of what they
use. On a single node the driver stores everything itself, as it dies with that node anyway.

A member that is lost is never restarted: an empty store in its place would answer "absent",
which is wrong. Ray knows first when one dies (a call to it that never returns fails), and
the authority then announces a view without it; members that Ray takes for dead wrongly stop
by themselves, because their lease ends. Nodes that join later get leaves only: homes are
settled by the first view.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from hydroscope.engine.boot import boot_keys
from hydroscope.engine.latch import Latch
from hydroscope.engine.ray.guard import Guard
from hydroscope.engine.ray.warden import Introduction
from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.engine.sockets.start import connect, serve
from hydroscope.node import ports
from hydroscope.node.ports import EngineError

__all__ = ["Keyring", "RayKeys", "keyring_of", "leaf_keys"]

DETECT_S = 10.0
"""Seconds of silence after which a member is given up, should Ray not have told before."""

GATHER_S = 30.0
"""For the nodes' members to start."""

GATHERINGS = 3
"""Times to gather them, should a node be lost meanwhile."""

OPEN_S = 90.0
"""To wait for the store at its first use."""

LOOK_EVERY_S = 0.25
"""Between two looks at whether a member is gone."""


_rings: dict[str, Keyring] = {}
"""By Ray job."""
_sharing = threading.Lock()


class RayKeys:
    """The store of one process of a Ray cluster: a `SocketKeys` whose functions reach all homes.

    Parameters
    ----------
    keys : SocketKeys
    ship : callable
        Gives a function its name at every home.
    """

    name = "ray"
    shared = True

    def __init__(self, keys: SocketKeys, ship: Callable[[str, Callable[..., Any]], None]) -> None:
        self.socket_keys = keys
        self._ship = ship
        self.get, self.put, self.atomic, self.remove = keys.get, keys.put, keys.atomic, keys.remove
        self.keys, self.watch, self.fence = keys.keys, keys.watch, keys.fence

    def __repr__(self) -> str:
        return f"<hydroscope keys on Ray: {self.me}>"

    @property
    def me(self) -> str:
        """How records name this process."""
        return self.socket_keys.me

    def members(self) -> list[str]:
        """Return who belongs now, named as `me` names this process. Cost: free."""
        return self.socket_keys.members()

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Give a function for `atomic` its name, here and at all homes. Cost: a message to each node."""
        self.socket_keys.register(name, function)
        self._ship(name, function)

    def shutdown(self) -> None:
        """Leave the store."""
        self.socket_keys.shutdown()


def keyring_of(ray: Any, guard: Guard) -> Keyring:
    """Return the keyring of the Ray job that this process is: one, however many engines share it; close each."""
    job = ray.get_runtime_context().get_job_id()
    with _sharing:
        ring = _rings.get(job)
        if ring is None:
            ring = _rings[job] = Keyring(ray, guard, lambda: _rings.pop(job, None))
        ring.n_users += 1
    return ring


class Keyring:
    """The driver's side: gathers the members, opens the store, gives up members that Ray says are dead.

    Parameters
    ----------
    ray : module
    guard : Guard
        Knows the wardens.
    forget : callable
        Called when the last user has closed it.
    """

    def __init__(self, ray: Any, guard: Guard, forget: Callable[[], object]) -> None:
        self._ray, self._guard, self._forget = ray, guard, forget
        self.n_users = 0
        self._ready, self._stop = Latch(), threading.Event()
        self._error: BaseException | None = None
        self._provider: RayKeys | None = None
        self._numbers: dict[str, int] = {}
        self._pulses: dict[Any, str] = {}
        self._thread = threading.Thread(target=self._run, name="hydroscope-keyring", daemon=True)
        self._thread.start()

    def open(self) -> RayKeys:
        """Return the store once work can begin. Cost: free, but for the first seconds of a cluster."""
        if not self._ready.wait(OPEN_S) or self._provider is None:
            why = f"{type(self._error).__name__}: {self._error}" if self._error else f"no answer within {OPEN_S:.0f} s"
            raise EngineError(f"the key/value store of this Ray cluster could not be started: {why}") from self._error
        return self._provider

    @property
    def is_open(self) -> bool:
        """Whether `open` returns at once."""
        return self._provider is not None and self._ready.wait(0)

    @property
    def members(self) -> dict[str, int]:
        """The number of each node's member, by Ray node id."""
        return dict(self._numbers)

    def close(self) -> None:
        """End the store, when nobody else uses it."""
        with _sharing:
            self.n_users -= 1
            if self.n_users:
                return
            self._forget()
        self._stop.set()
        self._thread.join(GATHER_S)
        if self._provider is not None:
            if ports.keys_in_use() is self._provider:
                ports.install_keys(None)
            self._provider.shutdown()

    def _run(self) -> None:
        for _ in range(GATHERINGS):
            try:
                self._gather()
            except Exception as error:  # a node went meanwhile: those that are left begin anew; else who opens is told
                self._error = error
            if self._provider is not None or self._stop.is_set():
                break
        self._ready.open()
        while not self._stop.wait(LOOK_EVERY_S):
            with contextlib.suppress(self._ray.exceptions.RaySystemError):  # Ray itself was shut down
                self._look()

    def _gather(self) -> None:
        """Start the authority; have the wardens join; wait until the first view is open."""
        wardens = self._guard.ready_wardens(GATHER_S)
        alone = len(wardens) <= 1
        host = self._ray.util.get_node_ip_address()
        functions = boot_keys().functions  # what was registered before
        keys = serve(
            host,
            secret=secrets.token_bytes(32),
            members=1 if alone else len(wardens),
            stores=alone,
            detect_s=DETECT_S,
            functions=functions,
        )
        introduction = Introduction(str(keys.address), keys.secret.hex(), DETECT_S)
        if not alone:
            joining = {warden.join.remote(introduction): node for node, warden in wardens.items()}
            try:
                self._numbers = self._joined(joining)
            except BaseException:
                keys.shutdown()
                raise
            self._pulses = {wardens[node].live.remote(): node for node in self._numbers}
        self._guard.introduce(introduction)
        self._provider = RayKeys(keys, self._ship)

    def _joined(self, joining: dict[Any, str]) -> dict[str, int]:
        """Return the numbers of all, once they have joined; raise as soon as one cannot: the others wait for it."""
        numbers: dict[str, int] = {}
        waiting = list(joining)
        until = time.monotonic() + GATHER_S
        while waiting:
            done, waiting = self._ray.wait(waiting, num_returns=1, timeout=max(until - time.monotonic(), 0.0))
            if not done:
                raise EngineError(f"not all members have come within {GATHER_S:.0f} s")
            for each in done:
                numbers[joining[each]] = self._ray.get(each)
        return numbers

    def _look(self) -> None:
        """Give up the members whose endless call has ended."""
        if not self._pulses:
            return
        ended, _ = self._ray.wait(list(self._pulses), num_returns=len(self._pulses), timeout=0)
        for each in ended:
            self._lose(self._numbers[self._pulses.pop(each)])

    def _lose(self, number: int) -> None:
        assert self._provider is not None
        authority = self._provider.socket_keys.socket
        authority.tell(lambda now: authority.member.lose(number, now))

    def _ship(self, name: str, function: Callable[..., Any]) -> None:
        wardens = self._guard.wardens
        sent = [wardens[node].register.remote(name, function) for node in self._numbers if node in wardens]
        for each in sent:
            with contextlib.suppress(self._ray.exceptions.RayActorError):  # it is lost, and so is home to nothing
                self._ray.get(each, timeout=GATHER_S)


def leaf_keys(introduction: Introduction, host: str) -> RayKeys:
    """Join as a leaf: how a worker uses the store."""

    def keep(name: str, function: Callable[..., Any]) -> None:
        """Homes learn functions from the driver."""

    secret = bytes.fromhex(introduction.secret)
    keys = connect(introduction.address, secret, host=host, stores=False, detect_s=introduction.detect_s)
    return RayKeys(keys, keep)
