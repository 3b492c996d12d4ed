"""A cluster of processes that share `hs.kv`: start one, join it, leave it. Rows and models stay with each process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from hydroscope.engine.dump.signals import listen
from hydroscope.ground.errors import UserError
from hydroscope.node import ports
from hydroscope.node.ports import EngineError

if TYPE_CHECKING:
    from hydroscope.engine.sockets.keys import SocketKeys
    from hydroscope.kv.functions import Functions

__all__ = ["SECRET", "Cluster", "join_cluster", "secret_of", "start_cluster"]

SECRET = "HYDROSCOPE_SECRET"
"""The environment variable with the secret, in hexadecimal digits."""


class Cluster:
    """This process's place in a cluster; as a context manager it is left at the end of the block.

    Attributes
    ----------
    address : str
        What `join_cluster` of another process needs.
    secret : bytes
        What it needs too, and what nobody else may know.
    post : str or None
        What `hs.timeline(addresses=...)` on another machine needs, with the secret.
    """

    def __init__(self, keys: SocketKeys, before: ports.Keys | None) -> None:
        self.address = str(keys.address)
        self.secret = keys.secret
        self.post = None if keys.post is None else keys.post.address
        self._keys = keys
        self._before = before
        self._left = False

    def __repr__(self) -> str:
        return f"<hydroscope cluster at {self.address}, {len(self.members)} members>"

    @property
    def members(self) -> list[str]:
        """Who belongs to it now."""
        return self._keys.members()

    def wait(self, timeout_s: float = 60.0) -> Self:
        """Wait until all members that the cluster began with have come; EngineError when that takes too long."""
        if not self._keys.opened.wait(timeout_s):
            why = self._keys.waits_for()
            raise EngineError(f"the cluster at {self.address} has not begun within {timeout_s:g} s: {why}")
        if self._keys.out is not None:
            raise EngineError(f"the cluster at {self.address} is over for this process: {self._keys.out}")
        return self

    def leave(self) -> None:
        """Leave it. What only this process held is lost to the others; `hs.kv` is this process's own again."""
        if self._left:
            return
        self._left = True
        if ports.keys_in_use() is self._keys:
            ports.install_keys(self._before)
        self._keys.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


def start_cluster(
    members: int = 1,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    secret: bytes | str | None = None,
    detect_s: float = 10.0,
) -> Cluster:
    """Start a cluster of processes that share `hs.kv`, with this process as its first member.

    Parameters
    ----------
    members : int
        How many processes store keys, this one included. Keys can be used when all have come; one
        that dies before is replaced by the next that joins.
    host : str
        Where the others reach this process. Anything but this machine itself needs a secret.
    port : int
        For datagrams and streams; 0: any that is free.
    secret : bytes, str or None
        What all members share, 16 bytes or more, or the hexadecimal digits of them. None: what
        HYDROSCOPE_SECRET says (in such digits), else drawn; `.secret` of the result has it.
    detect_s : float
        Seconds of silence after which a process is given up, and what it held is lost.

    Returns
    -------
    Cluster
        With `.address` and `.secret` for `join_cluster`. The keys that this process had before are
        not taken along. The cluster ends when this process leaves.

    Notes
    -----
    Cost: some milliseconds, and one thread.

    Examples
    --------
    >>> import hydroscope as hs
    >>> with hs.start_cluster() as cluster:
    ...     hs.kv.put("k", 1, wait=True)
    ...     hs.kv.get("k")
    1
    """
    from hydroscope.engine.sockets.start import serve

    keys = serve(host, port, secret=secret_of(secret), members=members, detect_s=detect_s, functions=_functions())
    listen()
    return Cluster(keys, ports.install_keys(keys))


def join_cluster(
    address: str,
    secret: bytes | str | None = None,
    *,
    host: str | None = None,
    stores: bool = True,
    detect_s: float = 10.0,
    timeout_s: float = 60.0,
) -> Cluster:
    """Join a cluster that another process started; `hs.kv` is then the cluster's.

    Parameters
    ----------
    address : str
        `.address` of what `start_cluster` returned there.
    secret : bytes, str or None
        Its `.secret`, or the hexadecimal digits of it; None: what HYDROSCOPE_SECRET says, in such digits.
    host : str or None
        Where the others reach this process; None: on the same machine.
    stores : bool
        False: hold copies only.
    detect_s : float
        As there.
    timeout_s : float
        Seconds to wait for the first member, and for all that store.

    Returns
    -------
    Cluster

    Notes
    -----
    Cost: two round trips, and the wait for the other members.
    """
    from hydroscope.engine.sockets.start import connect

    given = secret_of(secret)
    if given is None:
        raise UserError(f"a cluster is joined with its secret: give secret=, or set {SECRET}")
    functions = _functions()
    keys = connect(
        address, given, host=host, stores=stores, detect_s=detect_s, timeout_s=timeout_s, functions=functions
    )
    listen()
    return Cluster(keys, ports.install_keys(keys))


def secret_of(secret: bytes | str | None) -> bytes | None:
    """Return a secret that was given, or the environment's, as bytes; of what is none, say so without showing it."""
    name, given = ("secret=", secret) if secret is not None else (SECRET, os.environ.get(SECRET))
    if given is None or isinstance(given, bytes):
        return given
    if not isinstance(given, str):
        raise UserError(
            f"secret= is of type {type(given).__name__}; it is bytes, such as .secret of the cluster that was started, "
            "or their hexadecimal digits, .secret.hex()"
        )
    try:
        return bytes.fromhex(given)
    except ValueError:
        raise UserError(
            f"{name} is text, and must hold hexadecimal digits: those that .secret.hex() of the cluster returns, or "
            "new ones from secrets.token_hex(32)"
        ) from None


def _functions() -> Functions:
    """Return the functions that this process has registered so far."""
    from hydroscope.engine.boot import boot_keys

    return boot_keys().functions
