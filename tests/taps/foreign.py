"""Two foreign systems, instrumented by taps only: what a timeline shows of them, and whether it finds what went wrong.

`python -m tests.taps.foreign` starts five real processes of each, with clocks that are seconds apart, injects a fault,
reads the rings and prints the table.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from hydroscope.ground.record.about import rings
from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.scope.timeline import Timeline
from tests.taps import gossip, raft

__all__ = ["Outcome", "main", "watch_gossip", "watch_raft"]

N_NODES = 5
AHEAD_S = (0.0, 3.7, -2.2, 5.0, -4.1)
DEADLINE_S = 40
ROOT = Path(__file__).parents[2]


@dataclass
class Node:
    """A process, and the lines it has printed."""

    name: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def last(self, word: str) -> str | None:
        """Return the rest of the last line that begins so."""
        return next((each[len(word) + 1 :] for each in reversed(self.lines) if each.startswith(word + " ")), None)


@dataclass
class Outcome:
    """What was done, and what a timeline made of it."""

    system: str
    timeline: Timeline
    injected: str
    victim: str
    fault: str
    """The kind of finding that names it."""
    known: int | None = None
    """What the kernel says of it, if it does."""

    @property
    def names(self) -> Counter[str]:
        """Messages sent, by what they are called."""
        labels, kinds = self.timeline.labels, self.timeline.events.kind
        return Counter(labels[int(k)] for k in np.flatnonzero(kinds == Kind.SENT))

    @property
    def n_messages(self) -> int:
        """Records of messages."""
        return int(np.isin(self.timeline.events.kind, (Kind.SENT, Kind.RECEIVED)).sum())

    @property
    def matched(self) -> float:
        """The share of receipts of which it is known what was sent."""
        receipts = self.timeline.events.kind == Kind.RECEIVED
        return float((self.timeline.order.partner[receipts] >= 0).mean())

    @property
    def offset_error_s(self) -> float:
        """How far the estimated clocks are from what they were set to, at most, beyond what they say themselves."""
        clocks = {self.timeline.events.nodes[each.node].name: each for each in self.timeline.order.clocks}
        first = clocks["node-1"]
        worst = 0.0
        for name, ahead_s in zip(sorted(clocks), AHEAD_S, strict=True):
            each = clocks[name]
            off = abs((each.offset_ns - first.offset_ns) - (ahead_s - AHEAD_S[0]) * 1e9)
            worst = max(worst, off - each.error_ns - first.error_ns)
        return worst / 1e9

    @property
    def found(self) -> list[str]:
        """Return the findings of the kind that was injected, about its victim."""
        return [each.text for each in self.timeline.findings if each.kind == self.fault and self.victim in each.text]


def ports(kind: socket.SocketKind) -> list[int]:
    """Return ports that are free."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(N_NODES)]
        for each in socks:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in socks]


@contextlib.contextmanager
def nodes(module: ModuleType, folder: Path, places: list[str]) -> Iterator[list[Node]]:
    """Start a process for each place; end them all."""
    found = []
    try:
        for k, place in enumerate(places):
            others = [each for each in places if each != place]
            command = [sys.executable, "-m", module.__name__, f"node-{k + 1}", str(folder), str(AHEAD_S[k]), place]
            process = subprocess.Popen(
                command + others, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            node = Node(f"node-{k + 1}", process)
            found.append(node)
            threading.Thread(target=_gather, args=(node,), daemon=True).start()
        yield found
        for node in found:
            assert node.process.stdin is not None
            node.process.stdin.close()
        for node in found:
            node.process.wait(DEADLINE_S)
    finally:
        for node in found:
            node.process.kill()
            node.process.wait(DEADLINE_S)


def _gather(node: Node) -> None:
    assert node.process.stdout is not None
    for line in node.process.stdout:
        node.lines.append(line.strip())


def until(what: str, condition) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {DEADLINE_S} s: {what}")
        time.sleep(0.02)


def read(module: ModuleType, folder: Path) -> Timeline:
    """Return the timeline of all rings of a folder."""
    every = sorted((read_ring(each.path) for each in rings(folder)), key=lambda ring: ring.about.name)
    return Timeline.of(every, module.RULES, decoders=[module.decode])


def watch_raft(folder: Path) -> Outcome:
    """Stop the leader of five for two seconds."""
    places = [f"127.0.0.1:{port}" for port in ports(socket.SOCK_STREAM)]
    with nodes(raft, folder, places) as every:
        until("nobody leads", lambda: len({each.last("leader") for each in every} - {None, "None"}) == 1)
        time.sleep(2)
        leader = every[places.index(str(every[0].last("leader")))]
        leader.process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        leader.process.send_signal(signal.SIGCONT)
        time.sleep(2)
    values = {each.last("value") for each in every}
    assert None not in values
    return Outcome("pysyncobj", read(raft, folder), f"{leader.name} stopped for 2 s", leader.name, raft.FAULT)


def watch_gossip(folder: Path) -> Outcome:
    """Throw away for two seconds what is sent to one of five."""
    places = [str(port) for port in ports(socket.SOCK_DGRAM)]
    with nodes(gossip, folder, places) as every:
        until("they are not ready", lambda: all("ready" in each.lines for each in every))
        time.sleep(2)
        every[2].process.send_signal(signal.SIGUSR1)
        time.sleep(4)
    n_dropped = [int(str(each.last("dropped"))) for each in every]
    injected = f"{n_dropped[2]} datagrams to node-3 thrown away by the kernel"
    return Outcome("kademlia", read(gossip, folder), injected, "node-3", gossip.FAULT, n_dropped[2])


def lost(outcome: Outcome) -> int:
    """Return how many messages to the victim are called lost."""
    every = outcome.timeline.findings
    return sum(each.count for each in every if each.kind == "loss" and f"to {outcome.victim} " in each.text)


def show(outcome: Outcome) -> None:
    """Print what was found."""
    found = outcome.timeline
    print(f"\n{outcome.system}: {N_NODES} processes, clocks up to 9 s apart\n")
    print(f"  messages recorded    {outcome.n_messages:,}; {100 * outcome.matched:.2f} % of the receipts are matched")
    sent = ", ".join(f"{name} {n:,}" for name, n in outcome.names.most_common(8))
    print(f"  sent                 {sent}")
    print(f"  nodes                {', '.join(node.name for node in found.events.nodes)}")
    print(f"  clocks               off by more than they say: {max(outcome.offset_error_s, 0) * 1000:.3f} ms")
    print(f"  rules                {len(found.rules)}, violated {len(found.order.violations)}")
    print(f"  order                {found.order.impossible.size} receipts before what they are of")
    print(f"  injected             {outcome.injected}")
    print(f"  found                {'; '.join(outcome.found) or 'nothing'}")
    if outcome.known is not None:
        print(f"  lost on the way      {lost(outcome):,} by the timeline, {outcome.known:,} by the kernel")
    print("  findings")
    for each in found.findings[:12]:
        print(f"    {each.kind:12} {each.text}")


def main() -> int:
    """Watch one system or both; 1 if a fault was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", nargs="*", help="raft or gossip; both by default")
    chosen = parser.parse_args().system or ["raft", "gossip"]
    watch = {"raft": watch_raft, "gossip": watch_gossip}
    ok = True
    for system in chosen:
        with tempfile.TemporaryDirectory(prefix="foreign-") as folder:
            outcome = watch[system](Path(folder))
            show(outcome)
            ok &= bool(outcome.found)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
