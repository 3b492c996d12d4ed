"""The fuzzer, shortly; `python -m tests.wire.fuzz` runs it for long."""

from __future__ import annotations

import random

import pytest

from tests.wire import fuzz

N_FRAMES = 20_000
MAY_HAPPEN = ("refused: ", "member: ", "link: ")


def test_nothing_that_can_be_sent_changes_a_member():
    outcomes, grown = fuzz.run(N_FRAMES, seed=1, check_each=2_000)
    print(fuzz.table(outcomes))
    assert sum(sum(counted.values()) for counted in outcomes.values()) == N_FRAMES
    assert set(outcomes) == set(fuzz.ATTACKS)
    assert all(counted for counted in outcomes.values())
    assert all(what.startswith(MAY_HAPPEN) for counted in outcomes.values() for what in counted)
    without_secret = ("no MAC", "MAC of another secret", "other cluster", "HTTP request", "random bytes")
    for name in without_secret:
        assert all(what.startswith("refused: ") for what in outcomes[name])
    assert grown < 32 * 2**20


def test_the_fuzzer_notices_a_member_that_changed():
    scene = fuzz.Scene()
    scene.check()
    scene.do(0, scene.members[0].put("op", 1, "key-0", "other", scene.now))
    with pytest.raises(AssertionError, match="became"):
        scene.check()


def test_a_member_that_belongs_is_still_heard_after_the_attacks():
    scene = fuzz.Scene()
    draw = random.Random(2)
    for make, _ in fuzz.ATTACKS.values():
        for _ in range(20):
            scene.attack(*make(scene, draw))
    scene.outcomes.clear()
    scene.do(1, scene.members[1].atomic("op", 1, "count-0", "add", (1,), scene.now))
    scene.run(2.0, alive=2)
    assert "op" in scene.outcomes
