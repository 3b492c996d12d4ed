"""Whoever comes between, at whatever moment: no record is read that was not written, no stamp or slot is used twice."""

from __future__ import annotations

import contextlib
import dis
import itertools
import os
import random
import sys
import types

import numpy as np

from hydroscope.ground.clocks import hlc
from hydroscope.ground.clocks.hlc import HybridClock
from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.ground.record import hot, reader
from hydroscope.ground.record.layout import HEADER_BYTES, RECORD, RECORD_BYTES, Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.ground.record.writer import Writer
from tests.ground.record.rings import PER_PART, SECONDS, events, proved, proves

WORD = 8


class SlowWriter:
    """Writes records into two slots as `layout` says, a word at a time, one step whenever it is asked to."""

    def __init__(self, file) -> None:
        self._file = file
        self._steps = self._all_steps()

    def step(self) -> None:
        place, data = next(self._steps)
        os.pwrite(self._file.fileno(), data, HEADER_BYTES + place)

    def _all_steps(self):
        for number in itertools.count():
            at = number % 2 * RECORD_BYTES
            raw = RECORD.pack(number + 1, number, number, 27, 1, proved(number), 1)
            for word in range(0, RECORD_BYTES, WORD):
                yield at + word, bytes(WORD)
            for word in range(0, RECORD_BYTES - WORD, WORD):
                yield at + word, raw[word : word + WORD]
            yield at + RECORD_BYTES - WORD, raw[-WORD:-4] + bytes(4)
            yield at + RECORD_BYTES - WORD, raw[-WORD:]


def test_a_record_that_changes_while_it_is_read_is_whole_or_left_out(tmp_path, monkeypatch):
    """Each word is read at a moment of its own, in any order within a pass, and the writer goes on in between."""

    def read_into(file, records, slot) -> None:
        words = records.view("u8").reshape(-1)
        places = list(range(len(words)))
        chance.shuffle(places)
        for place in places:
            words[place] = int.from_bytes(os.pread(file.fileno(), WORD, HEADER_BYTES + place * WORD), "little")
            while chance.random() < hurry:
                writer.step()

    monkeypatch.setattr(reader, "_read_into", read_into)
    n_read = n_torn = 0
    with (tmp_path / "slow").open("w+b", buffering=0) as file:
        for seed in range(1500):
            chance = random.Random(seed)
            os.pwrite(file.fileno(), bytes(2 * RECORD_BYTES), HEADER_BYTES)
            writer = SlowWriter(file)
            for _ in range(chance.randrange(60)):
                writer.step()
            hurry = chance.choice([0.0, 0.05, 0.2, 0.4, 0.6])
            records, torn = reader._read_records(file, 2)
            for record in records:
                assert proves(record), seed
                assert record["stamp"] == record["id"] + 1, seed
            n_read, n_torn = n_read + len(records), n_torn + torn
    assert n_read > 400
    assert n_torn > 100


def test_a_reader_that_is_held_up_while_the_writer_passes_it_leaves_no_gap(tmp_path, monkeypatch):
    """In the middle of any look the writer goes on by up to three rounds of the ring."""
    n_slots, numbers = 256, itertools.count(1)

    def write(n: int) -> None:
        for number in itertools.islice(numbers, n):
            raw = RECORD.pack(number, number, number, 27, 1, proved(number), 1)
            os.pwrite(file.fileno(), raw, HEADER_BYTES + number % n_slots * RECORD_BYTES)

    def read_into(file, records, slot) -> None:
        middle = chance.randrange(n_slots)
        read(file, records[:middle], slot)
        write(chance.choice([0, 1, 40, chance.randrange(3 * n_slots)]))
        read(file, records[middle:], slot + middle)

    read = reader._read_into
    monkeypatch.setattr(reader, "_read_into", read_into)
    n_read = []
    with (tmp_path / "ring").open("w+b", buffering=0) as file:
        for seed in range(150):
            chance = random.Random(seed)
            write(chance.randrange(3 * n_slots))
            records, _ = reader._read_records(file, n_slots)
            ids = records["id"].astype(int)
            missing = np.diff(ids) - 1
            assert (missing <= reader._AT_WORK).all(), seed
            n_read.append(len(ids))
    assert sum(n > n_slots // 2 for n in n_read) > 40


@contextlib.contextmanager
def others_come_in(files, act):
    """Call `act` wherever CPython would let another thread or a signal handler into the code of these files."""

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if before.get(frame) in LETS_IN:
                act()
            before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        elif event == "return":
            before.pop(frame, None)
        return trace

    before: dict[types.FrameType, str] = {}
    found = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(found)


LETS_IN = {name for name in dis.opmap if "CALL" in name or "BACKWARD" in name or name in ("RESUME", "FOR_ITER", "SEND")}
"""Instructions of CPython 3.11 after which, or in which, it looks for threads that wait and signals that came."""


def test_stamps_stay_unique_and_rise_whoever_comes_between(tmp_path):
    """Others record, and merge what is ahead, at any moment they can; the clocks go on, and are set back."""
    clock = SimulatedClock()
    rec = Recorder("node", SECONDS, tmp_path, clock)
    chance = random.Random(3)
    given: list[int] = []
    now = 0.0
    n_acts = 0

    def event() -> None:
        nonlocal now
        now += chance.choice([0.0, 1e-7, 1e-5, 1e-2])
        clock.set(now)
        newest = max(given, default=0)
        ahead = chance.choice([None, None, -5, 0, 1, 70, 10**6, 10**12])
        stamp = None if ahead is None else newest + ahead
        own = rec.received("other", 1, b"", stamp)
        given.append(own)
        assert own > newest
        if ahead is not None and ahead < 10**12:
            assert own > stamp

    def act() -> None:
        nonlocal n_acts
        if chance.random() < 0.2:
            n_acts += 1
            for _ in range(chance.randrange(1, 4)):
                event()
        if chance.random() < 0.01:
            clock.jump(chance.choice([-2.0, 0.5]))

    for _ in range(500):
        now += chance.choice([0.0, 1e-5])
        clock.set(now)
        with others_come_in({hot.__file__}, act):
            outer = rec.received("other", 1, b"", given[-1] + 50 if given and chance.random() < 0.5 else None)
        given.append(outer)
    assert len(set(given)) == len(given)
    assert n_acts > 300
    records = events(read_ring(rec.path))
    kept = records[np.isin(records["kind"], [Kind.RECEIVED])]["stamp"]
    assert set(kept.tolist()) <= set(given)
    assert len(kept) > min(len(given), PER_PART) - 2000
    assert rec.n_lost == 0
    rec.close()


def test_a_member_s_stamps_stay_unique_and_rise_whoever_comes_between():
    clock = SimulatedClock()
    member = HybridClock(clock)
    chance = random.Random(4)
    given: list[int] = []
    now = 0.0

    def event() -> None:
        nonlocal now
        now += chance.choice([0.0, 1e-6, 1e-3])
        clock.set(now)
        newest = max(given, default=0)
        if chance.random() < 0.3:
            newest += chance.choice([-1, 0, 1, 50, 10**6])
            assert member.merge(newest)
        stamp = member.tick()
        assert stamp > newest
        given.append(stamp)

    for _ in range(1000):
        with others_come_in({hlc.__file__}, lambda: chance.random() < 0.5 and event()):
            if chance.random() < 0.5:
                member.merge(given[-1] + chance.choice([3, 10**5]) if given else 5)
            stamp = member.tick()
        given.append(stamp)
    assert len(set(given)) == len(given) > 1500


def test_no_slot_is_used_twice_whoever_comes_between(tmp_path, monkeypatch):
    """Another thread or a signal handler records while the next part of the ring is made ready."""
    rec = Recorder("node", 3 * SECONDS, tmp_path)
    numbers = itertools.count()
    nested = iter([])
    real = Writer.next_part

    def next_part(self, part):
        made = real(self, part)
        for _ in nested:
            for _ in range(5):
                number = next(numbers)
                rec.sent("nested", number, proved(number))
        return made

    monkeypatch.setattr(Writer, "next_part", next_part)
    for _ in range(5 * PER_PART):
        nested = iter([1])
        number = next(numbers)
        rec.sent("a", number, proved(number))
    read = events(read_ring(rec.path))
    assert len(read) >= 3 * PER_PART - 8
    assert set(read["id"].tolist()) >= set(range(next(numbers) - len(read) + 20, next(numbers) - 20))
    assert rec.n_lost == 0
    rec.close()
