"""Sequences that begin and end anywhere, put beside each other: what corresponds when there is nothing but the order.

A stream is what one node did of one kind with one other end; of each record there is a symbol that says what it
was. Two streams are shifted against each other, because recordings begin at different moments::

    here    B C A D A ...                         the shift is found where a run of symbols occurs once in each stream,
    there       A D A X ...   shift -2            and from there for the other streams of the same node

and then go along with each other. Where they differ they are joined again at the next `RUN` symbols that are the same,
`WINDOW` places on at most; what lies before that is paired as far as it is the same in another order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hydroscope.scope.matching import mixed

__all__ = ["WINDOW", "Paired", "pair_streams"]

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

WINDOW = 64
"""Places within which two streams that differ must be the same again."""
RUN = 6
"""Symbols of a run that is looked for."""
LOOKED_AT = 1024
"""Places by which shifts are judged."""
NEAR = 8
"""Shifts that are tried on both sides of what others suggest."""


@dataclass(slots=True)
class Paired:
    """What corresponds: places in the one sequence of all records, and in the other."""

    left: list[Ints] = field(default_factory=list)
    right: list[Ints] = field(default_factory=list)
    left_apart: list[int] = field(default_factory=list)
    """Places that have no like for certain."""
    right_apart: list[int] = field(default_factory=list)
    left_beyond: list[Ints] = field(default_factory=list)
    """Places behind the end of the other stream."""
    right_beyond: list[Ints] = field(default_factory=list)
    left_only: list[Ints] = field(default_factory=list)
    """Streams of nodes of both that only one has."""
    right_only: list[Ints] = field(default_factory=list)


def pair_streams(node: tuple[Ints, Ints], stream: tuple[Words, Words], symbol: tuple[Words, Words]) -> Paired:
    """Pair the records of two sequences, stream by stream.

    Parameters
    ----------
    node, stream, symbol : pairs of arrays
        Of each record of the one and of the other, in the order of each node: its node, the stream that it is of, and
        what it was. Each is the same number in both.

    Notes
    -----
    Cost: a sort of both, and O(records + WINDOW * streams); more where symbols are out of order.
    """
    found = Paired()
    parts = [_parts(*each) for each in zip(node, stream, strict=True)]
    for k in sorted(parts[0].keys() & parts[1].keys()):
        common = sorted(parts[0][k].keys() & parts[1][k].keys())
        found.left_only += [places for s, places in parts[0][k].items() if s not in parts[1][k]]
        found.right_only += [places for s, places in parts[1][k].items() if s not in parts[0][k]]
        places = {s: (parts[0][k][s], parts[1][k][s]) for s in common}
        symbols = {s: (symbol[0][a], symbol[1][b]) for s, (a, b) in places.items()}
        runs = {s: _common_run(*symbols[s]) for s in common}
        fixed = [(int(places[s][0][run[0]]), int(places[s][1][run[1]])) for s, run in runs.items() if run]
        begin = min(fixed, key=sum, default=(-1, -1))
        for s in common:
            a, b = places[s]
            expected = int(np.searchsorted(b, begin[1]) - np.searchsorted(a, begin[0])) if begin[0] >= 0 else 0
            run = runs[s]
            shift = run[1] - run[0] if run else _shift(*symbols[s], expected)
            _go(a[max(-shift, 0) :], b[max(shift, 0) :], symbol, found)
    return found


def _parts(node: Ints, stream: Words) -> dict[int, dict[int, Ints]]:
    """Return the places of each stream of each node."""
    by = np.lexsort((stream, node))
    cuts = np.flatnonzero((np.diff(node[by]) != 0) | (np.diff(stream[by]) != 0)) + 1
    found: dict[int, dict[int, Ints]] = {}
    for places in np.split(by, cuts):
        if places.size:
            found.setdefault(int(node[places[0]]), {})[int(stream[places[0]])] = places
    return found


def _common_run(a: Words, b: Words) -> tuple[int, int] | None:
    """Return where the first run of symbols begins that occurs once in each."""
    if min(a.size, b.size) < RUN:
        return None
    found = []
    for symbols in (a, b):
        values, first, counts = np.unique(_runs(symbols), return_index=True, return_counts=True)
        found.append((values[counts == 1], first[counts == 1]))
    _, left, right = np.intersect1d(found[0][0], found[1][0], assume_unique=True, return_indices=True)
    if not left.size:
        return None
    i, j = found[0][1][left], found[1][1][right]
    one = int(np.argmin(i + j))
    return int(i[one]), int(j[one])


def _shift(a: Words, b: Words, expected: int) -> int:
    """Return how many places further the second is, where most of the two is the same, place by place."""
    best, most = 0, -1
    tried = {0, *range(expected - NEAR, expected + NEAR + 1)}
    for shift in sorted(tried, key=lambda each: (abs(each - expected), each)):
        x, y = a[max(-shift, 0) :][:LOOKED_AT], b[max(shift, 0) :][:LOOKED_AT]
        n = min(x.size, y.size)
        same = int(np.count_nonzero(x[:n] == y[:n]))
        if same > most:
            best, most = shift, same
    return best


def _go(a: Ints, b: Ints, symbol: tuple[Words, Words], found: Paired) -> None:
    """Go along two streams that begin together, across what differs, until one ends or nothing fits any more."""
    x, y = symbol[0][a], symbol[1][b]
    runs: tuple[Words, Words] | None = None
    """Made at the first difference: most streams have none."""
    i = j = 0
    while True:
        n = _alike(x[i:], y[j:])
        found.left.append(a[i : i + n])
        found.right.append(b[j : j + n])
        i, j = i + n, j + n
        if i == x.size or j == y.size:
            break
        if runs is None:
            runs = _runs(x), _runs(y)
        step = _next_run(runs[0][i:], runs[1][j:])
        if step is None:
            if min(x.size - i, y.size - j) >= RUN:
                found.left_apart.append(int(a[i]))
                found.right_apart.append(int(b[j]))
                return
            break
        _pair_block(a[i : i + step[0]], b[j : j + step[1]], symbol, found)
        i, j = i + step[0], j + step[1]
    found.left_beyond.append(a[i:])
    found.right_beyond.append(b[j:])


def _alike(x: Words, y: Words) -> int:
    """Return how far two sequences are the same."""
    n, chunk, end = 0, 256, min(x.size, y.size)
    while n < end:
        differs = x[n : min(n + chunk, end)] != y[n : min(n + chunk, end)]
        if differs.any():
            return n + int(np.argmax(differs))
        n, chunk = n + chunk, 2 * chunk
    return end


def _next_run(x: Words, y: Words) -> tuple[int, int] | None:
    """Return the nearest places from which both go on alike; rather something else than something more."""
    there: dict[int, int] = {}
    for place, run in enumerate(y[:WINDOW].tolist()):
        there.setdefault(run, place)
    ways = [(place, there[run]) for place, run in enumerate(x[:WINDOW].tolist()) if run in there]
    for k in range(min(x.size, y.size, WINDOW)):
        if x[k] == y[k]:
            ways.append((k, k))
            break
    return min(ways, key=lambda way: (max(way), abs(way[0] - way[1])), default=None)


def _pair_block(a: Ints, b: Ints, symbol: tuple[Words, Words], found: Paired) -> None:
    """Pair what is the same in another order; the rest has no like."""
    likes: dict[int, list[int]] = {}
    for place in b[::-1].tolist():
        likes.setdefault(int(symbol[1][place]), []).append(place)
    pairs = []
    for place in a.tolist():
        same = likes.get(int(symbol[0][place]))
        if same:
            pairs.append((place, same.pop()))
        else:
            found.left_apart.append(place)
    found.right_apart += sorted(place for same in likes.values() for place in same)
    found.left.append(np.array([left for left, _ in pairs], np.int64))
    found.right.append(np.array([right for _, right in pairs], np.int64))


def _runs(symbols: Words) -> Words:
    """Return, for each place, a number that stands for the `RUN` symbols from there on."""
    runs = np.zeros(max(symbols.size - RUN + 1, 0), np.uint64)
    for k in range(RUN):
        runs = mixed(runs ^ symbols[k : k + runs.size])
    return runs
