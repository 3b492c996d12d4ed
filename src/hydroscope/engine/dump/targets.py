"""Whom to ask: the posts of this process's cluster, of the addresses that were given, or of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from hydroscope.engine.cluster import SECRET, secret_of
from hydroscope.engine.dump.gather import Targets, targets_here
from hydroscope.engine.dump.post import Post
from hydroscope.engine.sockets.address import numeric_host, require_exposure
from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import SECRET_BYTES
from hydroscope.node import ports
from hydroscope.wire.dumps import Where, dump_key

__all__ = ["host_and_port", "serve", "targets", "texts"]

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\]\s]+)\]|(?P<host>[^\s\[\]:/]+)):(?P<port>\d{1,5})")


def targets(addresses: Sequence[str] | str | None = None, secret: bytes | str | None = None) -> Targets:
    """Return whom to ask.

    Parameters
    ----------
    addresses : sequence of str, or str
        Of posts and agents, "host:port"; they are asked for the others of their cluster. None: those of the cluster
        that this process belongs to, else those that processes of this user on this machine know of.
    secret : bytes, str or None
        That of the cluster or the agents; None: what HYDROSCOPE_SECRET says. Without addresses none is needed.

    Returns
    -------
    Targets
        Cost: free in a member of a cluster; else some milliseconds, and a second when a process here is stopped.
    """
    if addresses is not None:
        given = secret_of(secret)
        if given is None:
            raise UserError(
                f"recordings of other machines are had with the secret of their cluster or agent: give secret=, or set "
                f"{SECRET}"
            )
        key = dump_key(given)
        each = texts("addresses", addresses)
        return Targets(tuple((Where(address, *host_and_port(address), 0, 0), key) for address in each))
    keys = ports.keys_in_use()
    keys = getattr(keys, "socket_keys", keys)
    if isinstance(keys, SocketKeys) and keys.post is not None:
        return Targets(tuple((where, keys.post.key) for where in keys.posts()))
    return targets_here()


def serve(address: str, secret: bytes | str | None = None) -> Post:
    """Answer for the recordings of this machine until closed.

    Parameters
    ----------
    address : str
        "host:port"; port 0: any that is free.
    secret : bytes, str or None
        Who asks has to know it, at least 16 bytes. None: what HYDROSCOPE_SECRET says.

    Returns
    -------
    Post
        With `.port`.
    """
    host, port = host_and_port(address)
    given = secret_of(secret)
    if given is None or len(given) < SECRET_BYTES:
        raise UserError(
            f"recordings are shipped to who knows a secret of at least {SECRET_BYTES} bytes: set {SECRET} to its "
            "hexadecimal digits, for example those that secrets.token_hex(32) returns, here and where it is asked for"
        )
    require_exposure(host, given)
    try:
        post = Post(host, dump_key(given), lambda: f"agent-{os.getpid()}", port=port)
    except OSError as error:
        raise UserError(
            f"{address!r} cannot be served at: {error.strerror or error}; name an address of this machine, and a port "
            "that is free"
        ) from error
    post.records = False
    return post


def texts(name: str, given: Iterable[str] | str) -> tuple[str, ...]:
    """Return one text or several as several; UserError when it is neither, or none."""
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else ()
    if not found or not all(isinstance(each, str) for each in found):
        raise UserError(f"{name}={given!r} must be a text or a list of texts; leave it out for the default")
    return found


def host_and_port(text: str) -> tuple[str, int]:
    """Return host, as a number, and port.

    Examples
    --------
    >>> host_and_port("[::1]:4711")
    ('::1', 4711)
    """
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match["port"]) > 65_535:
        raise UserError(f"address {text!r} must look like '10.0.0.7:4711' or '[::1]:4711'")
    return numeric_host(match["six"] or match["host"]), int(match["port"])
