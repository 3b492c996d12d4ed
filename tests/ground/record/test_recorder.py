"""What is recorded is read back in order, whatever it is; a recorder breaks nothing."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.clocks.hlc import MAX_AHEAD_S, UNIT_NS
from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.about import rings
from hydroscope.ground.record.layout import CLOCK, DATA_BYTES, N_NAMES, SAMPLE, Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.ground.record.writer import id_of
from tests.ground.record.rings import OWN, PER_PART, SECONDS, events, proved, proves

MESSAGES = {"sent": Kind.SENT, "received": Kind.RECEIVED, "dropped": Kind.DROPPED, "resent": Kind.RESENT}
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(MESSAGES)),
        st.one_of(st.sampled_from(["a", "b", "node-4", ""]), st.integers(0, 9), st.binary(max_size=4), st.none()),
        st.one_of(st.integers(0, 2**64 - 1), st.text(max_size=12), st.binary(max_size=12), st.none()),
        st.one_of(st.binary(max_size=60), st.text(max_size=20), st.none()),
        st.sampled_from(["", "worker", "io"]),
    ),
    max_size=60,
)


@pytest.fixture
def rec(tmp_path):
    recorder = Recorder("node-3", SECONDS, tmp_path)
    yield recorder
    recorder.close()


def as_bytes(data) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""


@given(EVENTS, st.sampled_from([0, 1, PER_PART - 30, PER_PART - 2, PER_PART, 2 * PER_PART + 5]))
@settings(max_examples=40, deadline=None)
def test_the_last_that_fit_are_read_back_in_order(tmp_path_factory, story, n_before):
    rec = Recorder("node-3", SECONDS, tmp_path_factory.mktemp("rings"))
    wrote = []
    for number in range(n_before):
        rec.sent("before", number, b"")
    for how, peer, ident, data, lane in story:
        stamp = getattr(rec.lane(lane) if lane else rec, how)(peer, ident, data)
        raw = as_bytes(data)
        name = {bytes: lambda x: x.decode(errors="replace"), int: str, type(None): lambda x: ""}.get(type(peer), str)
        wrote.append((stamp, MESSAGES[how], name(peer), id_of(ident), len(raw), raw[:DATA_BYTES], lane))
    ring = read_ring(rec.path)
    rec.close(remove=True)
    records = events(ring)
    read = [
        (
            int(record["stamp"]),
            record["kind"],
            ring.names[record["peer"]],
            int(record["id"]),
            int(record["n_bytes"]),
            record["data"].tobytes(),
            ring.names[record["lane"]],
        )
        for record in records[len(records) - len(story) :]
    ]
    assert read == [(*each[:5], each[5].ljust(DATA_BYTES, b"\0"), each[6]) for each in wrote]
    assert len(records) == n_before + len(story) or len(ring.records) == PER_PART
    before = records["id"][: len(records) - len(story)].tolist()
    assert before == list(range(n_before))[n_before - len(before) :]
    assert (ring.n_torn, ring.damage, rec.n_lost) == (0, (), 0)


def test_a_ring_has_the_seconds_that_were_asked_for(tmp_path):
    rec = Recorder("node-3", 0.5, tmp_path)
    n_slots = read_ring(rec.path).about.n_slots
    assert 25_000 <= n_slots < 25_000 + PER_PART
    for number in range(n_slots + 100):
        rec.sent("a", number, proved(number))
    records = events(read_ring(rec.path))
    assert len(records) >= n_slots - 4
    assert [int(record["id"]) for record in records] == list(range(n_slots + 100))[-len(records) :]
    assert all(map(proves, records))
    rec.close()


def test_only_what_was_written_takes_memory(tmp_path):
    rec = Recorder("node-3", 10, tmp_path)
    for number in range(100):
        rec.sent("a", number)
    assert os.stat(rec.path).st_size > 30 * 10**6
    assert os.stat(rec.path).st_blocks * 512 < 10**6
    rec.close()


def test_all_that_can_be_told(rec):
    calls = [
        (rec.queued(7, b"fit"), Kind.QUEUED, 7, "", b"fit"),
        (rec.started("fit-1"), Kind.STARTED, id_of("fit-1"), "fit-1", b""),
        (rec.ended("fit-1", "ok"), Kind.ENDED, id_of("fit-1"), "fit-1", b"ok"),
        (rec.put("a/b", b"value"), Kind.PUT, id_of("a/b"), "a/b", b"value"),
        (rec.removed(b"a/b"), Kind.REMOVED, id_of("a/b"), "a/b", b""),
        (rec.spilled(("a", 1)), Kind.SPILLED, id_of("a:1"), "a:1", b""),
        (rec.failed(ValueError("no such")), Kind.FAILED, 0, "ValueError", b"no such"),
        (rec.failed("it broke", "fit-1"), Kind.FAILED, id_of("fit-1"), "", b"it broke"),
        (rec.note("begin"), Kind.NOTE, id_of("begin"), "begin", b"begin"),
    ]
    ring = read_ring(rec.path)
    read = [
        (int(each["stamp"]), each["kind"], int(each["id"]), ring.names[each["peer"]], each["data"].tobytes())
        for each in events(ring)
    ]
    assert read == [(*call[:4], call[4].ljust(DATA_BYTES, b"\0")) for call in calls]


def test_a_sample_tells_what_the_process_takes_up(rec):
    rec.sample(12345)
    rec.sample()
    samples = [SAMPLE.unpack_from(r["data"].tobytes()) for r in read_ring(rec.path).records if r["kind"] == Kind.SAMPLE]
    assert [in_flight for _, _, in_flight in samples] == [12345, 12345, 12345]
    cpu_us, resident, _ = samples[-1]
    assert 0 < samples[0][0] <= cpu_us <= os.times().user * 1e6 + os.times().system * 1e6 + 1e6
    assert 10**6 < resident < 10**11


class Awkward:
    """Raises, whatever it is asked."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __len__ = __index__ = __hash__ = __str__


@pytest.mark.parametrize(
    "arguments",
    [
        *((peer, 1, b"") for peer in [Awkward(), [], {}, 3.5, "x" * 100, "\ud800"]),
        *(("a", ident, b"") for ident in [Awkward(), [], -1, 2**64, 3.5, "\ud800"]),
        *(("a", 1, data) for data in [Awkward(), [], 5, "\ud800", memoryview(b"abc"), bytearray(b"abc")]),
    ],
    ids=lambda arguments: " ".join(type(each).__name__ for each in arguments),
)
def test_arguments_that_make_no_sense_break_nothing(rec, arguments):
    before = rec.sent("a", 1, b"before")
    odd = rec.sent(*arguments)
    after = rec.sent("a", 2, b"after")
    assert before < odd < after
    ring = read_ring(rec.path)
    ids = [int(record["id"]) for record in events(ring)]
    assert (ids[0], ids[-1]) == (1, 2)
    assert len(ids) + rec.n_lost + ring.n_torn >= 3
    assert len(ids) + rec.n_lost == 3


def test_no_call_of_a_recorder_raises(rec):
    odd = Awkward()
    for call in (
        rec.queued,
        rec.started,
        rec.ended,
        rec.put,
        rec.removed,
        rec.spilled,
        rec.failed,
        rec.note,
        rec.sample,
    ):
        call(odd)
    rec.failed(type("Failed", (Exception,), {"__str__": Awkward.__str__})())
    rec.received("a", 1, b"", "no stamp")
    rec.received("a", 1, b"", 2.5)
    rec.lane(odd).sent("a", 1)
    assert read_ring(rec.path).n_torn <= rec.n_lost


def test_names_beyond_the_room_are_nobodys_and_notes_leave_room_for_peers(rec):
    for number in range(N_NAMES):
        rec.put(f"key-{number}", b"")
    rec.sent("a late peer", 1, b"")
    ring = read_ring(rec.path)
    puts = [each for each in events(ring) if each["kind"] == Kind.PUT]
    assert len(puts) > N_NAMES - 10
    named = [each for each in puts if each["peer"]]
    assert N_NAMES // 2 < len(named) < N_NAMES
    assert all(id_of(ring.names[each["peer"]]) == each["id"] for each in named)
    assert ring.names[ring.records[-1]["peer"]] == "a late peer"
    for number in range(N_NAMES):
        rec.sent(f"peer-{number}", number, b"x")
    assert rec.lane("one more").sent("peer-1", 1) > 0
    ring = read_ring(rec.path)
    assert len(ring.names) == N_NAMES
    sent = [each for each in events(ring) if each["kind"] == Kind.SENT and each["n_bytes"] == 1]
    assert len(sent) == N_NAMES
    assert all(ring.names[each["peer"]] in ("", f"peer-{each['id']}") for each in sent)
    assert (ring.n_torn, rec.n_lost) == (0, 0)


def test_lanes_without_end_leave_room_for_peers(rec):
    for number in range(N_NAMES):
        rec.lane(f"thread-{number}").sent("peer", number)
    rec.sent("a late peer", 1)
    ring = read_ring(rec.path)
    assert ring.names[ring.records[-1]["peer"]] == "a late peer"
    assert rec.lane("thread-7") is rec.lane("thread-7")


def test_lanes_share_a_ring(rec):
    one, two = rec.lane("one"), rec.lane("two")
    assert rec.lane("one") is one
    assert one.path == rec.path
    stamps = [one.sent("a", 1), two.sent("a", 2), rec.sent("a", 3), one.lane("two").note("4")]
    ring = read_ring(rec.path)
    assert [int(each["stamp"]) for each in events(ring)] == stamps == sorted(set(stamps))
    assert [ring.names[each["lane"]] for each in events(ring)] == ["one", "two", "", "two"]


def test_after_closing_nothing_is_written_and_nothing_breaks(rec):
    rec.sent("a", 1)
    rec.close()
    raw = rec.path.read_bytes()
    assert rec.sent("a", 2) < rec.lane("x").sent("a", 3)
    rec.close()
    assert rec.path.read_bytes()[4096:] == raw[4096:]
    assert rec.n_lost == 2
    assert read_ring(rec.path).about.closed_at_ns > 0
    rec.close(remove=True)
    assert not rec.path.exists()


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("", []),
        ("raise SystemExit(1)", []),
        ("raise KeyboardInterrupt", []),
        ("import sys; sys.ps1 = '>>> '; 1 / 0", []),  # at a prompt, an exception ends nothing
        ("1 / 0", [b"division by zero".ljust(DATA_BYTES, b"\0")]),
    ],
)
def test_a_process_that_ends_by_itself_closes_its_rings_but_not_its_parents_and_tells_what_ended_it(
    tmp_path, end, told
):
    run = f"""
import os
import hydroscope as hs
rec = hs.Recorder("parent", 0.1, {str(tmp_path)!r})
rec.note("before")
if child := os.fork():
    os.waitpid(child, 0)
    rec.note("after")
    {end}
"""
    subprocess.run([sys.executable, "-c", run], timeout=60, stderr=subprocess.DEVNULL, check=False)
    (found,) = rings(tmp_path)
    ring = read_ring(found.path)
    assert ring.about.closed_at_ns > 0
    assert np.count_nonzero(ring.records["kind"] == Kind.NOTE) == 2
    assert [each["data"].tobytes() for each in ring.records[ring.records["kind"] == Kind.FAILED]] == told


def _record_in(folder, divisor):
    rec = Recorder("child", 0.1, folder)
    rec.note(str(1 / divisor))


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_processes_of_multiprocessing_close_their_rings_and_tell_what_ended_them(tmp_path, method):
    context = multiprocessing.get_context(method)
    children = [context.Process(target=_record_in, args=(tmp_path, divisor)) for divisor in (1, 0)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 1]
    found = {each.about.pid: each for each in (read_ring(each.path) for each in rings(tmp_path))}
    assert all(ring.about.closed_at_ns > 0 for ring in found.values())
    last = [found[child.pid].records[-1] for child in children]
    assert [each["kind"] for each in last] == [Kind.NOTE, Kind.FAILED]
    assert [each["data"].tobytes().rstrip(b"\0") for each in last] == [b"1.0", b"division by zero"]


def test_a_signal_handler_may_record_in_the_middle_of_a_record(rec):
    handled = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(rec.sent("handler", len(handled), b"")))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        stamps = []
        while len(handled) < 50:
            stamps.append(rec.sent("main", len(stamps), b""))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(set(stamps + handled)) == len(stamps) + len(handled)
    assert stamps == sorted(stamps)
    ring = read_ring(rec.path)
    assert ring.n_torn == rec.n_lost == 0
    assert {int(each["stamp"]) for each in events(ring)} <= {*stamps, *handled}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("",), "not empty"),
        ((5,), "is a text"),
        (("a", 0), "seconds"),
        (("a", -1), "seconds"),
        (("a", float("nan")), "seconds"),
        (("a", 1e9), "3600"),
        (("a", "10"), "seconds='10'"),
        (("a", None), "seconds=None"),
        (("a", 1, 5), "no path"),
        (("a", 1, "zero\0byte"), "another folder"),
        (("a", 1, "/proc/nowhere"), "another folder"),
        (("a", 1, __file__), "folder"),
    ],
)
def test_what_cannot_be_opened_says_why(arguments, text):
    with pytest.raises(UserError, match=text):
        Recorder(*arguments)


def test_a_folder_in_which_others_could_write_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(UserError, match="700"):
        Recorder("a", SECONDS, tmp_path)


def test_a_ring_is_for_this_user_alone(tmp_path):
    folder = tmp_path / "deep" / "rings"
    rec = Recorder("../a b/ü", SECONDS, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(rec.path.stat().st_mode) == 0o600
    assert rec.path.parent == folder
    assert read_ring(rec.path).about.name == "../a b/ü"
    (found,) = rings(folder)
    assert (found.path, found.is_alive) == (rec.path, True)
    rec.close()
    assert [each.is_alive for each in rings(folder)] == [False]


def test_without_a_folder_the_ring_is_memory_that_nobody_sees(monkeypatch):
    monkeypatch.setattr("hydroscope.ground.record.writer.default_folders", lambda _: [])
    rec = Recorder("a", SECONDS)
    assert rec.path is None
    assert rec.sent("b", 1) < rec.sent("b", 2)
    assert rec.n_lost == 0
    rec.close()


def jumps(ring):
    return [CLOCK.unpack_from(r["data"].tobytes())[0] for r in ring.records if r["kind"] == Kind.CLOCK]


def test_stamps_follow_cause_and_effect(tmp_path):
    clocks = [SimulatedClock(skew_s=4.0), SimulatedClock(skew_s=-4.0), SimulatedClock(drift=0.01)]
    nodes = [Recorder(f"node-{k}", SECONDS, tmp_path, clock) for k, clock in enumerate(clocks)]
    stamp = 0
    for step in range(600):
        for clock in clocks:
            clock.set(step * 1e-4)
        one, two = nodes[step % 3], nodes[(step * 7 + 1) % 3]
        sent = one.sent("x", step, b"", stamp or None)
        received = two.received("x", step, b"", sent)
        assert stamp < sent < received
        stamp = received
    for rec in nodes:
        stamps = read_ring(rec.path).records["stamp"].astype(object)
        assert (stamps[1:] > stamps[:-1]).all()
        assert rec.n_refused == 0
        rec.close()


def test_stamps_stay_near_the_fastest_clock(tmp_path):
    """The paper's bound: a stamp is ahead of the wall by no more than clocks are apart."""
    fast, slow = SimulatedClock(skew_s=2.0), SimulatedClock()
    a, b = Recorder("a", SECONDS, tmp_path, fast), Recorder("b", SECONDS, tmp_path, slow)
    for step in range(1, 2000):
        fast.set(step * 1e-5)
        slow.set(step * 1e-5)
        got = b.received("a", step, b"", a.sent("b", step, b""))
        assert fast.wall_ns() - 2 * UNIT_NS <= got <= fast.wall_ns() + 2 * UNIT_NS
        a.received("b", step, b"", got)
    a.close()
    b.close()


def test_a_stamp_too_far_ahead_is_not_taken_and_noted(tmp_path):
    clock = SimulatedClock()
    rec = Recorder("a", SECONDS, tmp_path, clock)
    wall = clock.wall_ns()
    allowed = rec.received("b", 1, b"", wall + round((MAX_AHEAD_S - 1) * 1e9))
    assert allowed > wall + round((MAX_AHEAD_S - 1) * 1e9)
    for ahead in (round((MAX_AHEAD_S + 1) * 1e9), 10**18, 2**70):
        assert rec.received("evil", 66, b"", wall + ahead) < wall + MAX_AHEAD_S * 1e9
    assert rec.n_refused == 3
    notes = [each for each in read_ring(rec.path).records if each["kind"] == Kind.NOTE]
    assert len(notes) == 1  # one a second
    assert (notes[0]["id"], notes[0]["data"].tobytes()[:18]) == (66, b"stamp 61 s ahead: ")
    rec.close()


@pytest.mark.parametrize("by_s", [-3600.0, -1.0, 1.0, 3600.0])
def test_a_clock_that_is_set_is_noticed_and_stamps_go_on(tmp_path, by_s):
    clock = SimulatedClock()
    rec = Recorder("a", SECONDS, tmp_path, clock)
    stamps = []
    for step in range(100):
        clock.set(step * 0.001)
        if step == 50:
            clock.jump(by_s)
        stamps.append(rec.sent("b", step))
    assert stamps == sorted(set(stamps))
    found = jumps(read_ring(rec.path))
    assert len(found) == 2  # the first of every ring, and this
    assert abs(found[1] - by_s * 1e9) < 1000
    if by_s > 0:
        assert abs(stamps[-1] - clock.wall_ns()) < 10**6
    rec.close()


def test_each_second_of_activity_has_a_clock_and_a_sample(tmp_path):
    clock = SimulatedClock(drift=100e-6)
    rec = Recorder("a", SECONDS, tmp_path, clock)
    for step in range(1000):
        clock.set(step * 0.01)
        rec.sent("b", step)
    records = read_ring(rec.path).records
    counts = [sum(1 for each in records if each["kind"] == kind) for kind in OWN]
    assert counts == [10, 10]
    clocks = [each for each in records if each["kind"] == Kind.CLOCK]
    assert all(abs(int(b["at_ns"]) - int(a["at_ns"]) - 10**9) < 11 * 10**6 for a, b in itertools.pairwise(clocks))
    offsets = {int(each["id"]) - int(each["at_ns"]) for each in clocks}
    assert max(offsets) - min(offsets) < 1000
    rec.close()
