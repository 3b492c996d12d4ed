"""A bank on several nodes whose clocks are wrong: money is sent in messages that take their time.

At every moment the balances and the money under way are what there was in the beginning. Money is under way
when the state says that it was sent and not that it came: so a cut that has an effect without its
cause has too much money.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from hydroscope.ground.clocks.hlc import HybridClock
from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.window.log import WindowLog

__all__ = ["ACCOUNTS", "BALANCE", "Bank", "total"]

ACCOUNTS = 4
BALANCE = 100


@dataclass
class Bank:
    """One history: the logs, all changes of each by stamp, and the same again by the wall clocks."""

    seed: int
    logs: list[WindowLog]
    by_wall: list[WindowLog]
    changes: dict[str, list]
    """(stamp, key, value) of each node."""
    span: tuple[int, int]
    wall_span: tuple[int, int]

    @property
    def total(self):
        """The money there is."""
        return len(self.logs) * ACCOUNTS * BALANCE

    @classmethod
    def simulate(cls, seed, n_nodes=3, n_transfers=40, skew_s=0.5):
        """Draw a history from a seed."""
        random = np.random.default_rng(seed)
        clocks = [SimulatedClock(random.uniform(-skew_s, skew_s), random.uniform(-1e-3, 1e-3)) for _ in range(n_nodes)]
        hybrid = [HybridClock(clock) for clock in clocks]
        logs = [WindowLog(f"node-{n}", seconds=3600, clock=clock) for n, clock in enumerate(hybrid)]
        by_wall = [WindowLog(f"node-{n}", seconds=3600, clock=HybridClock(clock)) for n, clock in enumerate(clocks)]
        bank = cls(seed, logs, by_wall, {log.name: [] for log in logs}, (0, 0), (0, 0))
        for n in range(n_nodes):
            for account in range(ACCOUNTS):
                bank.write(n, {("balance", account): BALANCE}, hybrid[n].tick(), by_wall[n].tick())
        begin = max(log.tick() for log in logs), max(log.tick() for log in by_wall)
        queue = [(time, n, "send", None) for n, time in enumerate(random.uniform(0, 3, n_transfers))]
        heapq.heapify(queue)
        while queue:
            time, number, what, message = heapq.heappop(queue)
            for clock in clocks:
                clock.set(time)
            if what == "send":
                source, target = random.choice(n_nodes, 2, replace=False).tolist()
                account = int(random.integers(ACCOUNTS))
                amount = int(random.integers(1, 30))
                balance = logs[source][("balance", account)] - amount
                stamp = hybrid[source].tick()
                changed = {("balance", account): balance, ("sent", number): amount}
                bank.write(source, changed, stamp, by_wall[source].tick())
                heapq.heappush(
                    queue, (time + random.exponential(0.05), number, "come", (target, account, amount, stamp))
                )
            else:
                target, account, amount, stamp = message
                assert hybrid[target].merge(stamp)
                balance = logs[target][("balance", account)] + amount
                changed = {("balance", account): balance, ("came", number): amount}
                bank.write(target, changed, hybrid[target].tick(), by_wall[target].tick())
        bank.span = begin[0], max(log.tick() for log in logs)
        bank.wall_span = begin[1], max(log.tick() for log in by_wall)
        return bank

    def write(self, node, changed, stamp, wall):
        """Change several keys of a node in one event."""
        for key, value in changed.items():
            self.logs[node].put(key, value, stamp)
            self.by_wall[node].put(key, value, wall)
            self.changes[self.logs[node].name].append((stamp, key, value))


def total(state):
    """Return the balances and the money under way, by what a state of all nodes says."""
    balances, sent, came = 0, {}, set()
    for (_, (what, number)), value in state.items():
        if what == "balance":
            balances += value
        elif what == "sent":
            sent[number] = value
        else:
            came.add(number)
    return balances + sum(amount for number, amount in sent.items() if number not in came)
