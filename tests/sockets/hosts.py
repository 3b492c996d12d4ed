"""Several hosts on one machine: network namespaces on a bridge of their own, with cables that can be pulled.

Nothing outside is touched: the bridge is in a namespace too, and all addresses are of these namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Self

__all__ = ["Hosts", "why_not"]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def why_not() -> str | None:
    """Say why there can be no hosts here; None when there can."""
    if shutil.which("ip") is None:
        return "there is no program `ip`"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    try:
        with Hosts(1):
            return None
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"


class Hosts:
    """n hosts, `10.77.0.1` and `fd77::1` on."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._made: list[str] = []
        self._name = f"hs{os.getpid()}"
        self._switch = f"{self._name}-s"

    def __enter__(self) -> Self:
        try:
            self._add(self._switch)
            ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
            ip("-n", self._switch, "link", "set", "br0", "up")
            for i in range(self._n):
                self._plug_in(i)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for name in reversed(self._made):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        self._made.clear()

    def address(self, i: int) -> str:
        """IPv4."""
        return f"10.77.0.{i + 1}"

    def address6(self, i: int) -> str:
        """IPv6."""
        return f"fd77::{i + 1:x}"

    def prefix(self, i: int) -> list[str]:
        """What makes a command run on a host."""
        return ["ip", "netns", "exec", self._host(i)]

    def pull(self, i: int) -> None:
        """Pull the cable of a host."""
        ip("-n", self._switch, "link", "set", f"p{i}", "down")

    def plug(self, i: int) -> None:
        """Put it back."""
        ip("-n", self._switch, "link", "set", f"p{i}", "up")

    def cut(self, i: int, j: int) -> None:
        """Break the way between two hosts; both still reach all others."""
        for here, there in ((i, j), (j, i)):
            ip("-n", self._host(here), "route", "add", "unreachable", f"{self.address(there)}/32")

    def _host(self, i: int) -> str:
        return f"{self._name}-{i}"

    def _add(self, name: str) -> None:
        ip("netns", "add", name)
        self._made.append(name)
        ip("-n", name, "link", "set", "lo", "up")

    def _plug_in(self, i: int) -> None:
        host, port = self._host(i), f"p{i}"
        self._add(host)
        ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
        ip("-n", host, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        ip("-n", host, "addr", "add", f"{self.address6(i)}/64", "dev", "eth0", "nodad")
        ip("-n", host, "link", "set", "eth0", "up")
