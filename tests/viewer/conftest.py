"""Timelines that several tests look at, and the one process of Node that plays with pages."""

from __future__ import annotations

import pytest

from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.pack import pack
from tests.viewer.histories import changed_states, everything
from tests.viewer.player import Player


@pytest.fixture(scope="session")
def timeline():
    return everything()


@pytest.fixture(scope="session")
def box(timeline):
    return pack(timeline)


@pytest.fixture(scope="session")
def stateful():
    timeline = everything()
    return Timeline(timeline.events, changes=changed_states(timeline))


@pytest.fixture(scope="session")
def player(tmp_path_factory):
    player = Player(tmp_path_factory.mktemp("played"))
    yield player
    player.close()


@pytest.fixture
def page(player, box):
    return player.open(box)
