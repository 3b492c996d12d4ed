"""Cuts through simulated histories against brute force; `python -m tests.scope.cuts` makes 10,000 of each sort.

Two sorts. *Logs* is the bank of `tests.scope.bank`: window-logs on nodes with wrong clocks. *Keys* is the key/value
store itself in the simulator, with loss, pauses and crashes: tellers move money between accounts at different homes,
in two steps, each of which is one `atomic`; others put and remove durable keys. Each member's log is written to files
by what writes it in production. A cut must be what a replay of all that was ordered says, and must have all the money:
an account that has received more from another than that one has sent would be an effect without its cause.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np

from hydroscope.engine.diary import Diary
from hydroscope.engine.past_keys import PastKeys, read_keys
from hydroscope.engine.simulated.world import World
from hydroscope.engine.sockets.witness import member_name
from hydroscope.ground.errors import HydroscopeError
from hydroscope.scope.snapshots import snapshot
from tests.scope.bank import Bank, total
from tests.window.history_of import replay

ACCOUNTS = 8
BALANCE = 100
DURABLE = 6
CLUSTER = 4711


def withdraw(value, to, amount):
    """Take money out of an account for another one."""
    account = value or new_account()
    sent = account["sent"] | {to: account["sent"].get(to, 0) + amount}
    return account | {"balance": account["balance"] - amount, "sent": sent}


def deposit(value, sender, amount):
    """Bring it in."""
    account = value or new_account()
    came = account["came"] | {sender: account["came"].get(sender, 0) + amount}
    return account | {"balance": account["balance"] + amount, "came": came}


def new_account():
    return {"balance": BALANCE, "sent": {}, "came": {}}


def problems(state, n_accounts=ACCOUNTS):
    """Return what is wrong with the money in a state: nothing, if it is a consistent one."""
    accounts = {str(n): state.get(f"account/{n}") or new_account() for n in range(n_accounts)}
    found, under_way = [], 0
    for name, account in accounts.items():
        for sender, came in account["came"].items():
            if came > accounts[sender]["sent"].get(name, 0):
                found.append(f"account {name} has {came} from {sender}, which has sent less")
        under_way += sum(account["sent"].values()) - sum(account["came"].values())
    in_all = sum(account["balance"] for account in accounts.values()) + under_way
    if in_all != n_accounts * BALANCE:
        found.append(f"{in_all} in all")
    return found


class KeysHistory:
    """One simulated run of the store: what was ordered, and the logs in a folder."""

    def __init__(self, seed, folder, n_transfers=12):
        random = Random(seed)
        harsh = random.random() < 0.6
        faults = {"drop": 0.1, "duplicate": 0.1, "slow": 0.1, "skew": 0.01, "pauses": 1} if harsh else {"skew": 0.01}
        crashes = random.choice((0, 1, 1, 2))
        n_members = random.randint(2, 4)
        self.world = World(
            n_members, seed, encode=False, joins=True, crashes=min(crashes, n_members - 1), restarts=False, **faults
        )
        self.folder, self.diaries, self.changes = folder, {}, []
        world = self.world
        world.functions.register("withdraw", withdraw)
        world.functions.register("deposit", deposit)
        world.on_ordered = lambda process, effect: self._changed(process, effect, False)
        world.on_adopted = lambda process, effect: self._changed(process, effect, True)
        world.on_entered = self._entered
        for n in range(n_members):
            world.spawn(self._teller, seed + n, n_transfers, member=n)
            world.spawn(self._clerk, seed - n - 1, n_transfers, member=n)
        world.run_programs()
        for process in world.processes.values():
            self._diary(process).close()
        for diary in self.diaries.values():
            diary.close()

    @staticmethod
    def _teller(keys, seed, n):
        random = Random(seed)
        for _ in range(n):
            giver, taker = (str(each) for each in random.sample(range(ACCOUNTS), 2))
            amount = random.randint(1, 20)
            try:
                yield keys.atomic(f"account/{giver}", "withdraw", taker, amount)
                yield keys.sleep(random.random() * 0.05)
                yield keys.atomic(f"account/{taker}", "deposit", giver, amount)
            except HydroscopeError:  # the account is lost with its home; the money is under way for ever
                yield keys.sleep(0.01)

    @staticmethod
    def _clerk(keys, seed, n):
        random = Random(seed)
        for count in range(2 * n):
            key = f"durable/{random.randrange(DURABLE)}"
            try:
                if random.random() < 0.25:
                    yield keys.remove(key, wait=True)
                else:
                    yield keys.put(key, f"{seed} {count}", wait=True, durable=True)
            except HydroscopeError:
                pass
            yield keys.sleep(random.random() * 0.05)

    def _diary(self, process):
        if process.life not in self.diaries:
            self.diaries[process.life] = Diary(CLUSTER, 3600.0, None, self.folder)
        return self.diaries[process.life]

    def _entered(self, process, effect):
        me = process.member.standing.me
        diary = self._diary(process)
        diary.entered(me, member_name(me.number, me.life), effect.view, process.member.stamp())

    def _changed(self, process, effect, adopted):
        self._diary(process).changed(effect)
        self.changes.append((effect.stamp, effect.version, adopted, effect.key, effect.value))

    def expected(self, stamp):
        """Return the state at a stamp: of each key what was ordered last, whoever was its home."""
        last = {}
        for at, version, adopted, key, value in self.changes:
            if at <= stamp and (key not in last or last[key][:2] < (version, adopted)):
                last[key] = version, adopted, value
        return {key: value for key, (_, _, value) in last.items() if value is not None}

    def past(self):
        """Return the logs as they are read from the files."""
        return read_keys(self.folder, CLUSTER)


def check_keys(seed, n_cuts, n_transfers=12):
    """Check cuts of one run of the store; return how many were made and how many changes there were."""
    with tempfile.TemporaryDirectory(prefix="cuts-") as folder:
        run = KeysHistory(seed, Path(folder), n_transfers)
        past = run.past()
        assert isinstance(past, PastKeys)
        assert not past.missing, (seed, past.missing)
        begin = max(node.history().start for node in past.nodes)
        stamps = sorted(each[0] for each in run.changes if each[0] >= begin)
        random = Random(seed)
        moving = snapshot(logs=past)
        assert dict(moving.items()) == run.expected(2**64), f"seed {seed}, at the end"
        for n in range(n_cuts):
            stamp = random.choice(stamps) - n % 2 if n % 3 else random.randint(stamps[0], stamps[-1])
            snap = snapshot(stamp, past) if n % 5 == 0 else moving.roll(stamp)
            assert dict(snap.items()) == run.expected(stamp), f"seed {seed}, cut {n} at {stamp}"
            assert not problems(snap), f"seed {seed}, cut {n} at {stamp}: {problems(snap)}"
        return n_cuts, len(run.changes)


def check_logs(seed, n_cuts):
    """Check cuts of one history of the bank; return how many were made and how many changes there were."""
    bank = Bank.simulate(seed, n_nodes=2 + seed % 4)
    random = np.random.default_rng(seed)
    begin, end = bank.span
    stamps = [each[0] for changes in bank.changes.values() for each in changes if each[0] >= begin]
    moving = snapshot(logs=bank.logs)
    for n in range(n_cuts):
        stamp = int(random.integers(begin, end)) if n % 2 else int(random.choice(stamps)) - n % 3
        stamp = max(stamp, begin)
        snap = moving.roll(stamp) if n % 5 else snapshot(stamp, bank.logs)
        expected = {
            (name, key): value
            for name, changes in bank.changes.items()
            for key, value in replay(changes, stamp).items()
        }
        assert dict(snap.items()) == expected, f"seed {seed}, cut {n} at {stamp}"
        assert total(snap) == bank.total, f"seed {seed}, cut {n} at {stamp}"
    return n_cuts, len(stamps)


def main(argv=None):
    """Make the cuts and say how many; the first wrong one ends it with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=10_000, help="of each sort")
    parser.add_argument("--each", type=int, default=50, help="cuts of one history")
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    options = parser.parse_args(argv)
    for name, check in (("logs", check_logs), ("keys", check_keys)):
        began, seed, n_cuts, n_changes = time.monotonic(), options.seed, 0, 0
        while n_cuts < options.cuts:
            done, changes = check(seed, min(options.each, options.cuts - n_cuts))
            n_cuts, n_changes, seed = n_cuts + done, n_changes + changes, seed + 1
        sys.stdout.write(
            f"{name}: {n_cuts:,} cuts through {seed - options.seed} histories of {n_changes:,} changes in all: "
            f"none was wrong ({time.monotonic() - began:.0f} s)\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
