"""One order of cause and effect for the records of several nodes, against sorting the same columns.

Simulated histories with a tenth of all messages lost, clocks up to 5 s apart and drifting by up to 200 ppm. The peer
is `np.lexsort` of the records' times, nodes and stamps, in the order in which they come from a network: none. It gives
no order of cause and effect; it says what a sort costs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks._harness import (
    Contender,
    arguments,
    begin,
    emit,
    interleave,
    machine_line,
    peak_rss_mb,
    say,
    status,
    table,
)
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.order import Order, order
from tests.scope.histories import History, Plan, simulate

SORT, ORDER = "np.lexsort of 3 columns", "order"
SIZES = ((8, 0.01), (8, 0.1), (2, 1.0), (8, 1.0), (50, 1.0))
"""Nodes, and the share of --rows."""


def _figures(history: History, found: Order) -> dict[str, Any]:
    """Return what the order is worth, by the truth: shares, and errors in ms."""
    events = history.events
    matched = np.flatnonzero((found.partner >= 0) & (events.kind == Kind.RECEIVED))
    receipts = np.flatnonzero(history.copy >= 0)
    right = history.clock_ns(found.reference, history.true_ns)
    away = np.abs(found.time_ns - right)
    others = events.node != found.reference
    return {
        "matched": float(np.mean(found.partner[receipts] == history.copy[receipts])),
        "inversions": int((found.rank[found.partner[matched]] > found.rank[matched]).sum()),
        "within_bar": float(np.mean(away <= found.error_ns + 2)),
        "bar_ms": float(np.median(found.error_ns[others])) / 1e6,
        "away_ms": float(np.median(away[others])) / 1e6,
    }


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    """Return the answer and the processor's time: both run on one thread, and others may be at work."""
    start = time.process_time()
    return work(), time.process_time() - start


def _run(n_nodes: int, n_records: int, rounds: int) -> dict[str, Any]:
    history = simulate(Plan(n_nodes=n_nodes, n_records=n_records, loss=0.1), seed=1)
    events = history.events
    mixed = np.random.default_rng(0).permutation(len(events))
    columns = events.stamp[mixed], events.node[mixed], events.at_ns[mixed]
    contenders = [
        Contender(SORT, lambda: _timed(lambda: np.lexsort(columns).size)),
        Contender(ORDER, lambda: _timed(lambda: order(events).rank.size)),
    ]
    timings = interleave(contenders, rounds, compare=lambda answer: answer[0], clock=lambda answer: float(answer[1]))
    return {
        "nodes": n_nodes,
        "records": len(events),
        "sort_s": timings[SORT].median_s,
        "order_s": timings[ORDER].median_s,
        "ratio": timings[ORDER].best_s / timings[SORT].best_s,
        **_figures(history, order(events)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when a contender failed."""
    options = begin(arguments(__doc__ or "", rows=1_000_000, deadline_s=1200), argv)
    say(machine_line(["numpy", "numba"]))
    rows = 20_000 if options.quick else round(options.rows * options.scale)
    say(f"{options.rounds} rounds, medians of the processor's time; the ratio is that of the best rounds\n")
    results = [_run(n_nodes, max(int(rows * share), 500), options.rounds) for n_nodes, share in SIZES]
    header = ["nodes", "records", SORT + " s", "order s", "sorts", "matched right", "inversions", "within bar"]
    header += ["median bar ms", "median error ms"]
    say(table(header, [list(each.values()) for each in results]))
    say(f"\npeak memory {peak_rss_mb():,.0f} MB, the histories and their truth included")
    emit("order", {"rounds": options.rounds, "sizes": results})
    return status()


if __name__ == "__main__":
    sys.exit(main())
