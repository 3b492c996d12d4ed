"""Whoever comes between, at whatever moment: no record is read that was not written, no stamp or slot is used twice."""

from __future__ import annotations

import itertools
import os
import random

from hydroscope.ground.record import hot, reader
from hydroscope.ground.record.layout import END, HEADER_BYTES, RECORD, RECORD_BYTES
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
            raw = RECORD.pack(number + 1, number, number, 1, 27, 1, proved(number), END)
            for word in range(0, RECORD_BYTES, WORD):
                yield at + word, bytes(WORD)
            for word in range(0, RECORD_BYTES - WORD, WORD):
                yield at + word, raw[word : word + WORD]
            yield at + RECORD_BYTES - WORD, raw[-WORD:-1] + b"\0"
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
        for seed in range(3000):
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
    assert n_read > 500
    assert n_torn > 100


def test_stamps_stay_unique_whoever_comes_between(tmp_path, monkeypatch):
    """Another thread or a signal handler records, and merges, while the counter of stamps is being replaced."""
    rec = Recorder("node", SECONDS, tmp_path)
    stamps: list[int] = []
    between = iter([])
    real = itertools.count

    def count(start):
        made = real(start)
        for ahead in between:
            stamps.append(rec.received("other", 1, b"", rec.sent("a", 0) + ahead))
            stamps.extend(rec.sent("a", 0) for _ in range(3))
        return made

    monkeypatch.setattr(hot, "itertools", type("", (), {"count": count, "repeat": itertools.repeat}))
    for ahead in range(0, 3000, 7):
        between = iter([ahead, 2 * ahead])
        before = rec.sent("a", 0)
        stamps.append(before)
        n = len(stamps)
        after = rec.received("other", 1, b"", before + ahead)
        assert after > max(stamps[n - 1 :])
        stamps += [after, rec.sent("a", 0)]
    assert len(set(stamps)) == len(stamps)
    rec.close()


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
