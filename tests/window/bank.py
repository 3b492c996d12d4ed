"""A bank of real processes that move money between accounts in `hs.kv`, one of them killed: is it all in each cut?

`python -m tests.window.bank` starts a cluster of some processes. Tellers in each move money all the time, from one
account to another at another home, in two steps (`tests.scope.cuts`). Meanwhile snapshots are taken, of now and of the
last seconds; halfway one process is killed with SIGKILL. In every cut there has to be all the money, in the accounts of
the dead one too, which are known from the log that it left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time

import hydroscope as hs
from hydroscope.ground.errors import HydroscopeError
from hydroscope.scope.snapshots import snapshot
from tests.house.source import ROOT
from tests.scope.cuts import BALANCE, deposit, problems, withdraw

DETECT_S = 1.0


def account(number, n_members):
    """Return the key of an account, such that each member is home to some."""
    return f"@{number % n_members}/account/{number}"


class Accounts:
    """A state, with accounts by number as `problems` asks for them."""

    def __init__(self, state, n_members):
        self._state, self._n_members = state, n_members

    def get(self, key):
        return self._state.get(account(int(key.partition("/")[2]), self._n_members))


def tell(n_members, n_accounts, seed):
    """Move money for ever."""
    draw = random.Random(seed)
    while True:
        giver, taker = draw.sample(range(n_accounts), 2)
        amount = draw.randint(1, 20)
        try:
            hs.kv.atomic(account(giver, n_members), "withdraw", str(taker), amount)
            hs.kv.atomic(account(taker, n_members), "deposit", str(giver), amount)
        except HydroscopeError:  # it is lost with its home: the money is under way for ever
            time.sleep(0.001)


def member(address, secret, n_members, n_accounts, seed):
    """Be one of the other processes."""
    hs.kv.register("withdraw", withdraw)
    hs.kv.register("deposit", deposit)
    with hs.join_cluster(address, secret, detect_s=DETECT_S):
        tell(n_members, n_accounts, seed)


def run(n_members, n_accounts, seconds):
    """Return how many cuts were taken, how many of them after the death, and what was wrong with them."""
    hs.kv.register("withdraw", withdraw)
    hs.kv.register("deposit", deposit)
    with hs.start_cluster(n_members, detect_s=DETECT_S) as cluster:
        command = [sys.executable, "-m", "tests.window.bank", "--join", cluster.address, cluster.secret.hex()]
        command += ["--members", str(n_members), "--accounts", str(n_accounts)]
        others = [subprocess.Popen([*command, "--seed", str(n)], cwd=ROOT) for n in range(1, n_members)]
        try:
            cluster.wait()
            return look(n_members, n_accounts, seconds, others)
        finally:
            for each in others:
                each.kill()
                each.wait()


def look(n_members, n_accounts, seconds, others):
    """Take cuts, kill one, take more."""
    began, draw, found = time.monotonic(), random.Random(0), []
    n_cuts = n_after = n_changes = 0
    killed = False
    opened = time.monotonic() + 60
    while len(hs.kv.keys()) < n_accounts:  # until all accounts have been opened by those who use them
        assert time.monotonic() < opened, "the tellers do nothing"
        time.sleep(0.05)
    begin = hs.snapshot().at
    while time.monotonic() < began + seconds:
        if not killed and time.monotonic() > began + seconds / 2:
            os.kill(others[-1].pid, signal.SIGKILL)
            killed = True
        snap = hs.snapshot()
        oldest = max(begin, *(cut.history.start for cut in snap.cuts.values()))
        for _ in range(20):
            stamp = draw.randint(oldest, snap.at)
            snap.roll(stamp)
            wrong = problems(Accounts(snap, n_members), n_accounts)
            if wrong and not snap.missing:
                found.append(f"at {stamp}: {'; '.join(wrong)}")
            n_cuts += 1
            n_after += killed
        n_changes = sum(cut.history.n_entries for cut in snap.cuts.values())
        if snap.missing:
            found.append(f"missing: {snap.missing}")
    last = snapshot(logs=hs.read_keys())
    if problems(Accounts(last, n_members), n_accounts):
        found.append("at the end")
    return n_cuts, n_after, n_changes, found


def main(argv=None):
    """Run it and say how it was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--accounts", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--join", nargs=2, metavar=("ADDRESS", "SECRET"))
    options = parser.parse_args(argv)
    if options.join:
        address, secret = options.join
        member(address, secret, options.members, options.accounts, options.seed)
        return 0
    n_cuts, n_after, n_changes, found = run(options.members, options.accounts, options.seconds)
    sys.stdout.write(
        f"{n_cuts:,} cuts, {n_after:,} of them after a member was killed, {n_changes:,} changes in the window: "
        f"{len(found)} wrong, {options.accounts * BALANCE} in all\n"
    )
    sys.stdout.writelines(f"  {each[:200]}\n" for each in found[:10])
    return bool(found) or not n_after


if __name__ == "__main__":
    sys.exit(main())
