"""Fixtures of all rooms: a small local engine for every test, and `engine` for what must hold on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hydroscope.engine.local import LocalEngine
from hydroscope.node import ports


@pytest.fixture(scope="session")
def two_threads() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.shutdown()


@pytest.fixture(autouse=True)
def local(two_threads: LocalEngine) -> Iterator[LocalEngine]:
    """Run the test on two threads, however many cores there are, and put back what was."""
    before = ports.install(two_threads)
    yield two_threads
    ports.restore(before)
