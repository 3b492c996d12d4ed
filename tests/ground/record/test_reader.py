"""Rings are read while they are written, after a kill, and damaged in any way: right, or not at all."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.errors import DataError
from hydroscope.ground.record.about import rings
from hydroscope.ground.record.folder import KEPT
from hydroscope.ground.record.layout import (
    HEADER,
    HEADER_BYTES,
    NAME_BYTES,
    NAMES_AT,
    RECORD_BYTES,
    Kind,
    pack_name,
    unpack_name,
)
from hydroscope.ground.record.reader import RECORD_TYPE, read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.ground.record.writer import Writer
from tests.ground.record.rings import PER_PART, SECONDS, events, proved, proves, slots_of, start

WRITER = """
    import itertools, sys
    from hydroscope.ground.record.recorder import Recorder
    from tests.ground.record.rings import SECONDS, proved
    rec = Recorder("writer", float(sys.argv[2]), sys.argv[1])
    print(rec.path, flush=True)
    for number in itertools.count():
        rec.sent("reader", number, proved(number))
        if number == 5000:
            print("wrote", flush=True)
"""
"""Writes for ever."""


def check(ring) -> int:
    """See that every record is one that was written, in the order of writing; return how many there are."""
    own = events(ring)
    stamps = ring.records["stamp"]
    assert (stamps[1:] > stamps[:-1]).all()
    assert all(map(proves, own))
    return len(own)


def test_what_is_read_while_threads_write_was_written(tmp_path):
    before = sys.getswitchinterval()
    rec = Recorder("node", SECONDS, tmp_path)
    stop = threading.Event()
    stamps: list[list[int]] = [[], [], []]

    def write(place: int) -> None:
        own = stamps[place]
        for number in range(place, 2**40, 3):
            own.append(rec.sent(place, number, proved(number)))
            if stop.is_set():
                return

    threads = [threading.Thread(target=write, args=(place,)) for place in range(3)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        n_read = n_rounds = 0
        while (n_rounds < 15 or sum(map(len, stamps)) < 3 * PER_PART) and time.monotonic() < deadline:
            ring = read_ring(rec.path)
            n_read += check(ring)
            for place in range(3):
                numbers = ring.records["id"][ring.records["peer"] == place + 2]
                assert (numbers[1:] > numbers[:-1]).all()  # a thread's own are in its order
            n_rounds += 1
    finally:
        stop.set()
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join(60)
    every = [stamp for own in stamps for stamp in own]
    assert len(set(every)) == len(every)
    assert all(own == sorted(own) for own in stamps)
    assert n_read > PER_PART
    ring = read_ring(rec.path)
    assert check(ring) > PER_PART - 100
    assert (ring.n_torn, rec.n_lost) == (0, 0)
    rec.close()


def test_a_ring_of_another_process_is_read_while_it_writes_and_after_it_was_killed(tmp_path):
    with start(WRITER, tmp_path, SECONDS) as writer:
        try:
            path = writer.stdout.readline().strip()
            assert writer.stdout.readline() == "wrote\n"
            last = n_changed = 0
            until = time.monotonic() + 60.0
            while n_changed < 20:  # a reader may come twice between two turns of the writer
                assert time.monotonic() < until
                ring = read_ring(path)
                assert check(ring) > 0
                assert ring.about.pid == writer.pid
                newest = int(ring.records["stamp"][-1])
                assert newest >= last
                n_changed += newest > last
                last = newest
                own = events(ring)["id"]
                assert own[-1] - own[0] + 1 - len(own) <= 16  # no gap in the middle but of a moment
            (found,) = rings(tmp_path)
            assert found.is_alive
        finally:
            writer.send_signal(signal.SIGKILL)
        writer.wait(30)
    ring = read_ring(path)
    assert ring.about.name == "writer"
    assert ring.about.closed_at_ns == 0
    assert check(ring) >= PER_PART - 8
    assert ring.n_torn <= 1
    assert [found.is_alive for found in rings(tmp_path)] == [False]


def test_killed_at_any_moment(tmp_path):
    chance = random.Random(5)
    for _ in range(6):
        with start(WRITER, tmp_path, 1.0) as writer:
            path = writer.stdout.readline().strip()
            writer.stdout.readline()
            time.sleep(chance.random() / 50)  # any moment will do
            writer.kill()
            writer.wait(30)
        ring = read_ring(path)
        assert check(ring) > 5000
        assert ring.n_torn <= 1
        numbers = events(ring)["id"].astype(np.int64)
        assert (np.diff(numbers) == 1).all()


def test_a_forked_child_has_a_ring_of_its_own(tmp_path):
    program = """
        import os, sys
        from hydroscope.ground.record.recorder import Recorder
        from tests.ground.record.rings import SECONDS, proved
        rec = Recorder("parent", SECONDS, sys.argv[1])
        lane = rec.lane("lane")
        rec.sent("peer", 1, proved(1))
        closed = Recorder("closed", SECONDS, sys.argv[1])
        closed.close(remove=True)
        silent = Recorder("silent", SECONDS, sys.argv[1])
        silent.sent("peer", 1, proved(1))
        if (child := os.fork()) == 0:
            lane.sent("peer", 2, proved(2))
            rec.sent("child's peer", 3, proved(3))
            closed.sent("peer", 4, proved(4))
            os._exit(rec.n_lost)
        _, status = os.waitpid(child, 0)
        rec.sent("peer", 5, proved(5))
        print(os.getpid(), child, status, closed.n_lost)
        """
    with start(program, tmp_path) as process:
        parent, child, status, n_lost = map(int, process.communicate(timeout=60)[0].split())
    assert (status, n_lost) == (0, 0)
    found = {(each.about.name, each.about.pid): read_ring(each.path) for each in rings(tmp_path)}
    assert set(found) == {("parent", parent), (f"parent.{child}", child), ("silent", parent)}
    of_parent, of_child = found["parent", parent], found[f"parent.{child}", child]
    assert events(of_parent)["id"].tolist() == [1, 5]
    assert events(of_child)["id"].tolist() == [2, 3]
    assert [of_child.names[each["peer"]] for each in events(of_child)] == ["peer", "child's peer"]
    assert [of_child.names[each["lane"]] for each in events(of_child)] == ["lane", ""]
    assert check(of_parent) == check(of_child) == 2


def test_whoever_records_while_a_child_makes_its_ring_makes_no_other(tmp_path):
    rec = Recorder("parent", SECONDS, tmp_path)
    open_ring = Writer._open

    def interrupted(writer, name):
        rec.note("in the middle")
        open_ring(writer, name)

    if not (child := os.fork()):
        Writer._open = interrupted
        lane = rec.lane("of the child")
        lane.note("first")
        lane.note("second")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (of_child,) = [read_ring(found.path) for found in rings(tmp_path) if found.about.pid == child]
    assert [of_child.names[each["peer"]] for each in events(of_child)] == ["first", "second"]
    assert {of_child.names[each["lane"]] for each in events(of_child)} == {"of the child"}
    rec.close()


def test_rings_of_the_dead_are_kept_the_newest_few(tmp_path):
    program = """
        import sys
        from hydroscope.ground.record.folder import KEPT
        from hydroscope.ground.record.recorder import Recorder
        from tests.ground.record.rings import SECONDS
        for number in range(KEPT - 10):
            Recorder(f"{sys.argv[2]}-{number}", SECONDS, sys.argv[1])
        """
    mine = Recorder("mine", SECONDS, tmp_path)
    (tmp_path / "not a ring.ring").write_text("something else")
    (tmp_path / f"being-made-{os.getpid()}-5f-0.part").touch()
    (tmp_path / "whatever.part").touch()
    for each in range(2):
        with start(program, tmp_path, each) as process:
            assert process.wait(60) == 0
    last = Recorder("last", SECONDS, tmp_path)
    names = [found.about.name for found in rings(tmp_path)]
    assert {"mine", "last", *(f"1-{number}" for number in range(KEPT - 10))} <= set(names)
    assert len(names) == KEPT + 2
    assert (tmp_path / "not a ring.ring").exists()
    (left,) = tmp_path.glob("*.part")
    assert left.name.startswith("being-made")
    mine.close()
    last.close()


# ---------------------------------------------------------------- damage


class Sound(tuple):
    """Bytes and ring, which are too long to be printed."""

    __repr__ = object.__repr__


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a ring of 300 records, and what is read from it."""
    rec = Recorder("node-3", SECONDS, tmp_path_factory.mktemp("sound"))
    for number in range(300):
        rec.sent(f"peer-{number % 7}", number, proved(number))
    both = Sound((rec.path.read_bytes(), read_ring(rec.path)))
    rec.close()
    return both


N_BEGUN = 302
"""Slots in use: the clock, the sample, and what was sent."""


def whole(records) -> set[bytes]:
    return {record.tobytes() for record in records}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_harms_no_more_than_what_it_is_in(tmp_path_factory, sound, data):
    raw, ring = sound
    damaged = bytearray(raw)
    at = data.draw(
        st.one_of(
            st.integers(0, HEADER.size + 3),
            st.integers(NAMES_AT, NAMES_AT + 10 * NAME_BYTES),
            st.integers(HEADER_BYTES, HEADER_BYTES + (N_BEGUN + 10) * RECORD_BYTES),
            st.integers(0, len(raw) - 1),
        )
    )
    damaged[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.ring"
    path.write_bytes(damaged)
    try:
        read = read_ring(path)
    except DataError:
        assert at < 8
        return
    if at < HEADER_BYTES:
        assert (read.records == ring.records).all()
        assert (read.about is None) == (at < HEADER.size + 4)
        assert all(a in (b, "?") for a, b in zip(read.names[: len(ring.names)], ring.names, strict=True))
        return
    slot = np.frombuffer(raw[HEADER_BYTES:], RECORD_TYPE)[(at - HEADER_BYTES) // RECORD_BYTES]
    others = ring.records[ring.records["stamp"] != slot["stamp"]]
    assert whole(others) <= whole(read.records)
    assert len(read.records) + read.n_torn in (len(ring.records), len(ring.records) + 1)
    assert len(read.records) <= len(others) + 1
    assert set(read.records["kind"].tolist()) <= set(Kind) - {Kind.NONE}
    if (at - HEADER_BYTES) % RECORD_BYTES == RECORD_TYPE.fields["kind"][1] + 1:  # no kind is that high
        assert len(read.records) == len(others)


@pytest.mark.parametrize("n_bytes", range(RECORD_TYPE.fields["kind"][1] + 1))
def test_a_record_cut_at_any_byte_is_torn(tmp_path, sound, n_bytes):
    """Who writes a record makes it zero first, and its end is written at once: so this is what is left of one begun."""
    raw, ring = sound
    last = HEADER_BYTES + (N_BEGUN - 1) * RECORD_BYTES
    path = tmp_path / "cut.ring"
    path.write_bytes(raw[: last + n_bytes] + bytes(RECORD_BYTES - n_bytes) + raw[last + RECORD_BYTES :])
    read = read_ring(path)
    assert (read.records == ring.records[:-1]).all()
    assert read.n_torn == any(raw[last : last + n_bytes])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_that_was_cut_short_gives_what_is_left(tmp_path_factory, sound, data):
    raw, ring = sound
    n_bytes = data.draw(st.one_of(st.integers(0, len(raw)), st.integers(0, HEADER_BYTES + N_BEGUN * RECORD_BYTES)))
    path = tmp_path_factory.getbasetemp() / "short.ring"
    path.write_bytes(raw[:n_bytes])
    try:
        read = read_ring(path)
    except DataError:
        assert n_bytes < 8
        return
    n_whole = min(max(n_bytes - HEADER_BYTES, 0) // RECORD_BYTES, N_BEGUN)
    assert (read.records == ring.records[:n_whole]).all()
    assert n_bytes == len(raw) or read.damage
    assert read.n_torn == 0


@given(st.binary(max_size=5000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, sound, raw, begins_well):
    path = tmp_path_factory.getbasetemp() / "any.ring"
    path.write_bytes(sound[0][:100] * begins_well + raw)
    try:
        read = read_ring(path)
    except DataError:
        return
    assert begins_well
    assert len(read.records) == 0


@given(st.lists(st.tuples(st.integers(0, PER_PART - 1), st.binary(min_size=1, max_size=200)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_rubbish_in_the_slots_harms_no_other(tmp_path_factory, sound, rubbish):
    raw, ring = sound
    damaged, hit = bytearray(raw), set()
    for slot, data in rubbish:
        at = HEADER_BYTES + slot * RECORD_BYTES
        data = data[: len(raw) - at]
        damaged[at : at + len(data)] = data
        hit |= set(range(slot, slot + -(-len(data) // RECORD_BYTES)))
    path = tmp_path_factory.getbasetemp() / "rubbish.ring"
    path.write_bytes(damaged)
    read = read_ring(path)
    slots = np.frombuffer(raw[HEADER_BYTES:], RECORD_TYPE)
    harmed = {int(slots[slot]["stamp"]) for slot in hit}
    others = ring.records[~np.isin(ring.records["stamp"], list(harmed))]
    assert whole(others) <= whole(read.records)
    assert len(read.records) <= len(others) + len(hit)


def test_a_ring_of_another_version_is_refused(tmp_path, sound):
    from hydroscope.ground.record.layout import sealed

    header = bytearray(sound[0][: HEADER.size])
    header[8] += 1
    path = tmp_path / "later.ring"
    path.write_bytes(sealed(bytes(header)) + sound[0][HEADER.size + 4 :])
    with pytest.raises(DataError, match="version 3"):
        read_ring(path)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None, lambda path: path.write_text("x")])
def test_what_is_no_ring_says_so(tmp_path, make):
    path = tmp_path / "odd.ring"
    make(path)
    with pytest.raises(DataError, match=r"odd\.ring"):
        read_ring(path)


@given(st.text(max_size=80))
def test_names_come_back_and_long_ones_keep_their_beginning(text):
    back = unpack_name(pack_name(text))
    whole = text.encode(errors="replace").decode()
    assert back == whole or (len(whole.encode()) > 58 and back.startswith(whole[:11]))
    other = unpack_name(pack_name(text + "x"))
    assert other != back


def test_a_full_memory_makes_the_ring_shorter(tmp_path, monkeypatch):
    """Room is asked for before it is written to: where there is none, the ring turns round early."""
    from hydroscope.ground.record.writer import Writer

    real = Writer._make_room
    monkeypatch.setattr(
        Writer, "_make_room", lambda self, at, n: at < HEADER_BYTES + 2 * PER_PART * RECORD_BYTES and real(self, at, n)
    )
    rec = Recorder("node", 4 * SECONDS, tmp_path)
    for number in range(5 * PER_PART):
        rec.sent("a", number, proved(number))
    ring = read_ring(rec.path)
    assert check(ring) > 2 * PER_PART - 8
    assert events(ring)["id"][-1] == 5 * PER_PART - 1
    assert len([slot for slot in slots_of(rec.path) if any(slot)]) == 2 * PER_PART
    assert rec.n_lost == 0
    rec.close()


def test_a_ring_whose_file_was_removed_goes_on(tmp_path):
    rec = Recorder("node", 4 * SECONDS, tmp_path)
    os.unlink(rec.path)
    stamps = [rec.sent("a", number, b"x") for number in range(3 * PER_PART)]
    assert stamps == sorted(set(stamps))
    rec.close(remove=True)
