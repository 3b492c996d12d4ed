"""A node of pysyncobj (Raft over TCP; each message is a length, and a compressed pickle), recorded by taps only."""

from __future__ import annotations

import pickletools
import struct
import sys
import threading
import time
import zlib

import hydroscope as hs
from hydroscope.scope.decoding import Decoded
from tests.taps.wrong_clock import WrongClock

__all__ = ["FAULT", "NAMES", "RULES", "decode", "excerpt", "main"]

NAMES = ("append_entries", "request_vote", "response_vote", "next_node_idx")
"""Messages that have to be seen."""

FAULT = "stopped"
"""The finding that names it: the leader is stopped for two seconds."""

RULES = """
ask(t)  = sent "request_vote" by data[19:27]     # a term of Raft
vote(t) = sent "response_vote" by data[19:27]
lead(t) = sent "append_entries" by data[19:27]
ask(t) < vote(t) < lead(t)
"""

_TERM = struct.Struct("<19sq")


def excerpt(message: bytes) -> bytes:
    """Return sort and term of a message: it is compressed, and its beginning says nothing."""
    values = [
        arg
        for code, arg, _ in pickletools.genops(zlib.decompress(message[4:]))
        if arg is not None and "PUT" not in code.name and "GET" not in code.name and code.name != "PROTO"
    ]
    if "type" not in values:
        return b"introduction"
    term = values[values.index("term") + 1] if "term" in values else -1
    return _TERM.pack(str(values[values.index("type") + 1]).encode(), term if isinstance(term, int) else -1)


def decode(first: bytes) -> Decoded | None:
    """Tell what a message is from its excerpt."""
    if first.startswith(b"introduction"):
        return Decoded("introduction", {}, "introduction")
    name, term = _TERM.unpack(first.ljust(_TERM.size, b"\0")[: _TERM.size])
    kind = name.rstrip(b"\0").decode(errors="replace")
    return Decoded(kind, {"term": term}, f"{kind} of term {term}") if kind else None


def main(name: str, folder: str, ahead_s: str, own: str, *others: str) -> None:
    """Run a node until the input ends; print who leads, whenever that changes."""
    rec = hs.Recorder(name, folder=folder, clock=WrongClock(float(ahead_s)))
    hs.taps.install(rec, framer=hs.taps.length_prefixed(4, "little"), excerpt=excerpt)

    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Counter(SyncObj):
        value = 0

        @replicated
        def add(self, number: int) -> int:
            self.value += number
            return self.value

    counter = Counter(own, list(others), SyncObjConf(raftMinTimeout=0.4, raftMaxTimeout=1.0, appendEntriesPeriod=0.05))
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    leader = None
    while not over.is_set():
        now = counter._getLeader()
        if now != leader:
            leader = now
            print("leader", leader, flush=True)
        if leader is not None:
            counter.add(1)
        time.sleep(0.02)
    print("value", counter.value, flush=True)
    rec.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
