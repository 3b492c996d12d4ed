"""What was wrong in a run, in words: two operations on one key between which time ran backwards, if there are such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.sim.checkers.graph import relate
from tests.sim.checkers.history import Operation
from tests.sim.scripts import is_volatile
from tests.sim.verdict import Verdict

__all__ = ["tell"]

OF_KIND = {
    "not linearizable": "no order of the operations on one key explains what they gave",
    "not sequentially consistent": "no order of all operations on all keys explains what they gave",
    "happens-before": "a flag had been seen, and plain data that was put before the flag was not",
    "incoherent": "no order of the writes of one key explains what its readers saw",
}
"""What is said where no two operations tell the story."""

AT_REST = ("hung", "late", "convergence")


@dataclass(frozen=True)
class Point:
    """An operation, and the version of its key that it saw or wrote."""

    version: int
    writes: bool
    operation: Operation


def tell(verdict: Verdict, operations: list[Operation]) -> tuple[str, str]:
    """Return the kind of what was wrong in a run that has been judged, and a sentence."""
    assert verdict.conviction is not None
    kind, text = verdict.conviction
    if kind in AT_REST:
        return kind, text.partition("\n")[0]
    pairs = [(b.operation.start - a.operation.end, _sentence(a, b)) for a, b in _backwards(_points(operations))]
    return kind, min(pairs)[1] if pairs else OF_KIND.get(kind, text.partition("\n")[0])


def _points(operations: list[Operation]) -> list[list[Point]]:
    """Return the reads and writes of each key."""
    relations = relate(each for each in operations if each.start)
    keys: dict[str, list[Point]] = {}
    for table, writes in ((relations.writers, True), (relations.readers, False)):
        for key, rows in table.items():
            keys.setdefault(key, []).extend(Point(v, writes, relations.operations[vertex]) for v, vertex in rows)
    return list(keys.values())


def _backwards(keys: list[list[Point]]) -> Iterator[tuple[Point, Point]]:
    """Yield what was first, and what came after it and yet saw or wrote an older version."""
    for points in keys:
        for a in points:
            for b in points:
                if a.version > b.version and a.operation is not b.operation and _is_before(a, b):
                    yield a, b


def _is_before(a: Point, b: Point) -> bool:
    """Tell whether what `a` saw or wrote is promised to `b`."""
    first, second = a.operation, b.operation
    if first.pending or first.end >= second.start:
        return False
    is_same_thread = (first.member, first.thread) == (second.member, second.thread)
    return is_same_thread or is_volatile(first.key) or (a.writes and first.waits)


def _sentence(a: Point, b: Point) -> str:
    first, second = a.operation, b.operation
    if (first.member, first.thread) == (second.member, second.thread):
        where = "by the same thread"
    elif first.member == second.member:
        where = "by another thread of that member"
    else:
        where = "by another member"
    if a.writes:
        told = f"{_name(first)} had {'returned' if first.waits else 'been made'}"
        came = "was ordered before it" if b.writes else "gave an older value"
    else:
        told = f"{_name(first)} had given a value"
        came = "was ordered before that value" if b.writes else "gave an older one"
    return f"{told}; {_name(second)} begun after that {where} {came}"


def _name(operation: Operation) -> str:
    """Return what kind of operation it is, with its article."""
    if operation.kind == "get":
        return "a get"
    if operation.kind not in ("put", "remove"):
        return "an aborted atomic" if operation.aborted else "an atomic"
    how = "volatile" if is_volatile(operation.key) else "waited-for" if operation.waits else "plain"
    return f"a {how} {operation.kind}"
