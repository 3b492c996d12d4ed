"""Where a member can be reached, and who may bind what: loopback is free, anything else is asked for by name."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import SECRET_BYTES
from hydroscope.wire.messages import MemberInfo, View

__all__ = ["LOOPBACK", "Address", "Routes", "family_of", "numeric_host", "parse_address", "require_exposure"]

LOOPBACK = "127.0.0.1"

OTHERS_MAX = 1024
"""Lives outside the view whose address is known; of more, the oldest is forgotten."""

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\]\s]+)\]|(?P<host>[^\s\[\]:/]+)):(?P<port>\d{1,5})/(?P<cluster>[0-9a-f]{1,16})")


class Address(NamedTuple):
    """Where the authority of a cluster is, and which cluster it is (another one may come to use the same port)."""

    host: str
    port: int
    cluster: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.cluster:x}"


class Routes:
    """Where lives of members are reached: host, port of datagrams, port of streams."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[str, int, int]] = {}
        """By life, of those in the view."""
        self._others: dict[int, tuple[str, int, int]] = {}  # newcomers, and who was given up

    def find(self, life: int) -> tuple[str, int, int] | None:
        """Return where a life is, be it in the view or not."""
        return self.of.get(life) or self._others.get(life)

    def remember(self, info: MemberInfo) -> None:
        """Note where somebody who says hello can be answered; of too many, forget the oldest."""
        self._others.pop(info.life, None)
        self._others[info.life] = (info.host, info.udp_port, info.tcp_port)
        while len(self._others) > OTHERS_MAX:
            del self._others[next(iter(self._others))]

    def enter(self, view: View) -> None:
        """Reach the members of a view; who was given up can still be told so."""
        self._others |= self.of
        self.of = {info.life: (info.host, info.udp_port, info.tcp_port) for info in view.members}
        for life in [life for life in self._others if life in self.of]:
            del self._others[life]


def parse_address(text: str) -> Address:
    """Return what an `Address` printed as.

    Examples
    --------
    >>> parse_address("[::1]:4711/2b")
    Address(host='::1', port=4711, cluster=43)
    """
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise UserError(
            f"address {text!r} must look like '127.0.0.1:4711/5d0c81f2' or '[::1]:4711/5d0c81f2'; "
            "the member that serve() returns has it as .address"
        )
    return Address(match["six"] or match["host"], int(match["port"]), int(match["cluster"], 16))


def numeric_host(host: str) -> str:
    """Return the address that a name stands for, so that no packet has to look it up."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise UserError(f"host {host!r} has no address ({error}); give an address such as {LOOPBACK}") from error
    return str(found[0][4][0])


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of a numeric host."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def require_exposure(host: str, secret: bytes | None) -> None:
    """Refuse to be reachable from other machines without a secret, and at every address at once."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        raise UserError(f"host {host!r} means every network of this machine; name the one address others shall use")
    if secret is None:
        if address.is_loopback:
            return
        raise UserError(
            f"host {host!r} can be reached from other machines; give all members the same secret=, "
            f"at least {SECRET_BYTES} bytes, for example secrets.token_bytes(32)"
        )
    if not isinstance(secret, bytes) or len(secret) < SECRET_BYTES:
        raise UserError(f"secret= must be at least {SECRET_BYTES} bytes, for example secrets.token_bytes(32)")
