"""A watch of keys: what is told when, and that nothing is told as if all were well when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from hydroscope.engine.watching import Watch
from hydroscope.node.ports import NodeLost


class Scene:
    """A watch of a dictionary, some keys of which are lost."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.lost: set[str] = set()
        self.closed: list[Watch] = []
        self.watch = Watch("", self.read, self.closed.append)

    def read(self, key: str) -> Any:
        if key in self.lost:
            raise NodeLost(f"what {key} held is lost", (key,))
        return self.values.get(key)

    def put(self, key: str, value: Any) -> None:
        self.values[key] = value
        self.watch.tell(key)


def test_a_loss_is_told_once_and_after_what_came_before() -> None:
    scene = Scene()
    scene.put("a", 1)
    scene.watch.lose(NodeLost("member 2 was lost"))
    scene.put("b", 2)
    assert scene.watch.poll() == {"a": 1}
    with pytest.raises(NodeLost, match="member 2 was lost"):
        scene.watch.poll()
    assert scene.watch.poll() == {"b": 2}
    assert scene.watch.poll() == {}


def test_a_changed_key_that_is_lost_meanwhile_takes_no_other_change_along() -> None:
    scene = Scene()
    for key in "abc":
        scene.put(key, 1)
    scene.lost.add("b")
    assert scene.watch.poll() == {"a": 1}
    with pytest.raises(NodeLost) as told:
        scene.watch.poll()
    assert told.value.keys == ("b",)
    assert scene.watch.poll() == {"c": 1}
    scene.lost.clear()
    scene.put("b", 2)
    assert scene.watch.poll() == {"b": 2}


def test_a_loop_ends_by_the_loss_and_can_be_begun_again() -> None:
    scene = Scene()
    scene.put("a", 1)
    scene.watch.lose(NodeLost("member 2 was lost"))
    changes = iter(scene.watch)
    assert next(changes) == ("a", 1)
    with pytest.raises(NodeLost):
        next(changes)
    scene.put("b", 2)
    assert next(iter(scene.watch)) == ("b", 2)


def test_a_watch_that_hears_nothing_any_more_says_so_at_every_look() -> None:
    scene = Scene()
    scene.watch.end(NodeLost("this process was given up"))
    for _ in range(2):
        with pytest.raises(NodeLost, match="given up"):
            scene.watch.poll(None)
        with pytest.raises(NodeLost, match="given up"):
            next(iter(scene.watch))
    assert not scene.closed
    scene = Scene()
    scene.watch.close()
    scene.watch.end(NodeLost("too late"))
    assert scene.watch.poll(None) == {}
    assert list(scene.watch) == []
    assert scene.closed == [scene.watch]
