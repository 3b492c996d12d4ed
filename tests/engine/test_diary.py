"""What a member writes down of its keys: every value comes back, or what it was; nothing that goes wrong leaves it."""

from __future__ import annotations

import numpy as np
import pytest

from hydroscope.engine import diary as diaries
from hydroscope.engine.diary import LARGE_BYTES, VIEW, Diary
from hydroscope.engine.past_keys import read_keys
from hydroscope.ground.errors import UserError
from hydroscope.kv.effects import Adopted, Ordered
from hydroscope.scope.snapshots import snapshot
from hydroscope.window import files, tape
from hydroscope.window.files import written
from hydroscope.wire.messages import MemberInfo, View

CLUSTER = 77


def member(number):
    return MemberInfo(number, 1000 + number, "127.0.0.1", 1, 1, True)


def opened(folder, number=0, founders=(0,), stamp=10**18, seconds=60.0):
    diary = Diary(CLUSTER, seconds, None, folder)
    diary.entered(member(number), f"member-{number}.x", View(1, tuple(map(member, founders)), founders), stamp)
    return diary


@pytest.mark.parametrize(
    "value",
    [
        1,
        -(10**30),
        2.5,
        True,
        "text",
        "é" * 100,
        b"bytes",
        [1, [2, "x"]],
        (1, (2,)),
        {"a": {"b": None}},
        "x" * LARGE_BYTES,
    ],
)
def test_values_come_back_as_what_they_were(tmp_path, value):
    diary = opened(tmp_path)
    diary.changed(Ordered("k", 1, value, None, 10**18 + 1))
    diary.close()
    found = snapshot(logs=read_keys(tmp_path, CLUSTER))["k"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x" * (LARGE_BYTES + 1), "<str of length 16,385, not kept>"),
        (list(range(5000)), "<list of length 5,000, not kept>"),
        (["x" * 100] * 1000, "<list of length 1,000, not kept>"),
        (np.zeros((100, 100)), "<ndarray of float64, shape (100, 100), not kept>"),
        ({1, 2}, "<set: value is of type set, which cannot be stored"),
    ],
)
def test_of_what_is_too_large_or_cannot_be_packed_is_said_what_it_was(tmp_path, value, told):
    diary = opened(tmp_path)
    for version in (1, 2):
        diary.changed(Ordered("k", version, value, None, 10**18 + version))
    diary.close()
    snap = snapshot(logs=read_keys(tmp_path, CLUSTER))
    before = snap.copy()
    before.step(-1)
    assert repr(snap["k"]).startswith(told)
    assert before.diff(snap).changed.keys() == {"k"}, "another version of it"


def test_a_key_that_cannot_be_packed_is_counted_and_the_others_go_on(tmp_path):
    diary = opened(tmp_path)
    diary.changed(Ordered("\ud800", 1, 1, None, 10**18 + 1))
    diary.changed(Ordered("k", 2, 1, None, 10**18 + 2))
    assert diary.n_lost == 1
    assert dict(snapshot(logs=read_keys(tmp_path, CLUSTER)).items()) == {"k": 1}
    diary.close()


def test_when_there_is_no_room_the_log_ends_and_says_so(tmp_path, monkeypatch):
    class Notes(list):
        note = list.append

    monkeypatch.setattr(tape, "SEGMENT_BYTES", 2**13)
    diary = opened(tmp_path)
    diary._recorder = notes = Notes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tape.os, "posix_fallocate", full)
    for n in range(1000):
        diary.changed(Ordered("k", n, n, None, 10**18 + n + 1))
    (note,) = notes
    assert note.startswith("no window-log: OSError: [Errno 28] No space left on device: '")
    assert len(list(tmp_path.iterdir())) == 1, "what there was no room for leaves nothing"
    last = snapshot(logs=read_keys(tmp_path, CLUSTER))["k"]
    assert 50 < last < 1000


def test_who_stores_nothing_keeps_no_log(tmp_path):
    opened(tmp_path, number=3, founders=(0, 1)).changed(Ordered("k", 1, 1, None, 10**18 + 1))
    assert not list(tmp_path.iterdir())


def test_the_next_home_s_log_counts_from_when_it_took_over(tmp_path):
    """Member 0 is home to "@0/..." and dies; member 1 takes over what was durable, and forgets something for good."""
    first, second = (opened(tmp_path, number, (0, 1)) for number in (0, 1))
    for at, key in enumerate(("@0/durable", "@0/lost", "@0/removed"), 1):
        first.changed(Ordered(key, at, "old", None, 10**18 + at))
    first.close()
    second.entered(member(1), "member-1.x", View(2, (member(1),), (0, 1)), 10**18 + 10)
    second.changed(Adopted("@0/durable", 1, "old", 10**18 + 11))
    second.changed(Ordered("@0/durable", 2**40, "new", None, 10**18 + 12))
    second.changed(Ordered("@0/removed", 2**40 + 1, None, None, 10**18 + 13))
    past = read_keys(tmp_path, CLUSTER)
    before = {"@0/durable": "old", "@0/lost": "old", "@0/removed": "old"}
    for at, expected in ((3, before), (11, before), (12, before | {"@0/durable": "new"})):
        assert dict(snapshot(10**18 + at, past).items()) == expected
    last = snapshot(10**18 + 13, past)
    assert dict(last.items()) == {"@0/durable": "new", "@0/lost": "old"}
    assert (last.get("@0/removed"), "@0/removed" in last, len(last), VIEW in last) == (None, False, 2, False)
    assert last.owner("@0/durable") == "member-1.x"
    assert last.owner("@0/lost") == "member-0.x"
    assert not snapshot(10**18 + 3, past).diff(snapshot(10**18 + 11, past)), "taken over is not changed"
    second.close()


def test_a_founder_without_a_log_is_missing(tmp_path):
    diary = opened(tmp_path, 0, (0, 1, 2))
    diary.close()
    snap = snapshot(logs=read_keys(tmp_path, CLUSTER))
    assert [each.name for each in snap.missing] == ["member-1", "member-2"]
    assert "without member-1, member-2" in repr(snap)
    with pytest.raises(UserError, match="the window-log of member-2 could not be had: its log is not on this machine"):
        snapshot(logs=read_keys(tmp_path, CLUSTER), nodes="member-2.y")


def test_logs_of_members_that_ended_are_removed_but_for_the_newest_and_those_of_living_clusters(tmp_path, monkeypatch):
    monkeypatch.setattr(diaries, "default_folders", lambda room: [tmp_path])
    monkeypatch.setattr(files, "KEPT", 8)
    dead, other = (opened(tmp_path, number, (0, 1)) for number in (0, 1))
    dead.close()
    for n in range(1, 13):
        diary = Diary(CLUSTER + n, 60.0)
        diary.entered(member(0), "member-0.x", View(1, (member(0),), (0,)), 10**18 + n)
        diary.close()
    living = Diary(1, 60.0)
    living.entered(member(0), "member-0.x", View(1, (member(0),), (0,)), 10**18 + 100)
    left = [each.head.cluster for each in written([tmp_path])[0]]
    assert sorted(left) == [1, CLUSTER, CLUSTER, *range(CLUSTER + 5, CLUSTER + 13)]
    living.close()
    other.close()
