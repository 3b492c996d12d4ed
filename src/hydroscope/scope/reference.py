"""Slow and obvious twins of `scope.kernels`."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

__all__ = ["merge", "relax"]


def merge(
    node: Sequence[int], edges: Sequence[tuple[int, int]], times: Sequence[int]
) -> tuple[list[int], list[int]] | None:
    """Return the records in one order, and their lifted times; None if they wait for each other in a circle.

    Parameters
    ----------
    node : sequence of int
        Whose each record is; records of one node follow each other as they are given.
    edges : sequence of (source, target)
    times : sequence of int

    Notes
    -----
    Kahn's topological sort with a heap. Cost: O(n log n).
    """
    effects: dict[int, list[tuple[int, int]]] = defaultdict(list)
    n_causes = [0] * len(node)
    last: dict[int, int] = {}
    for record, owner in enumerate(node):
        if owner in last:
            effects[last[owner]].append((record, 0))
            n_causes[record] += 1
        last[owner] = record
    for source, target in edges:
        effects[source].append((target, 1))
        n_causes[target] += 1
    lifted = list(times)
    heap = [(lifted[record], node[record], record) for record in range(len(node)) if n_causes[record] == 0]
    heapq.heapify(heap)
    found = []
    while heap:
        _, _, record = heapq.heappop(heap)
        found.append(record)
        for effect, step in effects[record]:
            lifted[effect] = max(lifted[effect], lifted[record] + step)
            n_causes[effect] -= 1
            if n_causes[effect] == 0:
                heapq.heappush(heap, (lifted[effect], node[effect], effect))
    return (found, lifted) if len(found) == len(node) else None


def relax(edges: Sequence[tuple[int, int, int]], origin: int, n: int, far: int) -> list[int] | None:
    """Return the greatest values with value[target] <= value[source] + weight, 0 at the origin; None if there are none.

    Parameters
    ----------
    edges : sequence of (source, target, weight)
    origin, n : int
    far : int
        Value of what nothing bounds.

    Notes
    -----
    Bellman and Ford as in the textbook. Cost: O(n * len(edges)).
    """
    values = [far] * n
    values[origin] = 0
    for _ in range(n + 1):
        changed = False
        for source, target, weight in edges:
            if values[source] < far and values[source] + weight < values[target]:
                values[target] = values[source] + weight
                changed = True
        if not changed:
            return values
    return None
