"""The button with processes that are dead, stopped, silent or cut off: what is had, what is told, and that it ends."""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest

import hydroscope as hs
from hydroscope.engine.dump import disk
from hydroscope.engine.dump import gather as gathering
from hydroscope.engine.dump import post as posts
from hydroscope.engine.dump.asking import Asked
from hydroscope.engine.dump.gather import Gathered, Targets, gather, order
from hydroscope.engine.dump.line import Late
from hydroscope.engine.dump.post import Post
from hydroscope.wire.dumps import Die, Freeze, Lying, Thaw, Where
from tests.dump.machines import HOST, KEY, WAIT_S, Process, post_at, processes
from tests.dump.test_post import Statue

QUICK_S = 1.0
"""A deadline for those who will not answer."""

SLOW_S = 0.3
"""Longer than it takes to hear who is quick, and much less than anybody is given."""

HERE = f"here-{os.getpid()}"


def pressed(*wheres: Where, names: str, **more: object) -> Gathered:
    to = Targets(tuple((where, KEY) for where in wheres))
    return gather(to, nodes=[names], **({"deadline_s": 20.0} | more))


def heard(got: Gathered) -> dict[str, int]:
    """Return how many messages each node has recorded."""
    return {ring.about.name: int((ring.records["kind"] == 1).sum()) for ring in got.rings if ring.about is not None}


def told(got: Gathered) -> dict[str, str]:
    return dict(got.missing)


def machine(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir(mode=0o700)
    return folder


def at(process: Process, folder: Path, port: int) -> Where:
    """Return where a process would have its post."""
    return Where(process.name, HOST, port, process.pid, disk.place(folder))


@pytest.fixture
def silence():
    """A port at which connections are taken and nothing is said, as that of a stopped process."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def nobody():
    """A port at which nobody listens."""
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]


def test_rings_of_another_machine_come_from_its_posts_once_each(tmp_path):
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    with (
        processes(one, "far-a", "far-b", n=70),
        processes(two, "far-c", n=30),
        post_at(one) as first,
        post_at(one) as second,
        post_at(two, others=(first.where, second.where)) as third,
    ):
        got = pressed(third.where, names="far-*")  # which knows the others
        assert heard(got) == {"far-a": 70, "far-b": 70, "far-c": 30}
        assert got.missing == []
        assert heard(pressed(third.where, names="far-b")) == {"far-b": 70}


def test_dead_and_stopped_processes_are_read_by_their_neighbours_and_told(tmp_path, silence, nobody):
    far = machine(tmp_path, "far")
    with processes(far, "far-well", "far-stopped", "far-killed", "far-closed") as (_, stopped, killed, closed):
        stopped.stop()
        killed.kill()
        closed.close()
        with post_at(far) as post:
            got = pressed(at(stopped, far, silence), at(killed, far, nobody), post.where, names="far-*")
        assert heard(got) == dict.fromkeys(("far-well", "far-stopped", "far-killed", "far-closed"), 100)
        assert told(got) == {
            "far-stopped": f"stopped: process {stopped.pid} is in state T; "
            "its recording was read from disk, by its neighbour",
            "far-killed": f"ended: process {killed.pid} is gone, and had not closed its recording; "
            "its recording was read from disk, by its neighbour",
        }


def test_who_hangs_is_read_by_a_neighbour_before_the_deadline(tmp_path, silence):
    far = machine(tmp_path, "far")
    with processes(far, "far-hangs") as (hangs,), post_at(far) as post:
        got = pressed(at(hangs, far, silence), post.where, names="far-*", deadline_s=QUICK_S)
        assert heard(got) == {"far-hangs": 100}
        assert list(told(got)) == ["far-hangs"]
        assert re.fullmatch(
            rf"no answer from {HOST}:{silence} within \d\.\d s; its recording was read from disk, by its neighbour",
            told(got)["far-hangs"],
        )


def test_nobody_waits_for_a_stopped_process_of_which_nothing_is_wanted(tmp_path, silence):
    far = machine(tmp_path, "far")
    with processes(far, "far-stopped", "far-well") as (stopped, _), post_at(far) as post:
        stopped.stop()
        until = time.monotonic() + WAIT_S
        got = pressed(at(stopped, far, silence), post.where, names="far-well", deadline_s=WAIT_S)
        assert heard(got) == {"far-well": 100}
        assert time.monotonic() < until


def test_who_is_slow_is_waited_for_as_it_may_know_others(tmp_path, monkeypatch):
    near, far = machine(tmp_path, "near"), machine(tmp_path, "far")
    hs.Recorder("near", seconds=0.1, folder=near).close()
    with (
        processes(far, "far-a", n=5),
        post_at(far) as third,
        post_at(near) as quick,
        post_at(near, others=(third.where,)) as slow,
    ):
        look, never = slow.look, threading.Event()
        monkeypatch.setattr(slow, "look", lambda is_own: never.wait(SLOW_S) or look(is_own))
        assert heard(pressed(quick.where, slow.where, names="far-*")) == {"far-a": 5}


def test_who_is_cut_off_with_its_machine_is_missing(tmp_path, silence, nobody):
    far = machine(tmp_path, "far")
    with processes(far, "far-a", "far-b") as (a, b):
        got = pressed(at(a, far, silence), at(b, far, nobody), names="far-*", deadline_s=QUICK_S)
        assert heard(got) == {}
        assert set(told(got)) == {"far-a", "far-b"}
        assert re.fullmatch(
            rf"no answer from {HOST}:{silence} within \d\.\d s; its recording could not be had", told(got)["far-a"]
        )
        refused = f"{HOST}:{nobody} cannot be reached: Connection refused; its recording could not be had"
        assert told(got)["far-b"] == refused


def test_here_nobody_has_to_be_asked(nobody):
    """Rings of this machine are read from disk, whoever lives."""
    recorders = [hs.Recorder(f"{HERE}-{k}", seconds=0.1) for k in range(3)]
    try:
        for k, rec in enumerate(recorders):
            for n in range(10 * k):
                rec.sent("peer", n)
        got = pressed(Where("me", HOST, nobody, os.getpid(), disk.place()), names=f"{HERE}-*")
        assert heard(got) == {f"{HERE}-{k}": 10 * k for k in range(3)}
        assert got.missing == []
    finally:
        for rec in recorders:
            rec.close(remove=True)


def test_a_member_that_has_recorded_nothing_is_told(nobody):
    to = Targets(((Where("member-9.abc", HOST, nobody, 2**22 + 5, disk.place()), KEY),))
    assert told(gather(to))["member-9.abc"] == f"process {2**22 + 5} has no recording on this machine"
    assert told(gather(to, nodes=["none-*"])) == {}  # under no name, so it is no part of what was asked for


def test_a_post_that_breaks_off_is_replaced_by_the_next(tmp_path, monkeypatch):
    far = machine(tmp_path, "far")
    with processes(far, "far-a"), post_at(far) as broken, post_at(far) as good:
        broken_talks = threading.Event()

        def breaks(file: str, since_ns: int) -> None:
            broken_talks.set()
            raise ConnectionError("cable")

        monkeypatch.setattr(broken, "read", breaks)
        got = pressed(broken.where, good.where, names="far-*")
        assert heard(got) == {"far-a": 100}
        got = pressed(broken.where, names="far-*", deadline_s=QUICK_S)
        assert broken_talks.is_set()
        assert heard(got) == {}
        assert set(told(got)) == {"far-a"}


def test_seconds_leave_out_what_is_older(tmp_path):
    far = machine(tmp_path, "far")
    rec = hs.Recorder("far-span", seconds=0.1, folder=far)
    stamps = [rec.sent("peer", k) for k in range(20)]
    with post_at(far) as post:
        assert heard(pressed(post.where, names="far-*", seconds=3600.0)) == {"far-span": 20}
        assert heard(pressed(post.where, names="far-*", seconds=1e-9)).get("far-span", 0) == 0
    rec.close(remove=True)
    assert stamps == sorted(stamps)


def test_all_stand_still_before_anything_is_read(tmp_path):
    far = machine(tmp_path, "far")
    with processes(far, "far-a"), post_at(far) as willing, post_at(far) as hung, post_at(far) as agent:
        willing.still, hung.still = Statue(), Statue(is_willing=False)
        order_of: list[str] = []
        willing.note = order_of.append
        read = willing.read
        willing.read = lambda file, since: order_of.append("read") or read(file, since)
        got = pressed(willing.where, hung.where, agent.where, names="far-*", freeze_s=100.0)
        assert heard(got) == {"far-a": 100}
        assert order_of[0] == "frozen for 100 s"
        refused = [why for name, why in got.missing if name == "post"]
        assert len(refused) == 2
        assert any("hangs" in why for why in refused)
        assert any("no member of a cluster" in why for why in refused)
        assert order(Targets(got.posts), Thaw()) == []
        assert willing.still.calls == ["halt", "go on"]
        assert len(order(Targets(got.posts), Freeze(100.0))) == 2


@pytest.fixture
def mine():
    """A post of this process, beside its rings."""
    post = Post(HOST, KEY, lambda: "mine")
    post.still = Statue()
    yield post
    post.close()


def test_a_process_freezes_and_thaws_itself_and_does_not_end_itself(mine, monkeypatch):
    ended = []
    monkeypatch.setattr(posts, "_end", lambda: ended.append(True))
    to = Targets(((mine.where, KEY),))
    got = pressed(mine.where, names="none", freeze_s=100.0)
    assert got.posts == to.posts
    assert order(to, Die()) == []
    assert order(to, Thaw()) == []
    assert mine.still.calls == ["halt", "go on"]
    assert ended == []


def test_who_has_ended_does_not_have_to_be_thawed_but_an_address_where_nobody_is_is_told(nobody):
    ended, given = Where("member-1.a", HOST, nobody, 2**22 + 5, 1), Where("given", HOST, nobody, 0, 0)
    assert order(Targets(((ended, KEY),)), Thaw()) == []
    assert order(Targets(((given, KEY),)), Thaw()) == [
        ("given", f"{HOST}:{nobody} cannot be reached: Connection refused")
    ]


def test_here_too_nothing_is_read_before_all_stand_still(mine, monkeypatch):
    read, seen = disk.read, []

    def noted(file: str, since_ns: int = 0) -> Any:
        seen.append(list(mine.still.calls))
        return read(file, since_ns)

    monkeypatch.setattr(disk, "read", noted)
    rec = hs.Recorder(HERE, seconds=0.1)
    try:
        assert heard(pressed(mine.where, names=HERE, freeze_s=100.0)) == {HERE: 0}
        assert seen == [["halt"]]
    finally:
        rec.close(remove=True)


def test_all_that_cannot_be_reached_are_told_though_their_names_are_not_known(nobody):
    wheres = [Where(f"{HOST}:{port}", HOST, port, 0, 0) for port in (nobody, 1)]
    got = pressed(*wheres, names="none-*")
    assert set(told(got)) == {where.name for where in wheres}


def test_all_of_history_can_be_asked_for(tmp_path):
    far = machine(tmp_path, "far")
    with processes(far, "far-a", n=7), post_at(far) as post:
        assert heard(pressed(post.where, names="far-*", seconds=math.inf)) == {"far-a": 7}


def test_what_is_not_meant_is_not_counted_as_left_out(tmp_path):
    for name in ("far-old", "far-older"):
        hs.Recorder(name, seconds=0.1, folder=tmp_path).close()
    with post_at(machine(tmp_path, "far")) as post:
        post.lying = lambda: {
            file: msgspec.structs.replace(ring, opened_wall_ns=1, newest_ns=0)
            for file, ring in disk.lying(tmp_path).items()
        }
        assert pressed(post.where, names="far-*", seconds=60.0).n_left_out == 2
        assert pressed(post.where, names="far-older", seconds=60.0).n_left_out == 1
        assert pressed(post.where, names="none-*", seconds=60.0).n_left_out == 0


def test_the_last_run_is_that_of_the_chosen_names_and_only_where_nobody_anywhere_runs(tmp_path, monkeypatch):
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    hs.Recorder("far-old", seconds=0.1, folder=one).close()

    def long_ago(folder: Path) -> dict[str, Lying]:
        old = {"opened_wall_ns": 1, "newest_ns": 0, "pid": 2**22 + 9}
        found = disk.lying(folder)
        return {f: msgspec.structs.replace(ring, **old if ring.closed_at_ns else {}) for f, ring in found.items()}

    with processes(two, "far-runs", n=5), post_at(one) as first, post_at(two) as second:
        for post, folder in ((first, one), (second, two)):
            monkeypatch.setattr(post, "lying", lambda folder=folder: long_ago(folder))
        assert heard(pressed(first.where, second.where, names="far-*")) == {"far-runs": 5}
        assert heard(pressed(first.where, second.where, names="far-old")) == {"far-old": 0}


def test_a_post_is_spoken_to_under_the_address_that_led_there(tmp_path):
    """Through a tunnel, the address that it has by itself leads elsewhere, or nowhere."""
    far = machine(tmp_path, "far")
    with processes(far, "far-a", n=7), post_at(far) as post:
        there = Where("far", "localhost", post.port, 0, 0)
        post._host = "192.0.2.1"
        got = pressed(there, names="far-*")
        assert heard(got) == {"far-a": 7}
        assert [where.host for where, _ in got.posts] == ["localhost"]


def test_who_is_given_up_while_it_is_reached_is_told_nothing(tmp_path):
    with post_at(tmp_path) as post:
        asked = Asked(post.where, SimpleQueue())
        asked.stop()
        with pytest.raises(Late), asked.line(KEY, time.monotonic() + WAIT_S):
            """Never come here."""


def test_a_ring_here_that_cannot_be_read_keeps_nobody_s_from_being_read(monkeypatch):
    recorders = [hs.Recorder(f"{HERE}-{k}", seconds=0.1) for k in range(2)]
    read = disk.read

    def odd(file: str, since_ns: int = 0) -> Any:
        if file == str(recorders[0].path):
            raise ValueError("odd")
        return read(file, since_ns)

    monkeypatch.setattr(disk, "read", odd)
    try:
        got = pressed(names=f"{HERE}-*")
        assert heard(got) == {f"{HERE}-1": 0}
        assert told(got) == {f"{HERE}-0": "its recording could not be read: odd"}
    finally:
        for rec in recorders:
            rec.close(remove=True)


def test_a_process_that_does_not_say_what_it_belongs_to_is_told(tmp_path, monkeypatch):
    door = tmp_path / f"{2**22 + 7}-a.post"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(door))
        listener.listen()
        monkeypatch.setattr(gathering, "doors", lambda: [str(door)])
        to = gathering.targets_here(within_s=0.1)
    assert to.silent == (2**22 + 7,)
    assert "did not say whether it belongs to a cluster" in told(gather(to))[f"process {2**22 + 7}"]
    assert told(gather(to, nodes=["none"])) == {}
