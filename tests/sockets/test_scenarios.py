"""The scenarios that are quick; `python -m tests.sockets.scenarios` runs all of them."""

from __future__ import annotations

import pytest

from tests.sockets.hosts import why_not
from tests.sockets.scenarios import HOSTS, SCENARIOS

FAST = [each for each in SCENARIOS if each.is_fast]


@pytest.mark.parametrize("scenario", FAST, ids=lambda each: each.run.__name__)
def test_scenario(scenario):
    if scenario.place == HOSTS and (reason := why_not()) is not None:
        pytest.skip(reason)
    assert scenario.run()


def test_there_are_enough():
    assert len(SCENARIOS) >= 24
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS)
