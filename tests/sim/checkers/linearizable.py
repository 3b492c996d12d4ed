"""Is there an order of the operations on one key that explains what was seen, within real time?

The search of Wing and Gong (*Testing and Verifying Concurrent Objects*, 1993) with Lowe's memory
of configurations already tried (*Testing for linearizability*, 2017): a configuration is the set
of operations done so far and the state of the key. Two savings that lose nothing: reads (and
aborted writes) that agree with the state are done at once, since they change nothing; operations
whose effect is unknown are tried last, since they may be left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any

from tests.sim.checkers.history import NEVER, Operation, specification

__all__ = ["by_brute_force", "by_key", "is_linearizable"]


def by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Return the operations on each key, in order of their start."""
    keys: dict[str, list[Operation]] = {}
    for operation in operations:
        keys.setdefault(operation.key, []).append(operation)
    for each in keys.values():
        each.sort(key=_start)
    return keys


def is_linearizable(operations: list[Operation], initial: Any = None) -> bool:
    """Return whether the operations on one key, sorted by start, are linearizable.

    Parameters
    ----------
    operations
        On one key. Those that are `pending` may have happened at any time after their start, or never.
    initial
        The value of the key before all of them.
    """
    known = [each for each in operations if not (each.pending and each.kind == "get")]
    ends = [NEVER if each.pending else each.end for each in known]
    starts = [each.start for each in known]
    steps = [specification[each.kind] for each in known]
    quiet = [not each.pending and (each.kind == "get" or each.aborted) for each in known]
    required = sum(1 << i for i, end in enumerate(ends) if end != NEVER)
    n = len(known)
    tried: set[tuple[int, Any]] = set()
    stack: list[tuple[int, Any, int]] = [(0, initial, 0)]
    while stack:
        done, state, first = stack.pop()
        candidates: list[int] = []
        again = True
        while again:
            again = False
            while first < n and done >> first & 1:
                first += 1
            candidates.clear()
            bound = NEVER
            for i in range(first, n):
                if starts[i] > bound:
                    break
                if done >> i & 1:
                    continue
                if quiet[i] and steps[i](state, known[i])[0]:
                    done |= 1 << i
                    again = True
                    continue
                candidates.append(i)
                if ends[i] < bound:
                    bound = ends[i]
        if not required & ~done:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        for i in sorted(candidates, key=ends.__getitem__, reverse=True):
            if quiet[i]:
                continue
            fits, after = steps[i](state, known[i])
            if fits:
                stack.append((done | 1 << i, after, first))
    return False


def by_brute_force(operations: list[Operation], initial: Any = None) -> bool:
    """Return the same by trying every order of every subset: for histories of up to six operations."""
    required = [each for each in operations if not each.pending]
    optional = [each for each in operations if each.pending and each.kind != "get"]
    for subset in range(1 << len(optional)):
        chosen = required + [each for i, each in enumerate(optional) if subset >> i & 1]
        if any(_explains(order, initial) for order in permutations(chosen)):
            return True
    return False


def _explains(order: tuple[Operation, ...], initial: Any) -> bool:
    state = initial
    for i, operation in enumerate(order):
        if any(not later.pending and later.end < operation.start for later in order[i + 1 :]):
            return False
        fits, state = specification[operation.kind](state, operation)
        if not fits:
            return False
    return True


def _start(operation: Operation) -> int:
    return operation.start
