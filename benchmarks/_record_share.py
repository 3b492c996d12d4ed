"""What share of real work the flight recorder takes: the same work by processes that record, and by others that do not.

Both sorts of processes take turns (A B B A ...), each turn a fraction of a second (of gradient boosting: some seconds).
Two processes that do the same differ by some percent, by where their memory happens to lie. So there are several pairs
of new processes, a share for each pair, and what counts is their median. It is of the processor time of all processes
that take part; time on the wall is told besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from statistics import median
from typing import Any, Final

from benchmarks._harness import say, table
from benchmarks._kv_helper import Helper

__all__ = ["WORK", "shares"]

SWITCH: Final = "HYDROSCOPE_RECORD"
STATES: Final = ("0", "1")
VALUE_BYTES: Final = 100
ROWS, TREES = 1_000_000, 50

WORK: Final = ("round trips", "plain puts", "gradient boosting")

Turn = Callable[[int], tuple[float, float]]
"""Does the work once; returns seconds on the wall and of processors."""

Pair = AbstractContextManager[dict[str, dict[str, Turn]]]
"""New processes, and their turns by work and by whether they record."""


@contextmanager
def _pairs(n: int) -> Iterator[dict[str, dict[str, Turn]]]:
    """Give the turns of two clusters of two processes each."""
    clusters: dict[str, tuple[Helper, Helper]] = {}
    for state in STATES:
        home, other = clusters[state] = Helper(**{SWITCH: state}), Helper(**{SWITCH: state})
        address, secret = home.ask(do="serve", members=2)
        other.ask(do="connect", address=address, secret=secret)

    def both(state: str, **order: Any) -> tuple[float, float]:
        home, other = clusters[state]
        before = other.ask(do="cpu_s")
        wall, cpu = home.ask(n=n, **order)
        return wall, cpu + other.ask(do="cpu_s") - before

    def trips(state: str) -> Turn:
        def turn(number: int) -> tuple[float, float]:
            prefix = f"@1/trip/{number}/"
            clusters[state][1].ask(do="fill", prefix=prefix, n=n, n_bytes=VALUE_BYTES)
            return both(state, do="read", prefix=prefix)

        return turn

    def puts(state: str) -> Turn:
        return lambda number: both(state, do="stream", prefix=f"@1/put/{number % 4}/", n_bytes=VALUE_BYTES)

    yield {
        "round trips": {state: trips(state) for state in STATES},
        "plain puts": {state: puts(state) for state in STATES},
    }
    for home, other in clusters.values():
        other.close()
        home.close()


@contextmanager
def _trainers(rows: int) -> Iterator[dict[str, dict[str, Turn]]]:
    helpers = {state: Helper(**{SWITCH: state}) for state in STATES}
    for helper in helpers.values():
        helper.ask(do="gbm_load", rows=rows)

    def turn_of(helper: Helper) -> Turn:
        def turn(number: int) -> tuple[float, float]:
            wall, cpu = helper.ask(do="gbm_fit", trees=TREES)
            return wall, cpu

        return turn

    yield {"gradient boosting": {state: turn_of(helper) for state, helper in helpers.items()}}
    for helper in helpers.values():
        helper.close()


def _compared(pairs: Callable[[], Pair], name: str, n_pairs: int, n_turns: int, n: int) -> dict[str, Any]:
    """Return medians of an operation without and with the recorder, and of the shares of pairs of processes."""
    taken: dict[str, list[tuple[float, float]]] = {state: [] for state in STATES}
    for number in range(n_pairs):
        with pairs() as found:
            turns = found[name]
            for turn in turns.values():
                turn(0)
            both: dict[str, list[tuple[float, float]]] = {state: [] for state in STATES}
            for k in range(1, n_turns + 1):
                for state in STATES if (k + number) % 2 else reversed(STATES):
                    both[state].append(turns[state](k))
        for state in STATES:
            taken[state].append((median(wall for wall, _ in both[state]), median(cpu for _, cpu in both[state])))
    results: dict[str, Any] = {"pairs": n_pairs, "turns": n_turns}
    for place, what in enumerate(("wall", "cpu")):
        off, on = ([each[place] / n for each in taken[state]] for state in STATES)
        shares = sorted(b / a - 1 for a, b in zip(off, on, strict=True))
        results[what] = {
            "off_us": median(off) * 1e6,
            "on_us": median(on) * 1e6,
            "share": median(shares),
            "range": [shares[0], shares[-1]],
        }
    return results


def shares(rounds: int, quick: bool, work: tuple[str, ...] = WORK, scale: float = 1.0) -> dict[str, Any]:
    """Measure and print the shares; returns them by work."""
    n, n_turns = (100, 1) if quick else (1000, 7)
    rows = 10_000 if quick else max(10_000, round(ROWS * scale))
    found: dict[str, Any] = {}
    for name in work:
        if name == "gradient boosting":
            found[name] = _compared(partial(_trainers, rows), name, rounds, 1, 1)
        else:
            found[name] = _compared(partial(_pairs, n), name, rounds, n_turns, n)
    say(
        table(
            ["share of the recorder", "without, us", "with, us", "processor", "of single pairs", "wall", "pairs"],
            [
                [
                    name,
                    each["cpu"]["off_us"],
                    each["cpu"]["on_us"],
                    f"{each['cpu']['share']:.2%}",
                    " to ".join(f"{value:.2%}" for value in each["cpu"]["range"]),
                    f"{each['wall']['share']:.2%}",
                    each["pairs"],
                ]
                for name, each in found.items()
            ],
        )
    )
    return found
