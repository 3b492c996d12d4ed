"""Checks of order: sequential consistency, real time, coherence a key, happens-before of plain keys.

All of them ask whether a graph has a cycle, or whether an edge leads the wrong way. Edges:

po  program order of a thread            rf  a write -> each read that saw it
co  a write -> the next of its key       fr  a read -> the first write of its key after the one it saw
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from operator import itemgetter

from tests.sim.checkers.graph import Relations, is_acyclic
from tests.sim.checkers.history import Operation, is_write

__all__ = ["atomicity", "coherence", "happens_before", "is_sequentially_consistent", "real_time"]


def is_sequentially_consistent(relations: Relations) -> bool:
    """Return whether one order of all operations on all keys explains what was seen."""
    after = [edges.copy() for edges in communication(relations)]
    _add_program_order(relations.threads, after)
    return is_acyclic(after)


def coherence(relations: Relations) -> list[str]:
    """Return the keys on which a thread saw time run backwards: po of the key U rf U co U fr has a cycle."""
    chains: dict[str, dict[int, list[int]]] = {}
    for number, thread in enumerate(relations.threads):
        for vertex in thread:
            chains.setdefault(relations.operations[vertex].key, {}).setdefault(number, []).append(vertex)
    edges = communication(relations)
    wrong = []
    for key, of_key in chains.items():
        after: list[list[int]] = [[] for _ in edges]
        for chain in of_key.values():
            for vertex in chain:
                after[vertex] = edges[vertex].copy()
        _add_program_order(of_key.values(), after)
        if not is_acyclic(after):
            wrong.append(key)
    return wrong


def atomicity(relations: Relations) -> list[str]:
    """Return the atomics that did not read the version just before the one they wrote."""
    wrong = []
    before: dict[int, int] = {}
    for versions in relations.writers.values():
        previous = 0
        for version, vertex in versions:
            before[vertex] = previous
            previous = version
    for readers in relations.readers.values():
        for version, vertex in readers:
            if vertex in before and before[vertex] != version:
                wrong.append(f"not atomic: {relations.operations[vertex]}")
    return wrong


def real_time(relations: Relations, holds_for: Callable[[str], bool] = bool) -> list[str]:
    """Return the operations that saw or wrote a version older than one an operation before them saw or wrote.

    `holds_for` tells the keys to look at.
    """
    wrong = []
    points: dict[str, list[tuple[int, bool, Operation]]] = {}
    for key in relations.writers.keys() | relations.readers.keys():
        if not holds_for(key):
            continue
        rows = points.setdefault(key, [])
        for version, vertex in relations.writers.get(key, ()):
            rows.append((version, True, relations.operations[vertex]))
        for version, vertex in relations.readers.get(key, ()):
            if not is_write(relations.operations[vertex]):
                rows.append((version, False, relations.operations[vertex]))
    for rows in points.values():
        ended = sorted((each.end, version) for version, _, each in rows if not each.pending)
        ends = [end for end, _ in ended]
        newest = []
        top = 0
        for _, version in ended:
            top = max(top, version)
            newest.append(top)
        for version, writes, operation in rows:
            n_before = bisect_right(ends, operation.start - 1)
            if n_before and newest[n_before - 1] >= version + (not writes):
                wrong.append(f"v{newest[n_before - 1]} was seen or written before: {operation}")
    return wrong


def happens_before(relations: Relations, is_volatile: Callable[[str], bool]) -> list[str]:
    """Return the reads of plain keys that saw a write they may not see.

    A read may not see a write that it happens before, nor one overwritten by a write that happens
    before the read. Happens-before is program order and volatile write -> volatile read that sees
    it or a later one, transitively.
    """
    after: list[list[int]] = [[] for _ in relations.operations]
    _add_program_order(relations.threads, after)
    for key, readers in relations.readers.items():
        if not is_volatile(key):
            continue
        writers = relations.writers.get(key, [])
        for version, reader in readers:
            for written, writer in writers:
                if written > version:
                    break
                if writer != reader:
                    after[writer].append(reader)
    before = _closure(after)
    if before is None:
        return ["a volatile read saw its own future"]
    wrong = []
    for key, readers in relations.readers.items():
        if is_volatile(key):
            continue
        writers = relations.writers.get(key, [])
        for version, reader in readers:
            for written, writer in writers:
                if written == version and before[writer] >> reader & 1 and writer != reader:
                    wrong.append(f"saw its future: {relations.operations[reader]}")
                if written > version and before[reader] >> writer & 1:
                    wrong.append(f"did not see {relations.operations[writer]}: {relations.operations[reader]}")
                    break
    return wrong


def _closure(after: list[list[int]]) -> list[int] | None:
    """Return for each vertex the set (as bits) of those before it; None if there is a cycle."""
    n_before = [0] * len(after)
    for vertices in after:
        for vertex in vertices:
            n_before[vertex] += 1
    before = [0] * len(after)
    ready = [vertex for vertex, n in enumerate(n_before) if not n]
    n_done = 0
    while ready:
        n_done += 1
        vertex = ready.pop()
        mine = before[vertex] | 1 << vertex
        for later in after[vertex]:
            before[later] |= mine
            n_before[later] -= 1
            if not n_before[later]:
                ready.append(later)
    return before if n_done == len(after) else None


def communication(relations: Relations) -> list[list[int]]:
    """Return the edges rf, co and fr; worked out once a history."""
    if relations.communication is None:
        after: list[list[int]] = [[] for _ in relations.operations]
        for key in relations.writers.keys() | relations.readers.keys():
            _add_communication(relations, key, after)
        relations.communication = after
    return relations.communication


def _add_program_order(threads: Iterable[list[int]], after: list[list[int]]) -> None:
    for thread in threads:
        for a, b in pairwise(thread):
            after[a].append(b)


def _add_communication(relations: Relations, key: str, after: list[list[int]]) -> None:
    writers = relations.writers.get(key, [])
    for (_, a), (_, b) in pairwise(writers):
        after[a].append(b)
    n = len(writers)
    for version, reader in relations.readers.get(key, ()):
        next_index = bisect_right(writers, version, key=itemgetter(0))
        if next_index and writers[next_index - 1][0] == version and writers[next_index - 1][1] != reader:
            after[writers[next_index - 1][1]].append(reader)
        if next_index < n and writers[next_index][1] == reader:
            next_index += 1
        if next_index < n:
            after[reader].append(writers[next_index][1])


def visible_after_waiting(relations: Relations) -> list[str]:
    """Return the reads that began after a write had been waited for, and saw an older version."""
    wrong = []
    for key, readers in relations.readers.items():
        waited = [
            (version, relations.operations[vertex])
            for version, vertex in relations.writers.get(key, ())
            if relations.operations[vertex].waits and not relations.operations[vertex].pending
        ]
        for version, reader in readers:
            operation = relations.operations[reader]
            if any(written > version and write.end < operation.start for written, write in waited):
                wrong.append(f"an older value than one waited for: {operation}")
    return wrong
