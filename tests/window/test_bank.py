"""Real processes: all the money is in every cut, before and after one of them was killed."""

from __future__ import annotations

from tests.window.bank import run


def test_all_the_money_is_in_every_cut_also_when_a_process_was_killed():
    n_cuts, n_after, n_changes, found = run(2, 6, 2.0)
    assert not found
    assert n_cuts > n_after > 0
    assert n_changes > 12
