"""Columns in the making: text in, chunks out. Each owns the arrays of the chunk it fills.

All have the same face: `read` takes one column of a window's records and returns the rows
it could not read, `erase` makes rows missing, `seal` encodes what was read as a chunk, and
`finish` hands the chunks over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.encode import encode_decimal, encode_int, encode_real
from hydroscope.codecs.text import encode_text, encode_uuid
from hydroscope.frame.vec import VecType
from hydroscope.ground.limits import INT_MISSING
from hydroscope.ingest import kernels_number as number
from hydroscope.ingest import kernels_text as texts
from hydroscope.ingest import kernels_time as time
from hydroscope.ingest.dialect import F64, I32, I64, NONE, U8, Dialect
from hydroscope.ingest.plan import ENUM_LEVELS_MAX, ColumnPlan, ColumnReport
from hydroscope.ingest.text import SLACK, padded

__all__ = ["RULES", "Column", "Window", "Words", "make_column", "window_of"]

RULES = {
    VecType.INT: "a whole number between -(2**63 - 1) and 2**63 - 1",
    VecType.REAL: "a number such as 12.5 or -3e8",
    VecType.BOOL: "true or false (also t/f, yes/no, y/n, 1/0)",
    VecType.TIME: "a time such as 2013-01-31, 2013-01-31T05:15:00.250Z, 31-Jan-2013 or 01/31/2013 05:15",
    VecType.UUID: "a UUID such as 123e4567-e89b-12d3-a456-426614174000",
    VecType.ENUM: "text in UTF-8",
    VecType.STRING: "text in UTF-8",
}
"""What a field of each type must be, for messages."""

GUESSED_FLAGS = (b"false", b"true")
NAMED_FLAGS = (b"false", b"true", b"0", b"1", b"f", b"t", b"no", b"yes", b"n", b"y")


@dataclass(frozen=True, slots=True)
class Words:
    """Words behind one another, as kernels take them."""

    data: U8
    ends: I64

    @classmethod
    def of(cls, words: tuple[bytes, ...]) -> Words:
        """Lay out `words`."""
        return cls(padded(b"".join(words)), np.cumsum([len(word) for word in words], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Window:
    """Records that `tokenise` found: bounds[:n_rows], relative to text[base]."""

    text: U8
    base: int
    bounds: I32
    n_rows: int
    n_bytes: int

    def field(self, row: int, field: int) -> bytes:
        """Return the bytes of one field as they stand in the file."""
        start = self.base + int(self.bounds[row, field]) + (field > 0)
        return self.text[start : self.base + int(self.bounds[row, field + 1])].tobytes()


def window_of(words: Sequence[bytes]) -> Window:
    """Return words as the records of a table with one column."""
    ends = np.cumsum([0, *map(len, words)], dtype=np.int32)
    bounds = np.stack([ends[:-1], ends[1:]], axis=1)
    return Window(padded(b"".join(words)), 0, bounds, len(words), int(ends[-1]))


class Column(Protocol):
    """A column in the making."""

    plan: ColumnPlan

    def read(self, window: Window, field: int, at: int) -> I64:
        """Read `field` of the window's records as rows `at`...; returns rows that do not fit."""

    def erase(self, rows: I64) -> None:
        """Make rows of the present chunk missing."""

    def seal(self, n_rows: int) -> None:
        """Encode the first `n_rows` rows as a chunk, and begin the next."""

    def finish(self) -> tuple[ColumnReport, tuple[Chunk, ...]]:
        """Return what was found, and the chunks."""


def make_column(plan: ColumnPlan, dialect: Dialect, n_rows: int) -> Column:
    """Return an empty column for chunks of up to `n_rows` rows."""
    makers: dict[VecType, Any] = {
        VecType.INT: NumberColumn,
        VecType.REAL: NumberColumn,
        VecType.BOOL: FlagColumn,
        VecType.TIME: TimeColumn,
        VecType.UUID: UuidColumn,
        VecType.ENUM: EnumColumn,
        VecType.STRING: StringColumn,
    }
    column: Column = makers[plan.type](plan, dialect, n_rows)
    return column


class _Base:
    """What all columns share: the plan, the words for a missing value, the chunks so far."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        self.plan = plan
        self._quote = dialect.quote
        self._na = Words.of(plan.na)
        self._out = np.zeros(3, dtype=np.int64)
        self._chunks: list[Chunk] = []
        self._n_rows = n_rows
        self._scratch = np.empty(0, dtype=np.int64)

    def _bad(self, n_rows: int) -> I64:
        if len(self._scratch) < n_rows:
            self._scratch = np.empty(n_rows, dtype=np.int64)
        return self._scratch


class NumberColumn(_Base):
    """INT and REAL: mantissas and decimals until a chunk is full."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        super().__init__(plan, dialect, n_rows)
        self._mantissa = np.empty(n_rows, dtype=np.int64)
        self._decimals = np.empty(n_rows, dtype=np.uint8)
        self._long = np.empty((0, 2), dtype=np.int64)
        self._seen = 0
        self._seen_here = 0
        self._whole: list[bool] = []
        self._around = b" \t" + (bytes([dialect.quote]) if dialect.quote >= 0 else b"")
        self._na_numbers = np.array(_numbers_among(plan.na))

    def read(self, window: Window, field: int, at: int) -> I64:
        """Read numbers; see `Column.read`."""
        n, out, bad = window.n_rows, self._out, self._bad(window.n_rows)
        if len(self._long) < n:
            self._long = np.empty((n, 2), dtype=np.int64)
        out[0] = 0
        number.numbers(
            window.text, window.base, window.bounds, n, field, self._quote, self._na.data, self._na.ends,
            at, self._mantissa, self._decimals, bad, self._long, out,
        )  # fmt: skip
        bad = bad[: out[1]]
        if out[2]:
            hard = np.empty(out[2], dtype=np.int64)
            n_hard = number.doubles(self._long, out[2], at, self._mantissa, self._decimals, hard)
            for row in hard[:n_hard].tolist():
                value = float(window.field(row, field).strip(self._around))
                self._mantissa[at + row] = np.float64(value).view(np.int64)
        self._seen_here |= int(out[0])
        if len(self._na_numbers):  # a word for a missing value may itself be a number, such as -999
            read = slice(at, at + n)
            rows = np.flatnonzero(np.isin(to_doubles(self._mantissa[read], self._decimals[read]), self._na_numbers))
            self.erase(at + rows)
        if self.plan.fixed and self.plan.type == VecType.INT and out[0] & (number.SEEN_REAL | number.SEEN_WIDE):
            bad = self._make_whole(at, n, bad)
        return bad

    def take_seen(self) -> int:
        """Return what forms of numbers were read since the last chunk, and forget it."""
        seen, self._seen_here = self._seen_here, 0
        return seen

    def _make_whole(self, at: int, n: int, bad: I64) -> I64:
        """Turn 5.0 into 5 in a column that must be whole; other fractions are bad."""
        mantissa, decimals = self._mantissa[at : at + n], self._decimals[at : at + n]
        fraction = decimals > 0
        scale = number.TENS[np.where(decimals <= 18, decimals, 0)]
        good = fraction & (decimals <= 18) & (mantissa % scale == 0)
        mantissa[good] //= scale[good]
        wrong = fraction & ~good
        mantissa[wrong] = INT_MISSING
        decimals[fraction] = 0
        self._seen_here &= ~(number.SEEN_REAL | number.SEEN_WIDE | number.SEEN_DOUBLE)
        return np.union1d(bad, np.flatnonzero(wrong))

    def erase(self, rows: I64) -> None:
        """Make rows missing."""
        self._mantissa[rows] = INT_MISSING
        self._decimals[rows] = 0

    def seal(self, n_rows: int) -> None:
        """Encode as integers, as decimals, or (when one is none) as doubles."""
        mantissa, decimals = self._mantissa[:n_rows], self._decimals[:n_rows]
        doubles = number.SEEN_DOUBLE | number.SEEN_WIDE
        whole = self.plan.type == VecType.INT and not self._seen_here & (number.SEEN_REAL | doubles)
        if whole:
            chunk = encode_int(mantissa)
        elif self._seen_here & doubles or not _fits_decimal(mantissa, decimals):
            chunk = encode_real(to_doubles(mantissa, decimals))
        else:
            chunk = encode_decimal(mantissa, decimals)
        self._chunks.append(chunk)
        self._whole.append(whole)
        self._seen |= self._seen_here
        self._seen_here = 0

    def finish(self) -> tuple[ColumnReport, tuple[Chunk, ...]]:
        """Return the chunks and what forms of numbers there were."""
        return ColumnReport(seen=self._seen, whole=tuple(self._whole)), tuple(self._chunks)


@lru_cache(maxsize=64)
def _numbers_among(words: tuple[bytes, ...]) -> tuple[float, ...]:
    """Return the numbers that some words spell."""
    numbers = []
    for word in words:
        with contextlib.suppress(ValueError):
            numbers.append(float(word) if b"_" not in word else np.nan)
    return tuple(value for value in numbers if not np.isnan(value))


def _fits_decimal(mantissa: I64, decimals: U8) -> bool:
    """Tell whether whole numbers among decimals are exact as doubles."""
    return int(mantissa.max()) <= 2**53 and int(np.where(mantissa == INT_MISSING, 0, mantissa).min()) >= -(2**53)


class _WholeColumn(_Base):
    """Columns of int64 values that are encoded as they are."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        super().__init__(plan, dialect, n_rows)
        self._values = np.empty(n_rows, dtype=np.int64)
        self._seen = 0

    def erase(self, rows: I64) -> None:
        """Make rows missing."""
        self._values[rows] = INT_MISSING

    def seal(self, n_rows: int) -> None:
        """Encode as integers."""
        self._chunks.append(encode_int(self._values[:n_rows]))

    def finish(self) -> tuple[ColumnReport, tuple[Chunk, ...]]:
        """Return the chunks."""
        return ColumnReport(seen=self._seen), tuple(self._chunks)


class TimeColumn(_WholeColumn):
    """TIME: milliseconds since 1970, UTC."""

    def read(self, window: Window, field: int, at: int) -> I64:
        """Read times; see `Column.read`."""
        out, bad = self._out, self._bad(window.n_rows)
        out[0] = 0
        time.times(
            window.text, window.base, window.bounds, window.n_rows, field, self._quote, self._na.data, self._na.ends,
            self.plan.form, at, self._values, bad, out,
        )  # fmt: skip
        self._seen |= int(out[0])
        return bad[: out[1]]


class FlagColumn(_WholeColumn):
    """BOOL: 0 and 1."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        super().__init__(plan, dialect, n_rows)
        self._words = Words.of(NAMED_FLAGS if plan.fixed else GUESSED_FLAGS)

    def read(self, window: Window, field: int, at: int) -> I64:
        """Read truth values; see `Column.read`."""
        out, bad = self._out, self._bad(window.n_rows)
        time.flags(
            window.text, window.base, window.bounds, window.n_rows, field, self._quote, self._na.data, self._na.ends,
            self._words.data, self._words.ends, at, self._values, bad, out,
        )  # fmt: skip
        return bad[: out[1]]


class UuidColumn(_Base):
    """UUID: two words a row."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        super().__init__(plan, dialect, n_rows)
        self._words = np.empty(2 * n_rows, dtype=np.uint64)
        self._valid = np.empty(n_rows, dtype=np.uint8)

    def read(self, window: Window, field: int, at: int) -> I64:
        """Read UUIDs; see `Column.read`."""
        out, bad = self._out, self._bad(window.n_rows)
        time.uuids(
            window.text, window.base, window.bounds, window.n_rows, field, self._quote, self._na.data, self._na.ends,
            at, self._words, self._valid, bad, out,
        )  # fmt: skip
        return bad[: out[1]]

    def erase(self, rows: I64) -> None:
        """Make rows missing."""
        self._valid[rows] = 0

    def seal(self, n_rows: int) -> None:
        """Encode the words."""
        self._chunks.append(encode_uuid(self._words[: 2 * n_rows], _validity(self._valid[:n_rows])))

    def finish(self) -> tuple[ColumnReport, tuple[Chunk, ...]]:
        """Return the chunks."""
        return ColumnReport(), tuple(self._chunks)


class StringColumn(_Base):
    """STRING: texts behind one another."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        super().__init__(plan, dialect, n_rows)
        self._strip = dialect.strip
        self._lengths = sum(1 << n for n in {min(len(word), 62) for word in plan.na})
        self._offsets = np.zeros(n_rows + 1, dtype=np.int64)
        self._data = np.empty(1 << 16, dtype=np.uint8)
        self._valid = np.empty(n_rows, dtype=np.uint8)

    def read(self, window: Window, field: int, at: int) -> I64:
        """Copy texts; see `Column.read`."""
        need = int(self._offsets[at]) + window.n_bytes + SLACK
        if need > len(self._data):
            self._data = _grown(self._data, need)
        texts.strings(
            window.text, window.base, window.bounds, window.n_rows, field, self._quote, self._strip,
            self.plan.quoted_text, self._na.data, self._na.ends, self._lengths, at, self._offsets, self._data,
            self._valid,
        )  # fmt: skip
        return _NO_ROWS

    def erase(self, rows: I64) -> None:
        """Make rows missing."""
        self._valid[rows] = 0

    def seal(self, n_rows: int) -> None:
        """Encode the texts."""
        offsets = self._offsets[: n_rows + 1]
        self._chunks.append(encode_text(offsets, self._data[: offsets[-1]], _validity(self._valid[:n_rows])))
        self._offsets[0] = 0

    def finish(self) -> tuple[ColumnReport, tuple[Chunk, ...]]:
        """Return the chunks."""
        return ColumnReport(), tuple(self._chunks)


class EnumColumn(_Base):
    """ENUM: codes into a table of levels, which is sorted when the leaf is complete."""

    def __init__(self, plan: ColumnPlan, dialect: Dialect, n_rows: int) -> None:
        super().__init__(plan, dialect, n_rows)
        self._strip = dialect.strip
        n_na = len(plan.na)
        room = 1 << max(9, (n_na + 1).bit_length())
        self._slots = np.zeros(2 * room, dtype=np.int64)
        self._ends = np.zeros(room, dtype=np.int64)
        self._level_data = np.empty(max(1 << 12, len(self._na.data) + SLACK), dtype=np.uint8)
        self._first_words = np.empty(room, dtype=np.uint64)
        self._alias = np.full(n_na + 1, -1, dtype=np.int64)
        self._state = np.zeros(1, dtype=np.int64)
        self._codes = np.empty(n_rows, dtype=np.int64)
        self._full: list[I64] = []
        words = window_of(plan.na)  # they are the first entries of the table
        texts.intern(
            words.text, 0, words.bounds, n_na, 0, NONE, False, False, 0, 0, np.empty(n_na, dtype=np.int64),
            self._slots, self._ends, self._level_data, self._first_words, self._alias, self._state,
        )  # fmt: skip

    @property
    def overflowed(self) -> bool:
        """Whether there are more levels than an enum may have."""
        return int(self._state[0]) > ENUM_LEVELS_MAX

    def read(self, window: Window, field: int, at: int) -> I64:
        """Code texts; see `Column.read`."""
        self._make_room(window)
        texts.intern(
            window.text, window.base, window.bounds, window.n_rows, field, self._quote, self._strip,
            self.plan.quoted_text, len(self.plan.na), at, self._codes, self._slots, self._ends, self._level_data,
            self._first_words, self._alias, self._state,
        )  # fmt: skip
        return _NO_ROWS

    def _make_room(self, window: Window) -> None:
        n_entries = int(self._state[0])
        need = n_entries + window.n_rows + 2 * len(self.plan.na) + 2
        if need > len(self._ends):
            self._ends = _grown(self._ends, need)
            self._first_words = _grown(self._first_words, need)
        need_bytes = int(self._ends[n_entries]) + 2 * window.n_bytes + 2 * len(self._na.data) + SLACK
        if need_bytes > len(self._level_data):
            self._level_data = _grown(self._level_data, need_bytes)
        if 2 * need > len(self._slots):
            self._slots = np.zeros(1 << (2 * need).bit_length(), dtype=np.int64)
            texts.rehash(self._slots, self._ends, self._level_data, self._first_words, n_entries)

    def erase(self, rows: I64) -> None:
        """Make rows missing."""
        self._codes[rows] = texts.LEVEL_MISSING

    def seal(self, n_rows: int) -> None:
        """Keep the codes: their ranks are known when all levels are."""
        self._full.append(self._codes[:n_rows])
        self._codes = np.empty(self._n_rows, dtype=np.int64)

    def codes(self) -> I64:
        """Return the codes of all sealed rows, -1 where missing."""
        return np.concatenate(self._full) if self._full else np.empty(0, dtype=np.int64)

    @property
    def level_bytes(self) -> int:
        """Bytes of all levels together."""
        return int(self._ends[self._state[0]])

    def finish(self) -> tuple[ColumnReport, tuple[Chunk, ...]]:
        """Sort the levels that occur and encode their ranks."""
        n_entries = int(self._state[0])
        used = np.zeros(n_entries + 1, dtype=np.bool_)
        for codes in self._full:
            used[codes] = True  # -1 marks the last, which is no entry
        data, ends = self._level_data, self._ends
        entries = np.flatnonzero(used[:-1]).tolist()
        levels = sorted((data[ends[k] : ends[k + 1]].tobytes(), k) for k in entries)
        ranks = np.full(n_entries + 1, INT_MISSING, dtype=np.int64)
        ranks[[k for _, k in levels]] = np.arange(len(levels))
        chunks = tuple(encode_int(ranks[codes]) for codes in self._full)
        return ColumnReport(domain=tuple(level for level, _ in levels)), chunks


_NO_ROWS = np.empty(0, dtype=np.int64)


def _validity(valid: U8) -> npt.NDArray[np.bool_] | None:
    return None if valid.all() else valid.astype(np.bool_)


def _grown(array: Any, need: int) -> Any:
    """Return a copy with room for at least `need` elements, and twice what it had."""
    larger = np.empty(max(need, 2 * len(array)), dtype=array.dtype)
    larger[: len(array)] = array
    return larger


def to_doubles(mantissa: I64, decimals: U8) -> F64:
    """Return the doubles that mantissas and decimals stand for."""
    reals = np.empty(len(mantissa))
    number.to_reals(mantissa, decimals, reals, reals.view(np.int64))
    return reals
