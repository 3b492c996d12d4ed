"""A node of kademlia (a distributed hash table over UDP), recorded by taps only."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import struct
import sys

import hydroscope as hs
from hydroscope.scope.decoding import Decoded
from tests.taps.wrong_clock import WrongClock

__all__ = ["FAULT", "NAMES", "RULES", "decode", "excerpt", "main"]

NAMES = ("ping", "find_node", "find_value", "store")
"""Messages that have to be seen."""

FAULT = "loss"
"""The finding that names it: for two seconds the kernel throws away what is sent to one node."""

RULES = ""

_ATTACH, _DETACH = 26, 27  # SO_ATTACH_FILTER and SO_DETACH_FILTER of Linux
_DEAF_S = 2.0


def excerpt(datagram: bytes) -> bytes:
    """Return a message without the 20 bytes of its id, which leave too little of the rest."""
    return datagram[:1] + datagram[21:]


def decode(first: bytes) -> Decoded | None:
    """Tell what a message is: a call begins with 0 and is a list of name and arguments (MessagePack)."""
    if first[:1] == b"\1":
        return Decoded("answer", {}, "answer")
    if first[:2] != b"\0\x92" or first[2] >> 5 != 0b101:
        return None
    name = first[3 : 3 + (first[2] & 31)].decode(errors="replace")
    return Decoded(name, {}, f"{name}(...)")


def dropped(sock: socket.socket) -> int:
    """Return how many datagrams the kernel has thrown away, of those that were sent to a socket."""
    inode = str(os.fstat(sock.fileno()).st_ino)
    with open("/proc/net/udp", encoding="ascii") as file:
        return next(int(line.split()[-1]) for line in file if line.split()[9] == inode)


async def deaf(sock: socket.socket) -> None:
    """Have the kernel throw away all that is sent to a socket, for a while: by a filter that lets nothing in."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("@HL", 1, ctypes.addressof(program)))
    await asyncio.sleep(_DEAF_S)
    sock.setsockopt(socket.SOL_SOCKET, _DETACH, 0)


async def run(name: str, port: int, others: list[int]) -> None:
    """Run a node until the input ends."""
    from kademlia.network import Server

    loop, over, tasks = asyncio.get_running_loop(), asyncio.Event(), []
    loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)))
    server = Server(ksize=4)
    await server.listen(port, interface="127.0.0.1")
    sock = server.transport.get_extra_info("socket")
    loop.add_signal_handler(signal.SIGUSR1, lambda: tasks.append(loop.create_task(deaf(sock))))
    await server.bootstrap([("127.0.0.1", other) for other in others])
    print("ready", flush=True)
    k = 0
    while not over.is_set():
        k += 1
        calls = [server.set(f"{name}/{k}", k), server.get(f"node-{k % 4 + 1}/{max(k - 3, 1)}")]
        calls += [server.protocol.ping(("127.0.0.1", other), server.node.id) for other in others]
        await asyncio.wait([asyncio.ensure_future(each) for each in calls], timeout=0.2)
        await asyncio.sleep(0.02)
    print("dropped", dropped(sock), flush=True)


def main(name: str, folder: str, ahead_s: str, own: str, *others: str) -> None:
    """Run a node until the input ends; print how many datagrams the kernel threw away."""
    rec = hs.Recorder(name, folder=folder, clock=WrongClock(float(ahead_s)))
    hs.taps.install(rec, excerpt=excerpt)
    asyncio.run(run(name, int(own), [int(each) for each in others]))


if __name__ == "__main__":
    main(*sys.argv[1:])
