"""Whole clusters under faults: every mix, the regressions, the mutants, the published rules, the litmus tests.

HYDROSCOPE_SIM_SEEDS sets the seeds a mix (default 1,500; `WEIGHTS` times as many of some mixes, by what they cost).
"""

from __future__ import annotations

import os

import pytest

from hydroscope.engine.simulated.world import World
from hydroscope.ground.errors import InternalError
from tests.sim.channels import ALONE, MIXES_OF_PUBLISHED, WHOLE, cases, convict, run_on
from tests.sim.cluster import run_cluster
from tests.sim.litmus import LITMUS, placements, run_litmus
from tests.sim.mutants import hunt, names
from tests.sim.original import original_rules
from tests.sim.regressions import REGRESSIONS
from tests.sim.runner import NAMES, run_all, run_range, run_seed
from tests.sim.scripts import MIXES
from tests.sim.sometimes import unmet

N_SEEDS = int(os.environ.get("HYDROSCOPE_SIM_SEEDS", "1500"))
WEIGHTS = {"rpc": 2.0, "harsh": 0.5, "crash": 0.3, "watch": 0.4, "views": 0.1}
"""So that each mix has about as much of the time, 10 to 15 s of a core; `make soak` runs over a million seeds."""


def test_all_mixes_keep_all_promises_and_meet_everything_rare():
    tallies = run_all({mix: (0, round(N_SEEDS * WEIGHTS.get(mix, 1))) for mix in NAMES}, n_processes=2)
    counters = sum((tally.counters for tally in tallies.values()), start=tallies["rpc"].counters.copy())
    for tally in tallies.values():
        replay = [f"python -m tests.sim --replay {tally.mix}:{seed}  {text}" for seed, text in tally.failures[:3]]
        assert not tally.wrong, f"{dict(tally.wrong)}\n" + "\n".join(replay)
    assert not unmet(counters)


@pytest.mark.parametrize("regression", REGRESSIONS, ids=lambda each: f"{each.mix}-{each.seed}")
def test_seeds_that_once_failed(regression):
    assert not run_seed(regression.mix, regression.seed).violations


def test_a_seed_repeats_exactly():
    first, second = (run_seed("harsh", 11, trace=True) for _ in range(2))
    assert first.lines == second.lines
    assert len(first.lines) > 100
    assert first.counters == second.counters


@pytest.mark.parametrize("name", names())
def test_each_mutant_is_caught(name):
    assert hunt(name, starts=(0,), limit=1000).is_caught


@pytest.mark.parametrize(
    ("mix", "kinds"),
    [
        ("volatile", {"not linearizable", "not sequentially consistent"}),
        ("remove", {"not linearizable", "convergence"}),
        ("atomic", {"not linearizable", "not sequentially consistent"}),
        ("plain", {"incoherent", "convergence"}),
        ("plain_atomic", {"incoherent", "convergence"}),
        ("flags", {"happens-before", "incoherent"}),
    ],
)
def test_the_published_rules_are_convicted(mix, kinds):
    with original_rules():
        tally = run_range(mix, 0, 100)
    assert kinds <= set(tally.wrong), dict(tally.wrong)


@pytest.mark.parametrize("rules", [WHOLE, *ALONE])
def test_the_published_rules_need_no_bad_network_to_be_convicted(rules):
    case = next(case for case in cases() if case[0] == rules)
    found = convict(*case, starts=(0,))
    assert case[2] == "in order, nothing lost"
    assert found.seed is not None
    assert found.story


@pytest.mark.parametrize("mix", MIXES_OF_PUBLISHED)
def test_our_rules_hold_on_channels_that_are_in_order(mix):
    for seed in range(50):
        run = run_on("in order, nothing lost", mix, seed)
        assert not run.verdict.violations
        assert run.world.network.counters["overtaken"] == run.world.network.counters["dropped"] == 0


@pytest.mark.parametrize("test", LITMUS, ids=lambda test: test.name)
def test_litmus_outcomes_that_are_forbidden_are_not_seen(test):
    for kind, promise in test.kinds.items():
        row = run_litmus(test, kind, thin=25 if len(test.threads) < 3 else 150)
        assert promise == "allowed" or not row.n_seen, row.example


def test_placements_are_all_that_differ():
    assert list(placements(3)) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 1, 2)]


def test_the_world_says_who_waits_when_a_program_hangs():
    def asks(keys):
        yield keys.get("@1/k")

    world = World(members=2, seed=1, encode=False)
    world.network.cut(0, 1, 1e9)
    world.spawn(asks, member=0)
    with pytest.raises(InternalError, match="still waiting: thread 0 at 0: Do"):
        world.run(limit_s=30.0)


def test_bytes_and_values_give_the_same_outcomes():
    """The fast mode skips encoding only."""
    for seed in (ENCODED, 2 * ENCODED + 1):
        verdict = run_cluster(MIXES["atomic"], seed)
        assert not verdict.violations


ENCODED = 49
