"""Random programs on random schedules, with deaths: judged by the order that the homes gave out."""

from __future__ import annotations

import random

import pytest

from hydroscope.kv.effects import Lost, Refused, Value, Wrote
from tests.kv.explore import Run, Step
from tests.kv.network import Network
from tests.kv.reference import is_linearizable, versions_are_consistent

KEYS = ("@0/a", "@1/b", "c")


def random_step(rng, value, waits):
    key = rng.choice(KEYS)
    kind = rng.random()
    if kind < 0.4:
        return Step.get(key)
    if kind < 0.75:
        durable = rng.random() < 0.3
        return Step("put", (key, rng.choice([value, value, None]), waits, durable), waits=waits)
    if kind < 0.85:
        return Step.atomic(key, "append", value)
    return Step.atomic(key, rng.choice(["create", "discard"]), value)


def random_run(rng, n_members=4, n_threads=5, n_steps=8, waits=True):
    threads = [
        (
            rng.randrange(n_members),
            [random_step(rng, [f"{thread}.{i}"], waits or rng.random() < 0.3) for i in range(n_steps)],
        )
        for thread in range(n_threads)
    ]
    return Run(Network(3, n_leaves=n_members - 3, checks=False), threads)


def go(run, rng, deaths=()):
    """Let things happen in random order; members die after so many events."""
    network, deaths = run.network, list(deaths)
    while True:
        if deaths and run.time >= deaths[0]:
            deaths.pop(0)
            network.kill(rng.choice(sorted(network.members)))
        if network.entering and rng.random() < 0.3:
            network.enter(rng.choice(sorted(network.entering)))
            run.do(NOTHING)
        choices = run.choices()
        if network.entering:  # no operation begins before the view is open
            choices = [choice for choice in choices if len(choice) > 1]
        if choices:
            run.do(rng.choice(choices))
        elif network.entering:
            network.enter(rng.choice(sorted(network.entering)))
            run.do(NOTHING)
        else:
            return


NOTHING = ("nothing", 0, 0, 0)


def check_end(run):
    network = run.network
    network.check_at_rest()
    for call in run.calls:
        assert call.outcome is not None or call.member not in network.members, f"{call} never ended"


@pytest.mark.parametrize("seed", range(60))
def test_operations_that_wait(seed):
    rng = random.Random(seed)
    run = random_run(rng)
    go(run, rng)
    check_end(run)
    versions_are_consistent(run.calls, run.network.order)
    for key in KEYS:
        assert is_linearizable([call for call in run.calls if call.step.arguments[0] == key])


@pytest.mark.parametrize("seed", range(100))
def test_operations_that_wait_while_members_die(seed):
    rng = random.Random(seed)
    run = random_run(rng, n_members=rng.choice([3, 4, 5]))
    go(run, rng, sorted(rng.sample(range(5, 120), rng.choice([1, 2]))))
    check_end(run)
    versions_are_consistent(run.calls, run.network.order)


@pytest.mark.parametrize("seed", range(60))
def test_plain_puts_while_members_die(seed):
    rng = random.Random(seed)
    run = random_run(rng, waits=False)
    go(run, rng, sorted(rng.sample(range(5, 120), rng.choice([0, 1]))))
    check_end(run)
    check_threads(run)


def check_threads(run):
    """Check that no thread sees a key go back, and that it sees its own puts."""
    version_of = {}
    for call in run.calls:
        if isinstance(call.outcome, Wrote) and call.step.operation == "put" and call.step.arguments[1] is not None:
            version_of[repr(call.step.arguments[1])] = call.outcome.version
    newest = {}
    for call in run.calls:  # of each thread they are in the order of the program
        thread, key = call.op.partition(".")[0], call.step.arguments[0]
        if isinstance(call.outcome, Wrote):
            version = call.outcome.version
        elif isinstance(call.outcome, Value):
            version = call.outcome.version or version_of.get(repr(call.outcome.value), 0)
        else:
            assert call.outcome is None or isinstance(call.outcome, Lost | Refused)
            continue
        if not version:  # a remove of this member that is not ordered, or a put that was lost
            continue
        assert version >= newest.get((thread, key), 0), call
        newest[thread, key] = version


def test_the_checks_would_notice():
    """A history with an inversion is not let through."""
    rng = random.Random(3)
    run = random_run(rng)
    go(run, rng)
    reads = [call for call in run.calls if isinstance(call.outcome, Value) and call.outcome.value is not None]
    first = min(run.calls, key=lambda call: call.ended)
    late = max(reads, key=lambda call: call.begun)
    assert first.ended < late.begun
    late.outcome = Value(late.outcome.value, 1)
    with pytest.raises(AssertionError):
        versions_are_consistent(run.calls, run.network.order)
