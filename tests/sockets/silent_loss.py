"""The silent loss of TCP, made on purpose: the sender is told of success, the receiver never got it.

A receiver that is overloaded does not call accept. Its kernel completes the handshake all the
same, acknowledges what arrives, and keeps it for a process that will never read it. When the
process then drops what waits (it restarts, it sheds load, its backlog overflows), all of it is
gone: connect, send, shutdown and close have succeeded long before.
"""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass

from tests.sockets.conductor import Cluster, until
from tests.sockets.faults import Relay
from tests.sockets.worker import blob

MESSAGE = b"x" * 2000


@dataclass(frozen=True)
class Sent:
    """What became of messages. `n_believed`: every call of the sender succeeded."""

    n_messages: int
    n_believed: int
    n_arrived: int


def sent_by_plain_tcp(n_messages: int) -> Sent:
    """Send messages, a connection each, to a receiver that is overloaded and then restarts."""
    believed = arrived = 0
    with socket.socket() as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind(("127.0.0.1", 0))
        receiver.listen(n_messages)
        address = receiver.getsockname()
        for _ in range(n_messages):
            with socket.create_connection(address, timeout=5) as sender:
                sender.sendall(MESSAGE)
                sender.shutdown(socket.SHUT_WR)
                believed += 1
    with socket.socket() as receiver:  # closing dropped what waited; here it is again, at the same port
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind(address)
        receiver.listen(n_messages)
        receiver.settimeout(0.5)
        try:
            while True:
                connection, _ = receiver.accept()
                with connection:
                    arrived += connection.recv(len(MESSAGE)) == MESSAGE
        except TimeoutError:
            pass
    return Sent(n_messages, believed, arrived)


def carried_by_a_member(size_bytes: int) -> str:
    """Send a large value to a member behind such a receiver: it drops what waits, then behaves."""
    relay = Relay("overloaded")
    try:
        with Cluster(2, detect_s=10.0, each={1: {"advertised_tcp_port": relay.port}}) as cluster:
            relay.target = ("127.0.0.1", cluster[1].tcp_port)
            put = cluster[0].begin("put_blob", "@1/large", 9, size_bytes)
            until(lambda: cluster[0].look("counters").get("streams opened", 0) > 0)
            relay.drop_waiting()
            put.result()
            told = cluster[1].do("sha_of", "@1/large")
            assert told == [size_bytes, hashlib.sha256(blob(9, size_bytes)).hexdigest()]
            n = cluster[0].look("counters")["streams opened"]
            return f"{size_bytes / 1e6:.0f} MB arrived identical over connection {n}"
    finally:
        relay.close()
