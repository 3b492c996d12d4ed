"""The specification of the text kernels: a state machine over characters, in plain Python.

Slow and obvious; the compiled twins are tested against it, and the header of a file is read
with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hydroscope.ingest.dialect import Dialect, Fault, State

__all__ = ["Record", "count_records", "records", "unquoted"]


@dataclass(frozen=True, slots=True)
class Record:
    """One record: where it begins, the raw text of its fields, and what is wrong with it."""

    start: int
    fields: tuple[bytes, ...]
    fault: Fault | None = None
    end: int = 0


def records(text: bytes, d: Dialect, start: int = 0, final: bool = True) -> Iterator[Record]:
    """Yield the records of `text`; with final = False, not one that the end cuts off."""
    position = start
    while position < len(text):
        skipped = _skip(text, position, d)
        if skipped is not None:
            if skipped > len(text) and not final:
                return
            position = min(skipped, len(text))
            continue
        record = _record(text, position, d)
        if record.end > len(text) and not final:
            return
        yield record
        position = record.end


def _skip(text: bytes, position: int, d: Dialect) -> int | None:
    """Return where a comment or blank line ends (past the text: unfinished), None if it is neither."""
    stop = text.find(bytes([d.eol]), position)
    stop = len(text) if stop < 0 else stop
    if text[position] == d.comment:
        return stop + 1
    line = text[position:stop]
    if d.eol != 13 and line.endswith(b"\r"):
        line = line[:-1]
    blanks = bytes(b for b in b" \t" if b != d.sep)
    return stop + 1 if d.skip_blank and not line.strip(blanks) else None


def _record(text: bytes, start: int, d: Dialect) -> Record:
    fields: list[bytes] = []
    state, fault = State.FIELD, None
    begun = i = start
    while True:
        c = text[i] if i < len(text) else -1
        if state == State.QUOTED and c != -1:
            if c == d.quote:
                state = State.SEEN
        elif state == State.SEEN and c == d.quote and text[i - 1] == d.quote:  # not behind blanks
            state = State.QUOTED
        elif c == -1 or c == d.eol:
            if state == State.QUOTED:
                fault = Fault.OPEN
            last = text[begun:i]
            if d.eol != 13 and last.endswith(b"\r"):
                last = last[:-1]
            fields.append(last)
            return Record(start, tuple(fields), fault, i + 1)
        elif c == d.sep:
            fields.append(text[begun:i])
            begun, state = i + 1, State.FIELD
        elif state == State.FIELD and c == d.quote:
            state = State.QUOTED
        elif state == State.FIELD and d.strip and c in b" \t":
            pass
        elif state == State.SEEN:
            rest = text[i : i + 2]
            ends_with_cr = d.eol != 13 and rest[:1] == b"\r" and rest[1:] in (b"", bytes([d.eol]))
            if not ends_with_cr and not (d.strip and c in b" \t"):
                fault = fault or Fault.STRAY
                state = State.PLAIN
        else:
            state = State.PLAIN
        i += 1


def count_records(text: bytes, d: Dialect, state: int = State.RECORD) -> tuple[int, int, int]:
    """Return the line ends outside quotes, all line ends, and the state at the end."""
    n_records = n_lines = 0
    for c in text:
        n_lines += c == d.eol
        if state == State.QUOTED:
            state = State.SEEN if c == d.quote else state
        elif state == State.SEEN and c == d.quote:
            state = State.QUOTED
        elif c == d.eol:
            n_records += 1
            state = State.RECORD
        elif state == State.COMMENT:
            continue
        elif c == d.sep:
            state = State.FIELD
        elif state == State.RECORD and c == d.comment:
            state = State.COMMENT
        elif state in (State.RECORD, State.FIELD) and c == d.quote:
            state = State.QUOTED
        elif state in (State.RECORD, State.FIELD) and d.strip and c in b" \t":
            state = State.FIELD
        else:
            state = State.PLAIN
    return n_records, n_lines, int(state)


def unquoted(field: bytes, d: Dialect) -> tuple[bytes, bool]:
    """Return a field's text, and whether it stood in quotes."""
    if d.strip:
        field = field.strip(b" \t")
    quote = bytes([d.quote]) if d.quote >= 0 else None
    if quote and len(field) >= 2 and field.startswith(quote) and field.endswith(quote):
        return _single(field[1:-1], quote), True
    return field, False


def _single(text: bytes, quote: bytes) -> bytes:
    """Turn two quotes into one, from the left."""
    return text.replace(quote + quote, quote)
