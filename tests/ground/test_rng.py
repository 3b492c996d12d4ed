"""Random numbers: functions of their counters, and evenly spread."""

from __future__ import annotations

import numpy as np

from hydroscope.ground import rng


def test_the_hash_is_splitmix64():
    # The first outputs of the generator seeded with 1234567, as published with it.
    state, found = 1234567, []
    for _ in range(3):
        found.append(rng.mix(state))
        state = (state + rng.GOLDEN) % 2**64
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_stream_can_be_entered_anywhere():
    whole = rng.uniforms(99, 0, 1000)
    np.testing.assert_array_equal(rng.uniforms(99, 600, 400), whole[600:])
    assert 0.0 <= whole.min() < whole.max() < 1.0


def test_numbers_are_those_of_the_hash():
    stream = rng.key(3, 1, 4)
    wanted = [(rng.mix((stream + i * rng.GOLDEN - rng.GOLDEN) % 2**64) >> 11) * 2.0**-53 for i in range(5)]
    assert rng.uniforms(stream, 0, 5).tolist() == wanted


def test_numbers_are_uniform_and_streams_differ():
    counts = np.bincount((rng.uniforms(rng.key(1), 0, 100_000) * 10).astype(int))
    assert np.abs(counts - 10_000).max() < 400
    one, two = rng.uniforms(rng.key(1, 1), 0, 10_000), rng.uniforms(rng.key(1, 2), 0, 10_000)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05


def test_every_item_is_chosen_as_often():
    counts = np.zeros(7)
    for k in range(2000):
        chosen = rng.choose(rng.key(5, k), 7, 3)
        assert len(set(chosen.tolist())) == 3
        counts[chosen] += 1
    assert np.abs(counts - 2000 * 3 / 7).max() < 120


def test_fresh_seeds_differ():
    assert rng.fresh_seed() != rng.fresh_seed()
