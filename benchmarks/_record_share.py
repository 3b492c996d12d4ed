"""What share of real work the flight recorder takes: the same work by processes that record, and by others that do not.

Both sorts of processes live all the time and take turns (A B B A ...), each turn a fraction of a second (of gradient
boosting: some seconds), and a turn is compared with the one next to it. What counts is the processor time of all
processes that take part; time on the wall is told besides.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
def _trainers(rows: int) -> Iterator[dict[str, Turn]]:
    helpers = {state: Helper(**{SWITCH: state}) for state in STATES}
    for helper in helpers.values():
        helper.ask(do="gbm_load", rows=rows)

    def turn_of(helper: Helper) -> Turn:
        def turn(number: int) -> tuple[float, float]:
            wall, cpu = helper.ask(do="gbm_fit", trees=TREES)
            return wall, cpu

        return turn

    yield {state: turn_of(helper) for state, helper in helpers.items()}
    for helper in helpers.values():
        helper.close()


def _compared(turns: dict[str, Turn], rounds: int, n: int) -> dict[str, Any]:
    """Return medians of an operation without and with the recorder, and of the shares of neighbouring turns."""
    taken: dict[str, list[tuple[float, float]]] = {state: [] for state in STATES}
    for turn in turns.values():
        turn(0)
    for number in range(1, rounds + 1):
        for state in STATES if number % 2 else reversed(STATES):
            taken[state].append(turns[state](number))
    found: dict[str, Any] = {"turns": rounds}
    for place, what in enumerate(("wall", "cpu")):
        off, on = ([each[place] / n for each in taken[state]] for state in STATES)
        shares = [b / a - 1 for a, b in zip(off, on, strict=True)]
        low, middle, high = statistics.quantiles(shares, n=4) if rounds > 1 else shares * 3
        found[what] = {
            "off_us": statistics.median(off) * 1e6,
            "on_us": statistics.median(on) * 1e6,
            "share": middle,
            "quartiles": [low, high],
            "share_of_medians": statistics.median(on) / statistics.median(off) - 1,
        }
    return found


def shares(rounds: int, quick: bool, work: tuple[str, ...] = WORK, scale: float = 1.0) -> dict[str, Any]:
    """Measure and print the shares; returns them by work."""
    n = 100 if quick else 1000
    found: dict[str, Any] = {}
    if set(work) & {"round trips", "plain puts"}:
        with _pairs(n) as turns:
            for name in [name for name in turns if name in work]:
                found[name] = _compared(turns[name], rounds if quick else 8 * rounds, n)
    if "gradient boosting" in work:
        with _trainers(10_000 if quick else max(10_000, round(ROWS * scale))) as trainers:
            found["gradient boosting"] = _compared(trainers, rounds, 1)
    say(
        table(
            ["share of the recorder", "without, us", "with, us", "processor", "its quartiles", "wall", "turns"],
            [
                [
                    name,
                    each["cpu"]["off_us"],
                    each["cpu"]["on_us"],
                    f"{each['cpu']['share']:.2%}",
                    " to ".join(f"{value:.2%}" for value in each["cpu"]["quartiles"]),
                    f"{each['wall']['share']:.2%}",
                    each["turns"],
                ]
                for name, each in found.items()
            ],
        )
    )
    return found
