"""The table that frames, tasks and models of the conformance tests work on, and the stores of keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hydroscope.engine.keys_local import LocalKeys
from hydroscope.engine.simulated import World
from hydroscope.engine.sockets.start import connect, serve
from hydroscope.ground.limits import ROWS_PER_LEAF
from hydroscope.kv.functions import Functions
from hydroscope.node import ports
from tests.conformance.simulated import SimulatedKeys

N_ROWS = ROWS_PER_LEAF + 1234


@pytest.fixture(scope="session")
def columns() -> dict[str, Any]:
    """Two leaves of rows: decimals, noise with gaps, small integers, sparse, row numbers, levels, text."""
    rng = np.random.default_rng(11)
    noise = rng.normal(size=N_ROWS)
    noise[rng.random(N_ROWS) < 0.05] = np.nan
    k = rng.integers(0, 300, N_ROWS)
    words = np.array(["amber", "blue", "coral", "denim"])
    return {
        "x": np.round(rng.normal(50, 20, N_ROWS), 2),
        "y": noise,
        "k": k,
        "sparse": np.where(rng.random(N_ROWS) < 0.01, rng.integers(1, 100, N_ROWS), 0),
        "row": np.arange(N_ROWS),
        "colour": words[rng.integers(0, 4, N_ROWS)],
        "late": rng.random(N_ROWS) < 1 / (1 + np.exp(-noise.clip(-3, 3) - (k % 7 - 3) / 2)),
    }


@pytest.fixture(params=("local", "simulated", "sockets", "ray"))
def keys(request: pytest.FixtureRequest) -> Iterator[ports.Keys]:
    """Run the test once on each store of keys, empty."""
    if request.param == "local":
        store: ports.Keys = LocalKeys()
    elif request.param == "simulated":
        store = SimulatedKeys(World(3, 11, drop=0.1, duplicate=0.1, slow=0.2, damage=0.05, skew=0.01), member=1)
    elif request.param == "sockets":
        store = request.getfixturevalue("socket_keys")
    else:
        store = request.getfixturevalue("ray_engine").open_keys()
    before = ports.install_keys(store)
    yield store
    ports.install_keys(before)
    for key in store.keys():  # noqa: SIM118 - no dictionary
        store.remove(key, wait=True)


@pytest.fixture(scope="session")
def socket_keys() -> Iterator[ports.Keys]:
    """The second member of a cluster of two, both in this process."""
    functions = Functions(time.time)  # of both: each member has those that its process registered
    first = serve(members=2, functions=functions)
    second = connect(first.address, first.secret, functions=functions)
    yield second
    second.shutdown()
    first.shutdown()
