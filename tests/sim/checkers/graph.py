"""Which write each read saw, and in which order the writes of each key happened: edges for the graph checkers.

The order of writes is what the homes said when they ordered them (`Ordered` effects), so these
checkers are white-box; what was read is the value itself wherever values are unique.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

from tests.sim.checkers.history import ABSENT, Operation, is_read, is_write

__all__ = ["Relations", "is_acyclic", "relate"]


@dataclass(slots=True)
class Relations:
    """Operations as vertices 0.. and what is known of them."""

    operations: list[Operation]
    threads: list[list[int]]
    """Vertices of each thread, in program order."""
    writers: dict[str, list[tuple[int, int]]]
    """Key -> (version, vertex) of each write, in order of version."""
    readers: dict[str, list[tuple[int, int]]]
    """Key -> (version read, vertex)."""
    communication: list[list[int]] | None = None
    """Edges rf, co and fr, once they have been asked for."""
    wrong: list[str] = field(default_factory=list)
    """What contradicts itself already: a value nobody wrote, two writes of one version, an atomic that was not."""


def relate(operations: Iterable[Operation]) -> Relations:
    """Work out who wrote and who read which version. Operations without effect on the outcome are left out."""
    taken = [each for each in operations if _is_known(each)]
    taken.sort(key=_start)
    threads: dict[tuple[int, int], list[int]] = {}
    writers: dict[str, list[tuple[int, int]]] = {}
    readers: dict[str, list[tuple[int, int]]] = {}
    relations = Relations(taken, [], writers, readers)
    value_version: dict[tuple[str, object], int] = {}
    for vertex, operation in enumerate(taken):
        threads.setdefault((operation.member, operation.thread), []).append(vertex)
        if operation.wrote_version is not None and is_write(operation):
            writers.setdefault(operation.key, []).append((operation.wrote_version, vertex))
            value = operation.argument[1] if operation.kind == "swap_if" else operation.argument
            if operation.kind not in ("remove", "add"):
                value_version[operation.key, value] = operation.wrote_version
    relations.threads = list(threads.values())
    for key, versions in writers.items():
        versions.sort()
        if any(a[0] == b[0] for a, b in pairwise(versions)):
            relations.wrong.append(f"two writes of {key} have one version: {versions}")
    for vertex, operation in enumerate(taken):
        if is_read(operation):
            _relate_read(relations, value_version, vertex, operation)
    return relations


def _relate_read(
    relations: Relations, value_version: dict[tuple[str, object], int], vertex: int, operation: Operation
) -> None:
    version = operation.read_version
    if operation.kind != "add" and operation.observed is not None:
        version = value_version.get((operation.key, operation.observed))
        if version is None:
            relations.wrong.append(f"a value nobody was seen to write: {operation}")
            return
        if operation.read_version is not None and operation.read_version != version:
            relations.wrong.append(f"the value read is of version {version}: {operation}")
    elif operation.kind != "add" and version is not None:
        # Of what is absent a home knows no version; it gives its newest, of any key.
        writers = relations.writers.get(operation.key, [])
        index = bisect_right(writers, version, key=itemgetter(0))
        if index:
            version, writer = writers[index - 1]
            if relations.operations[writer].kind != "remove":
                relations.wrong.append(f"seen absent after {relations.operations[writer]}: {operation}")
        else:
            version = ABSENT
    if version is not None:
        relations.readers.setdefault(operation.key, []).append((version, vertex))


def is_acyclic(after: list[list[int]]) -> bool:
    """Return whether a graph (vertex -> vertices after it) has a topological order."""
    n_before = [0] * len(after)
    for vertices in after:
        for vertex in vertices:
            n_before[vertex] += 1
    ready = [vertex for vertex, n in enumerate(n_before) if not n]
    n_done = 0
    while ready:
        n_done += 1
        for vertex in after[ready.pop()]:
            n_before[vertex] -= 1
            if not n_before[vertex]:
                ready.append(vertex)
    return n_done == len(after)


def _is_known(operation: Operation) -> bool:
    if operation.kind == "lose":
        return False
    return not operation.pending or operation.wrote_version is not None


def _start(operation: Operation) -> int:
    return operation.start
