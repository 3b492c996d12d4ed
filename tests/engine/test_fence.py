"""A task comes after what its caller put, and who waited for a task comes after what the task put."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hydroscope.engine.keys_local import LocalKeys
from hydroscope.engine.local import LocalEngine
from hydroscope.node import jobs, ports

Event = tuple[str, int]


class Fenced(LocalKeys):
    """Writes down which thread put, and which was fenced."""

    def __init__(self) -> None:
        super().__init__()
        self.story: list[Event] = []

    def note(self, what: str) -> None:
        self.story.append((what, threading.get_ident()))

    def fence(self) -> None:
        self.note("fence")


@pytest.fixture
def keys() -> Iterator[Fenced]:
    store = Fenced()
    before = ports.install_keys(store)
    yield store
    ports.install_keys(before)


def test_a_map_is_fenced_on_both_sides(keys: Fenced, local: LocalEngine) -> None:
    both = threading.Barrier(2, timeout=30)

    def item(_: int) -> None:
        both.wait()  # so that two threads take an item each
        keys.note("put")

    keys.note("put")
    local.map(item, [(0,), (1,)])
    keys.note("end")
    caller = threading.get_ident()
    assert keys.story[:2] == [("put", caller), ("fence", caller)]
    threads = {thread for what, thread in keys.story if what == "put"}
    assert len(threads) == 2
    for thread in threads:
        own = [what for what, by in keys.story if by == thread and what != "end"]
        assert own[-2:] == ["put", "fence"]
    assert keys.story[-1] == ("end", caller)


def test_a_job_is_fenced_on_both_sides(keys: Fenced) -> None:
    keys.note("put")
    jobs.start(keys.note, "work").result(30)
    own, work = keys.story[:2], keys.story[2:]
    assert [what for what, _ in own] == ["put", "fence"]
    assert [what for what, _ in work] == ["work", "fence"]
    assert work[0][1] == work[1][1] != own[0][1]
