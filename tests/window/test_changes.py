"""Changes as columns of text: replayed, they give the states; texts are bounded and those of the values."""

from __future__ import annotations

import numpy as np
import pytest

from hydroscope.window.absent import ABSENT
from hydroscope.window.changes import changes, numbers_of, text_of
from hydroscope.window.log import WindowLog
from hydroscope.window.past import read_window
from tests.window.history_of import replay


def written(log, seed, n):
    random = np.random.default_rng(seed)
    done = []
    for count in range(n):
        key = f"key {int(random.integers(40))}"
        gone = key in log and random.random() < 0.2
        done.append((log.remove(key) if gone else log.put(key, count), key, ABSENT if gone else count))
    return done


def replayed(found, stamp):
    """Return the state by node and key after all changes up to a stamp, each old text having been what was there."""
    state = {}
    for each in zip(*(getattr(found, name).tolist() for name in ("stamp", "node", "key", "old", "new")), strict=True):
        at, node, key, old, new = each
        if at > stamp:
            break
        assert state.get((node, key)) == old
        if new is None:
            del state[node, key]
        else:
            state[node, key] = new
    return state


@pytest.mark.parametrize("n_bytes", [2**28, 40_000], ids=["all is kept", "the window has moved on"])
def test_replayed_they_give_every_state_of_all_logs(n_bytes):
    logs = [WindowLog(f"node-{n}", seconds=3600, bytes=n_bytes) for n in range(2)]
    done = {log.name: [] for log in logs}
    for turn in range(60):
        for log in logs:
            done[log.name] += written(log, turn, 50)
    found = changes(logs)
    assert np.all(found.stamp[1:] >= found.stamp[:-1])
    begin = max(log.start for log in logs)
    stamps = [each[0] for each in done["node-0"] if each[0] >= begin]
    for stamp in (begin, *stamps[::200], stamps[-1]):
        expected = {(name, key): str(value) for name in done for key, value in replay(done[name], stamp).items()}
        assert replayed(found, stamp) == expected


def test_a_part_of_them_begins_with_the_state_there_and_keys_can_be_left_out(tmp_path):
    log = WindowLog("node", folder=tmp_path)
    done = written(log, 3, 400)
    after, until = done[100][0], done[300][0]
    for source in (log, read_window(tmp_path)):
        found = changes([source], after=after, until=until, without=("key 7",))
        expected = {("node", key): str(value) for key, value in replay(done, until).items() if key != "key 7"}
        assert replayed(found, 2**64) == expected
        assert int(found.stamp[-1]) <= until
        assert set(found.stamp[found.old == None].tolist()) >= {after}  # noqa: E711 - of each element
    assert len(changes([])) == 0


def test_slots_far_apart_are_found_too():
    """A key that was not changed for very long has a slot far below the others."""
    log = WindowLog("node", seconds=3600, bytes=20_000)
    log["old"] = "as ever"
    for n in range(20_000):
        log["hot"] = n
    found = changes([log])
    assert replayed(found, 2**64) == {("node", "old"): "as ever", ("node", "hot"): "19999"}


class Odd:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (True, "True"),
        ("a", "a"),
        (b"ab", "b'ab'"),
        ({"a": (1, 2)}, '{"a":[1,2]}'),
        ([{1, 2}], "[[1,2]]"),
        ([Odd()], "[<Odd instance at"),
        (None, "None"),
        (Odd(), "<Odd instance at"),
    ],
)
def test_texts(value, text):
    assert text_of(value).startswith(text)


def test_texts_are_bounded_whatever_the_value():
    for value in ("x" * 1000, bytes(1000), list(range(10_000)), 10**400, {"k": "v" * 1000}):
        assert len(text_of(value, 50)) <= 50
    assert numbers_of([1, 2.5, True, "3", None, 10**400]) == [1.0, 2.5, 1.0, None, None, None]
