"""What a post answers, to whom, and what nobody can do to it."""

from __future__ import annotations

import contextlib
import math
import os
import random
import socket
import threading
import time
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.engine.dump import post as posts
from hydroscope.engine.dump.asking import Asked, Task
from hydroscope.engine.dump.line import Broken, Line
from hydroscope.engine.dump.post import Post
from hydroscope.ground.record.reader import Ring, read_ring
from hydroscope.wire.dumps import (
    GREETING_BYTES,
    PART_BYTES,
    CatchUp,
    Done,
    Freeze,
    Look,
    Part,
    RingHead,
    Seen,
    Ship,
    Thaw,
    Unable,
    Where,
    dump_key,
    greeting,
)
from tests.dump.machines import HOST, KEY, WAIT_S, await_that, post_at


def line_to(post: Post, key: bytes = KEY, within_s: float = WAIT_S) -> Line:
    connection = socket.create_connection((HOST, post.port), timeout=WAIT_S)
    line = Line(connection, key, False, time.monotonic() + within_s)
    line.greet()
    return line


def asked(post: Post, question: Any, key: bytes = KEY) -> Any:
    line = line_to(post, key)
    try:
        line.say(question)
        return line.hear()
    finally:
        line.close()


def fetched(post: Post, file: str, since_ns: int = 0) -> Ring | str:
    """Return a ring as the button gets it."""
    seen = asked(post, Look())
    ring = next(each for each in seen.rings if each.file == file)
    fetch = Asked(post.where, SimpleQueue())
    seconds = None if not since_ns else (seen.now_ns - since_ns) / 1e9
    Task(KEY, time.monotonic() + WAIT_S, 0.0, True, lambda each: True, seconds).fetch([ring], seen)(fetch)
    assert fetch.failure is None
    return fetch.got.get_nowait()[2]


def test_who_knows_the_secret_is_told_what_lies_there_and_gets_it(tmp_path):
    rec = hs.Recorder("here", folder=tmp_path)
    for k in range(3 * PART_BYTES // 64 // 2):  # in two parts, the second not full
        rec.sent("peer", k, b"abc")
    others = (Where("other", "10.0.0.7", 4711, 5, 6),)
    with post_at(tmp_path, others=others) as post:
        seen = asked(post, Look())
        assert isinstance(seen, Seen)
        assert (seen.me, seen.posts, seen.key) == (post.where, others, b"")
        assert [(each.name, each.pid, each.file) for each in seen.rings] == [("here", os.getpid(), str(rec.path))]
        got, there = fetched(post, str(rec.path)), read_ring(str(rec.path))
        assert isinstance(got, Ring)
        n = len(got.records)
        assert np.array_equal(got.records, there.records[:n])
        assert n >= 3 * PART_BYTES // 64 // 2
        assert (got.names, got.about, got.n_torn, got.damage) == (there.names, there.about, 0, ())
    rec.close(remove=True)


@pytest.mark.parametrize("key", [b"", b"guess", dump_key(b"another secret, as long")])
def test_who_does_not_know_the_secret_gets_nothing(tmp_path, key):
    with post_at(tmp_path) as post:
        with pytest.raises(Broken):
            asked(post, Look(), key)
        await_that(lambda: any("secret" in each for each in post.counters))
        assert isinstance(asked(post, Look()), Seen)


def test_a_post_that_does_not_know_the_secret_is_not_believed(tmp_path):
    with post_at(tmp_path, key=dump_key(b"not the cluster's secret")) as false_post:
        line = line_to(false_post)
        line.say(Look())
        with pytest.raises(Broken):
            line.hear()
        line.close()


def test_only_rings_can_be_asked_for(tmp_path):
    inside, outside = tmp_path / "rings", tmp_path / "secret.ring"
    inside.mkdir(mode=0o700)
    rec = hs.Recorder("outside", seconds=0.1, folder=tmp_path)
    assert rec.path is not None
    rec.path.rename(outside)
    with post_at(inside) as post:
        for file in ("/etc/passwd", str(outside), str(inside / "../secret.ring"), "", "\0"):
            answer = asked(post, Ship((file,)))
            assert isinstance(answer, Unable)
            assert answer.what == file
    rec.close()


def test_what_was_said_once_cannot_be_said_again(tmp_path):
    """Frames are recorded and sent again: in the same connection, and in another with the same greeting."""
    still = Statue()
    with post_at(tmp_path) as post:
        post.still = still
        line = line_to(post)
        assert line._seal is not None
        frame = line._seal.seal(Freeze(30.0))
        line._write(frame)
        assert isinstance(line.hear(), Done)
        assert isinstance(asked(post, Thaw()), Done)
        line._write(frame)
        with pytest.raises(Broken):
            line.hear()
        line.close()
        with socket.create_connection((HOST, post.port)) as other:
            other.sendall(greeting(bytes(16)) + frame)
            heard = b"".join(iter(lambda: other.recv(100), b""))
        assert len(heard) == GREETING_BYTES
        assert still.calls == ["halt", "go on"]


def test_nothing_that_is_sent_hurts_a_post(tmp_path):
    draw = random.Random(1)
    with post_at(tmp_path) as post:
        seal_less = greeting(bytes(16))
        for _ in range(150):
            with socket.create_connection((HOST, post.port)) as connection:
                said = draw.choice(
                    (
                        draw.randbytes(draw.randrange(200)),
                        seal_less + draw.randbytes(draw.randrange(200)),
                        seal_less + b"\xff\xff\xff\xff" + bytes(50),
                        seal_less + b"\x00\x00\x00\x01\x91" + bytes(16),
                        seal_less[: draw.randrange(len(seal_less))],
                        b"GET / HTTP/1.1\r\n\r\n",
                    )
                )
                connection.sendall(said)
        assert isinstance(asked(post, Look()), Seen)
        await_that(lambda: threading.active_count() < 30)


def test_strangers_cannot_make_a_post_remember_much(tmp_path):
    with post_at(tmp_path) as post:
        for k in range(2 * posts.SORTS_MAX):
            post.count(f"said {k}")
        assert len(post.counters) <= posts.SORTS_MAX + 1
        before = post.counters.total()
        for n_bytes in (2**32 - 1, 2**31, 5000):
            with socket.create_connection((HOST, post.port)) as connection:
                connection.sendall(greeting(bytes(16)) + n_bytes.to_bytes(4, "big"))
                while connection.recv(100):
                    """Until it hangs up, without waiting for what was announced."""
        await_that(lambda: post.counters.total() == before + 3)


def test_who_comes_drop_by_drop_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(posts, "PROVE_S", 0.1)
    with post_at(tmp_path) as post, socket.create_connection((HOST, post.port)) as connection:
        drops = iter(greeting(bytes(16)) + (4000).to_bytes(4, "big") + bytes(4000))

        def is_cut_off() -> bool:
            with contextlib.suppress(OSError):
                connection.sendall(bytes((next(drops),)))
            return post.counters["no answer in time"] == 1

        await_that(is_cut_off)


def test_a_post_goes_on_after_a_connection_that_it_could_not_take(tmp_path, monkeypatch):
    with post_at(tmp_path) as post:
        with monkeypatch.context() as patched:
            patched.setattr(posts, "Line", lambda *arguments: 1 / 0)
            with socket.create_connection((HOST, post.port)) as connection:
                assert connection.recv(1) == b""
        await_that(lambda: post.counters["not accepted: division by zero"] == 1)
        assert isinstance(asked(post, Look()), Seen)


def test_a_door_whose_path_is_too_long_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(posts, "default_folders", lambda: [tmp_path / ("x" * 120)])
    with post_at(tmp_path) as post:
        assert isinstance(asked(post, Look()), Seen)
        assert not [each for each in post.counters if "not accepted" in each]  # nobody knocks there
    assert list((tmp_path / ("x" * 120)).iterdir()) == []


def test_several_rings_are_shipped_after_one_look_into_the_folder(tmp_path, monkeypatch):
    recorders = [hs.Recorder(f"r{k}", seconds=0.1, folder=tmp_path) for k in range(4)]
    with post_at(tmp_path) as post:
        seen = asked(post, Look())
        looks, lying = [], post.lying
        monkeypatch.setattr(post, "lying", lambda: looks.append(1) or lying())
        fetch = Asked(post.where, SimpleQueue())
        Task(KEY, time.monotonic() + WAIT_S, 0.0, True, lambda each: True, None).fetch(list(seen.rings), seen)(fetch)
        got = [fetch.got.get_nowait()[2] for _ in seen.rings]
        assert [ring.about.name for ring in got] == [ring.name for ring in seen.rings]
        assert len(looks) == 1
    for rec in recorders:
        rec.close()


def test_who_says_nothing_keeps_nobody_from_asking(tmp_path):
    with post_at(tmp_path) as post:
        silent = [socket.create_connection((HOST, post.port)) for _ in range(3 * posts.TALKS_MAX)]
        assert isinstance(asked(post, Look()), Seen)
        for each in silent:
            each.close()


def test_who_does_not_read_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(posts, "TALK_S", 0.2)
    rec = hs.Recorder("long", folder=tmp_path)
    for k in range(300_000):  # more than any buffer on the way takes
        rec.sent("peer", k)
    with post_at(tmp_path) as post:
        line = line_to(post)
        line.say(Ship((str(rec.path),)))
        await_that(lambda: post.counters["no answer in time"] == 1)
        line.close()
        assert isinstance(asked(post, Look()), Seen)
    rec.close(remove=True)


def test_several_ask_at_once_and_each_gets_all(tmp_path):
    rec = hs.Recorder("asked", folder=tmp_path)
    for k in range(20_000):
        rec.sent("peer", k)
    got: SimpleQueue[Ring | str] = SimpleQueue()
    with post_at(tmp_path) as post:
        askers = [threading.Thread(target=lambda: got.put(fetched(post, str(rec.path)))) for _ in range(4)]
        for each in askers:
            each.start()
        for each in askers:
            each.join(WAIT_S)
        for _ in askers:
            ring = got.get_nowait()
            assert isinstance(ring, Ring)
            assert [record["id"] for record in ring.records if record["kind"] == 1] == list(range(20_000))
    rec.close(remove=True)


def test_a_damaged_ring_is_told_and_not_shipped(tmp_path):
    rec = hs.Recorder("damaged", seconds=0.1, folder=tmp_path)
    assert rec.path is not None
    with post_at(tmp_path) as post:
        seen = asked(post, Look())
        rec.close()
        line = line_to(post)
        rec.path.unlink()
        line.say(Ship(tuple(each.file for each in seen.rings)))
        assert isinstance(line.hear(), Unable)
        assert isinstance(line.hear(), Done)
        line.close()


def test_a_ring_that_is_announced_larger_than_it_can_be_is_not_waited_for(tmp_path):
    from hydroscope.engine.dump.asking import _ring

    class Liar:
        def __init__(self, n_bytes: int, *parts: bytes) -> None:
            self.head = RingHead(None, (), n_bytes, 0, ())
            self.parts = iter(parts)

        def hear(self) -> Any:
            return Part(memoryview(next(self.parts)))

    for liar in (Liar(2**40), Liar(-64), Liar(63), Liar(128, bytes(64), bytes(128)), Liar(64, b"")):
        with pytest.raises(Broken):
            _ring(liar, liar.head)


def test_the_door_in_the_folder_gives_the_key_to_processes_of_the_same_user():
    post = Post(HOST, KEY, lambda: "door")
    try:
        path = next(each for each in posts.doors() if f"/{os.getpid()}-{id(post):x}" in each)
        assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            line = Line(connection, b"", False, time.monotonic() + WAIT_S)
            line.greet()
            line.say(Look())
            assert line.hear().key == KEY
    finally:
        post.close()
    await_that(lambda: not os.path.exists(path))


def test_the_door_is_shut_to_processes_of_other_users(monkeypatch):
    monkeypatch.setattr(posts, "_is_of_this_user", lambda connection: False)
    post = Post(HOST, KEY, lambda: "door")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WAIT_S)
            connection.connect(str(post._door_path))
            assert connection.recv(1) == b""
        assert isinstance(asked(post, Look()), Seen)
    finally:
        post.close()


def test_a_forked_child_leaves_the_door_to_its_parent(tmp_path):
    with post_at(tmp_path) as post:
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            os.write(said, b"open" if post._listener.fileno() >= 0 else b"closed")
            os._exit(0)
        os.close(said)
        with os.fdopen(heard, "rb") as pipe:
            assert pipe.read() == b"closed"
        assert os.waitpid(child, 0)[1] == 0
        assert isinstance(asked(post, Look()), Seen)


# --- standing still ---------------------------------------------------------------------------------------------------


class Statue:
    """Something that can be made to stand still."""

    def __init__(self, is_willing: bool = True) -> None:
        self.calls: list[str] = []
        self._is_willing = is_willing

    def halt(self, wait_s: float) -> bool:
        self.calls.append("halt")
        return self._is_willing

    def go_on(self) -> None:
        self.calls.append("go on")


def test_who_was_frozen_goes_on_when_told_or_by_itself(tmp_path):
    with post_at(tmp_path) as post:
        post.still = statue = Statue()
        said: list[str] = []
        post.note = said.append
        assert isinstance(asked(post, Freeze(1000.0)), Done)
        assert isinstance(asked(post, Freeze(500.0)), Done)  # longer, or shorter; it stands still anyway
        assert isinstance(asked(post, Thaw()), Done)
        assert isinstance(asked(post, Thaw()), Done)
        assert statue.calls == ["halt", "go on"]
        assert isinstance(asked(post, Freeze(0.1)), Done)
        await_that(lambda: statue.calls == ["halt", "go on", "halt", "go on"])
        await_that(lambda: said == ["frozen for 1000 s", "frozen for 500 s", "thawed", "frozen for 0.1 s",
                                    "thawed by itself"])  # fmt: skip


def test_an_alarm_that_counts_no_more_wakes_nobody(tmp_path):
    """It may go off in the very moment in which somebody freezes again."""
    with post_at(tmp_path) as post:
        post.still = statue = Statue()
        assert post.freeze(WAIT_S) is None
        before = post._alarm
        assert post.freeze(WAIT_S) is None
        assert before is not None
        assert before.finished.is_set()  # else it would sleep on for as long as it was set for
        post.thaw(before)
        assert statue.calls == ["halt"]
        post.thaw(post._alarm)
        assert statue.calls == ["halt", "go on"]


def test_who_cannot_be_frozen_says_so(tmp_path):
    with post_at(tmp_path) as post:
        assert "no member of a cluster" in asked(post, Freeze(9.0)).why
        assert "no member of a cluster" in asked(post, CatchUp(1)).why
        post.still = statue = Statue()
        assert isinstance(asked(post, Freeze(math.nan)), Done)
        await_that(lambda: statue.calls == ["halt", "go on"])  # soon: for no time at all
        post.still = statue = Statue(is_willing=False)
        assert "hangs" in asked(post, Freeze(9.0)).why
        post.thaw()
        assert statue.calls == ["halt"]


def test_a_post_that_is_closed_lets_go(tmp_path):
    with post_at(tmp_path) as post:
        post.still = statue = Statue()
        assert isinstance(asked(post, Freeze(9.0)), Done)
    assert statue.calls == ["halt", "go on"]
