"""The one order against the truth, over many simulated systems: `python -m tests.scope.truth [--seeds N]`.

From 2 to 50 nodes, clocks up to 5 s off that drift by up to 200 ppm, up to 60 % of messages lost and a fifth of them
doubled. *Matched* are the receipts whose copy the order names right, of those that can be told: of one copy, or by
clocks known to less than 90 ms (copies are sent 200 ms apart). *Inversions* are receipts before what they received, by
the truth. *In the bar* are the records, and the nodes by all of theirs, whose corrected time is as near to the truth as
its own error bar says.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from hydroscope.scope.order import order
from tests.scope.histories import Plan, simulate
from tests.scope.test_order import decidable, edges_of

NODES = (2, 3, 5, 8, 20, 50)
WEATHER = ((0.0, 0.0), (0.1, 0.05), (0.3, 0.1), (0.6, 0.2))
"""Shares of messages that are lost, and that come twice."""


def of_one(plan: Plan, seed: int) -> dict[str, float]:
    """Return what the order of one history is worth."""
    history = simulate(plan, seed)
    found = order(history.events)
    sent, received = decidable(history, found)
    every_sent, every_received = edges_of(history)
    away = np.abs(found.time_ns - history.clock_ns(found.reference, history.true_ns))
    inside = away <= found.error_ns + 2
    node = history.events.node
    others = np.setdiff1d(np.unique(node), [found.reference])
    return {
        "records": len(history.events),
        "receipts": received.size,
        "right": int((found.partner[received] == sent).sum()),
        "open": every_received.size - received.size,
        "inversions": int((found.rank[every_sent] > found.rank[every_received]).sum()) + found.impossible.size,
        "inside": int(inside[node != found.reference].sum()),
        "theirs": int((node != found.reference).sum()),
        "nodes": others.size,
        "good": sum(bool(inside[node == k].all()) for k in others),
        "bar_us": float(np.median(found.error_ns[node != found.reference])) / 1e3,
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table; exit code 1 when something is out of order, or bars hold less often than 95 times of 100."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="of each row (default: 10)")
    parser.add_argument("--records", type=int, default=20_000, help="of each history, about (default: 20,000)")
    options = parser.parse_args(argv)
    print("nodes  lost  twice  histories    records   receipts  matched  open  inversions  in the bar: records  nodes")
    wrong, start = 0, time.monotonic()
    for n_nodes in NODES:
        for loss, duplicated in WEATHER:
            plan = Plan(n_nodes=n_nodes, n_records=options.records, loss=loss, duplicated=duplicated)
            runs = [of_one(plan, seed) for seed in range(options.seeds)]
            total = {name: sum(run[name] for run in runs) for name in runs[0]}
            bar = float(np.median([run["bar_us"] for run in runs]))
            matched, inside = total["right"] / total["receipts"], total["inside"] / total["theirs"]
            wrong += total["right"] < total["receipts"] or total["inversions"] > 0 or inside < 0.95
            print(
                f"{n_nodes:5}  {loss:4.0%}  {duplicated:5.0%}  {options.seeds:9}  {total['records']:9,}  "
                f"{total['receipts']:9,}  {matched:7.2%}  {total['open']:4}  {total['inversions']:10}  "
                f"{inside:19.2%}  {total['good'] / total['nodes']:5.0%}  {bar:,.0f} us",
                flush=True,
            )
    print(f"{time.monotonic() - start:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
