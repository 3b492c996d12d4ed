"""Start or join a cluster of real processes."""

from __future__ import annotations

import ipaddress
import math
import os
import secrets

import msgspec

from hydroscope.engine.diary import Diary, history_s
from hydroscope.engine.dump.post import Post
from hydroscope.engine.recording import recorder
from hydroscope.engine.sockets.address import (
    LOOPBACK,
    Address,
    numeric_host,
    parse_address,
    require_exposure,
)
from hydroscope.engine.sockets.datagrams import Datagrams, UdpSocket
from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.engine.sockets.member import AUTHORITY, SocketMember
from hydroscope.engine.sockets.witness import Witness
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import UserError
from hydroscope.kv.functions import Functions
from hydroscope.node.member import Member
from hydroscope.node.membership import Settings
from hydroscope.node.ports import EngineError
from hydroscope.wire.dumps import dump_key
from hydroscope.wire.frame import Framing
from hydroscope.wire.messages import NOBODY, MemberInfo

__all__ = ["Parts", "connect", "serve", "settings_of"]


class Parts:
    """What a member is made of; tests replace the sockets, the clock, and where others are told to reach it."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.clock = SystemClock()
        self.datagrams: Datagrams = UdpSocket(host, port)
        self.port = port
        self.advertised_tcp_port = 0


def serve(
    host: str = LOOPBACK,
    port: int = 0,
    *,
    secret: bytes | None = None,
    members: int = 1,
    stores: bool = True,
    detect_s: float = 10.0,
    functions: Functions | None = None,
    parts: Parts | None = None,
) -> SocketKeys:
    """Start a cluster; this process is its authority, and ends it by ending.

    Parameters
    ----------
    host : str
        Where the others reach this process. Anything but this machine itself needs a secret.
    port : int
        For datagrams and streams; 0: any that is free.
    secret : bytes or None
        What all members share, 16 bytes or more; None: drawn, to be read from `.secret`.
    members : int
        How many members store keys; work begins when all have come.
    stores : bool
        Whether this one is among them.
    detect_s : float
        Seconds of silence after which a member is given up; the same for all members.
    functions : Functions or None
        For `atomic`; None: the built-in ones, and what is registered later.

    Returns
    -------
    SocketKeys
        With `.address` and `.secret` for `connect`. Cost: about a millisecond, and one thread.
    """
    host = numeric_host(host)
    require_exposure(host, secret)
    if not 1 <= members < NOBODY:
        raise UserError(f"members={members!r} must be a whole number from 1 to {NOBODY - 1}")
    settings = settings_of(detect_s, members)
    parts = parts or Parts(host, port)
    address = Address(host, parts.datagrams.port, secrets.randbits(63))
    keys, member = _build(
        address, host, secret or secrets.token_bytes(32), AUTHORITY, stores, settings, functions, parts
    )
    member.run(member.member.start)
    return keys


def connect(
    address: str | Address,
    secret: bytes,
    *,
    host: str | None = None,
    stores: bool = True,
    detect_s: float = 10.0,
    timeout_s: float = 60.0,
    functions: Functions | None = None,
    parts: Parts | None = None,
) -> SocketKeys:
    """Join a cluster and wait until work can begin.

    Parameters
    ----------
    address : str or Address
        `.address` of the member that serves.
    secret : bytes
        Its `.secret`.
    host : str or None
        Where the others reach this process; None: on the same machine.
    stores : bool
        False: hold replicas only. (Who comes after work has begun never stores more.)
    detect_s : float
        As in `serve`.
    timeout_s : float
        Seconds to wait for the authority and all storing members.
    functions : Functions or None
        As in `serve`.

    Returns
    -------
    SocketKeys
        Cost: two round trips, and the wait for the other members.
    """
    where = address if isinstance(address, Address) else parse_address(address)
    where = where._replace(host=numeric_host(where.host))
    if host is None:
        if not ipaddress.ip_address(where.host.partition("%")[0]).is_loopback:
            raise UserError(f"the cluster is at {where}; give host=, the address at which it reaches this machine")
        host = where.host
    host = numeric_host(host)
    require_exposure(host, secret)
    parts = parts or Parts(host)
    keys, member = _build(where, host, secret, NOBODY, stores, settings_of(detect_s), functions, parts)
    nonce = secrets.randbits(63)
    member.run(lambda now: member.member.join(nonce, now))
    if not keys.opened.wait(timeout_s) or keys.out is not None:
        reason = keys.out or f"it has not begun within {timeout_s:.0f} s"
        missing = keys.waits_for()
        keys.shutdown()
        raise EngineError(f"cannot join the cluster at {where}: {reason}; {missing}")
    return keys


def settings_of(detect_s: float, members: int = 1) -> Settings:
    """Return the times that follow from the one that is chosen."""
    if not (isinstance(detect_s, int | float) and 0.1 <= detect_s < math.inf):
        raise UserError(f"detect_s={detect_s!r} must be seconds, at least 0.1")
    return Settings(n_founders=members, heartbeat_s=detect_s / 40, lease_s=detect_s * 0.6, detect_s=detect_s)


def _build(
    address: Address,
    host: str,
    secret: bytes,
    number: int,
    stores: bool,
    settings: Settings,
    functions: Functions | None,
    parts: Parts,
) -> tuple[SocketKeys, SocketMember]:
    known = functions or Functions(lambda: parts.clock.wall_ns() / 1e9)
    keys = SocketKeys(address, secret, known, settings.detect_s)

    def member_of(info: MemberInfo) -> Member:
        return Member(info, address.cluster, parts.clock, known, authority=AUTHORITY, settings=settings)

    life = secrets.randbits(62) + 1
    info = MemberInfo(number, life, host, parts.datagrams.port, parts.advertised_tcp_port, stores)
    post = None
    try:
        seconds = history_s()
        rec = recorder("authority" if number == AUTHORITY else "member")
        post = post_of(keys, host)
        if post is not None:
            info = msgspec.structs.replace(info, post_port=post.port, pid=os.getpid(), place=post.place)
            post.note = post.note if rec is None else rec.note
        framing = Framing(address.cluster, secret)
        reach = None if number == AUTHORITY else (address.host, address.port)
        witness = None if rec is None else Witness(rec, address.cluster)
        member = SocketMember(member_of, info, framing, parts.datagrams, parts.clock, keys, reach, parts.port, witness)
    except BaseException:
        parts.datagrams.close()
        if post is not None:
            post.close()
        raise
    keys.attach(member, post, Diary(address.cluster, seconds, rec) if seconds else None)
    return keys, member


def post_of(keys: SocketKeys, host: str) -> Post | None:
    """Return a post that answers for the process of these keys; None: it could not be, and nothing else needs it."""
    try:
        return Post(host, dump_key(keys.secret), keys.member_name, keys.posts)
    except (OSError, RuntimeError):
        return None
