"""The two loops that look at every record: merging the nodes into one order, and bounding their clocks.

Both have a twin in `scope.reference` that says the same slowly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import inlined, typed_kernel

__all__ = ["merge", "relax"]

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

CUT = 1


@inlined
def _below(a: int, b: int, keys: Ints) -> bool:
    return keys[a] < keys[b] or (keys[a] == keys[b] and a < b)


@inlined
def _push(heap: Ints, size: int, keys: Ints, k: int) -> None:
    i = size
    while i > 0:
        up = (i - 1) // 2
        if not _below(k, heap[up], keys):
            break
        heap[i] = heap[up]
        i = up
    heap[i] = k


@inlined
def _settle(heap: Ints, size: int, keys: Ints, k: int) -> None:
    """Put k into the place at the top, and let it sink."""
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        if down + 1 < size and _below(heap[down + 1], heap[down], keys):
            down += 1
        if not _below(heap[down], k, keys):
            break
        heap[i] = heap[down]
        i = down
    heap[i] = k


@inlined
def _look(
    k: int,
    heads: Ints,
    node: Ints,
    after: Ints,
    sources: Ints,
    targets: Ints,
    cursors: Ints,
    cut: Bytes,
    times: Ints,
    keys: Ints,
) -> int:
    """Return the record that the head of node k has to wait for, or -1: then its time is in keys[k]."""
    head = heads[k]
    time = max(times[head], keys[k])
    cause: int = after[head]
    if cause >= 0 and cut[head] == 0:
        if heads[node[cause]] <= cause:
            return cause
        time = max(time, times[cause] + 1)
    while cursors[k] < targets.size and targets[cursors[k]] <= head:
        edge = cursors[k]
        if targets[edge] == head and cut[times.size + edge] == 0:
            source: int = sources[edge]
            if heads[node[source]] <= source:
                keys[k] = time
                return source
            time = max(time, times[source] + 1)
        cursors[k] += 1
    keys[k] = time
    return -1


@inlined
def _cut_a_cycle(
    start: int,
    heads: Ints,
    node: Ints,
    after: Ints,
    waits: Ints,
    cursors: Ints,
    cut: Bytes,
    times: Ints,
) -> int:
    """Cut one edge of the cycle that `start` waits for, a rule's if there is one; return the node it frees."""
    k = start
    for _ in range(heads.size):
        k = node[waits[k]]
    first, best, best_rule, best_back = k, -1, False, 0
    while True:
        rule = waits[k] != after[heads[k]] or cut[heads[k]] != 0
        back = times[waits[k]] - times[heads[k]]
        if best < 0 or (rule and not best_rule) or (rule == best_rule and back > best_back):
            best, best_rule, best_back = k, rule, back
        k = node[waits[k]]
        if k == first:
            break
    cut[times.size + cursors[best] if best_rule else heads[best]] = CUT
    return best


@inlined
def _unlink(k: int, owner: int, waiting: Ints, following: Ints) -> None:
    if waiting[owner] == k:
        waiting[owner] = following[k]
        return
    other = waiting[owner]
    while following[other] != k:
        other = following[other]
    following[other] = following[k]


@typed_kernel("const i8[], const i8[], const i8[], const i8[], const i8[], i8[], i8[], u1[]")
def merge(
    starts: Ints, node: Ints, after: Ints, sources: Ints, targets: Ints, times: Ints, ranks: Ints, cut: Bytes
) -> None:
    """Merge the records of all nodes into one order that follows program order, messages and rules.

    Of the records that wait for nothing the earliest goes next. Where records wait for each other in a circle,
    one edge is cut.

    Parameters
    ----------
    starts : (n_nodes + 1,)
        Node k has the records starts[k]:starts[k + 1].
    node, after : (n,)
        Whose a record is; the record that caused it, or -1.
    sources, targets : (n_edges,)
        Further edges, by target.
    times, ranks : (n,), written
        Times are lifted to those of the causes, and 1 ns above what was sent, or ruled to be before.
    cut : (n + n_edges,), zeros, written
        1 where `after` or the edge could not be kept.

    Notes
    -----
    O((n + n_edges) log n_nodes).
    """
    n_nodes = starts.size - 1
    heads, waits, keys = starts[:-1].copy(), np.full(n_nodes, -1), np.full(n_nodes, -(2**63))
    cursors, heap, todo = np.zeros(n_nodes, np.int64), np.empty(n_nodes, np.int64), np.arange(n_nodes)
    waiting, following = np.full(n_nodes, -1), np.full(n_nodes, -1)  # linked: who waits for a record of node m
    size, n_todo, done = 0, n_nodes, 0
    while done < times.size:
        while n_todo > 0:
            n_todo -= 1
            k = todo[n_todo]
            if heads[k] == starts[k + 1]:
                continue
            waits[k] = _look(k, heads, node, after, sources, targets, cursors, cut, times, keys)
            if waits[k] < 0:
                _push(heap, size, keys, k)
                size += 1
            else:
                following[k] = waiting[node[waits[k]]]
                waiting[node[waits[k]]] = k
        if size == 0:
            k = 0
            while heads[k] == starts[k + 1]:
                k += 1
            todo[0], n_todo = _cut_a_cycle(k, heads, node, after, waits, cursors, cut, times), 1
            _unlink(todo[0], node[waits[todo[0]]], waiting, following)
            continue
        k = heap[0]
        size -= 1
        _settle(heap, size, keys, heap[size])
        head = heads[k]
        times[head] = keys[k]
        ranks[head] = done
        done += 1
        heads[k] = head + 1
        todo[0], n_todo = k, 1
        other = waiting[k]
        waiting[k] = -1
        while other >= 0:
            later = following[other]
            if waits[other] == head:
                todo[n_todo] = other
                n_todo += 1
            else:
                following[other] = waiting[k]
                waiting[k] = other
            other = later


@typed_kernel("const i8[], const i8[], const i8[], i8, i8, i8[], i8[]")
def relax(sources: Ints, targets: Ints, weights: Ints, origin: int, far: int, bounds: Ints, edges: Ints) -> int:
    """Find the greatest values with value[target] <= value[source] + weight and value[origin] = 0.

    Parameters
    ----------
    sources, targets, weights : (n_edges,)
    origin : int
    far : int
        Value of what nothing bounds.
    bounds : (n,), written
    edges : (n,), written
        The edge that set a bound, -1 without one: the way back to the origin, or round a contradiction.

    Returns
    -------
    int
        -1, or a place from which `edges` lead into a circle: the constraints contradict each other.

    Notes
    -----
    Bellman and Ford, in sweeps to and fro; a few sweeps in practice, each O(n_edges).
    """
    n_edges = sources.size
    bounds[:] = far
    edges[:] = -1
    bounds[origin] = 0
    for sweep in range(bounds.size + 2):
        last = -1
        for i in range(n_edges):
            e = i if sweep % 2 == 0 else n_edges - 1 - i
            bound = bounds[sources[e]]
            if bound < far and bound + weights[e] < bounds[targets[e]]:
                bounds[targets[e]] = bound + weights[e]
                edges[targets[e]] = e
                last = targets[e]
        if last < 0:
            return -1
        if bounds[origin] < 0:
            return origin
        place = last
        for _ in range(bounds.size):
            if edges[place] < 0:
                break
            place = sources[edges[place]]
        if edges[place] >= 0:  # the way back does not end
            return place
    return last
