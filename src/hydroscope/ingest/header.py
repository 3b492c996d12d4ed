"""The first record of each file: names, where the data begin, and that all files agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from hydroscope.ground.errors import DataError
from hydroscope.ingest.dialect import Dialect
from hydroscope.ingest.guess import SourceSample, looks_like_header
from hydroscope.ingest.reference import Record, records, unquoted

__all__ = ["Headers", "read_headers"]

LOOK_RECORDS = 20
"""Records that are compared with the first, to tell whether that holds names."""

LOOK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Headers:
    """What the beginnings of all files say.

    Attributes
    ----------
    names : tuple of str
    n_fields : int
    orders : tuple of tuple of int
        For each file: the field of each name.
    begins, lines : tuple of int
        For each file: byte and line where the data begin.
    notes : list of str
    """

    names: tuple[str, ...]
    n_fields: int
    orders: tuple[tuple[int, ...], ...]
    begins: tuple[int, ...]
    lines: tuple[int, ...]
    notes: list[str]


def read_headers(samples: list[SourceSample], d: Dialect, header: bool | None, na: tuple[str, ...]) -> Headers:
    """Read the names from the first file, and check that the others have the same."""
    notes: list[str] = []
    first = samples[0]
    found = _first_records(first, d, LOOK_RECORDS)
    if not found:
        raise DataError(f"{first.source.name} holds only blank or comment lines: there is no record to read")
    top = _texts(found[0], d, first)
    below = [_texts(record, d, first) for record in found[1:]]
    usual = Counter(len(row) for row in below).most_common(1)[0][0] if below else len(top)
    if header is None:
        header = looks_like_header(top, below, na)
    if header:
        names = _names(top, notes)
        if usual == len(top) + 1:
            names = ["row", *names]
            notes.append("the header has one name less than the lines have fields: the first column is called 'row'")
    else:
        names = [f"C{k + 1}" for k in range(max(usual, 1))]
    orders, begins, lines = [], [], []
    for sample in samples:
        records_here = found if sample is first else _first_records(sample, d, 1)
        bom = 3 if sample.head.startswith(b"\xef\xbb\xbf") else 0
        order = list(range(len(names)))
        begin, line = bom, 1
        if header and records_here:
            begin = records_here[0].end
            line = 1 + sample.head[:begin].count(bytes([d.eol]))
            if sample is not first:
                order = _order(names, _names(_texts(records_here[0], d, sample), []), first, sample)
        orders.append(tuple(order))
        begins.append(min(begin, len(sample.head)))
        lines.append(line)
    return Headers(tuple(names), len(names), tuple(orders), tuple(begins), tuple(lines), notes)


def _first_records(sample: SourceSample, d: Dialect, n: int) -> list[Record]:
    """Return the first `n` records of a file, the mark of UTF-8 left out."""
    start = 3 if sample.head.startswith(b"\xef\xbb\xbf") else 0
    part, whole = sample.head, sample.complete
    if len(part) > LOOK_BYTES:
        part, whole = part[:LOOK_BYTES], False
    found = list(islice(records(part, d, start, whole), n))
    if not found and not whole:
        found = list(islice(records(sample.head, d, start, sample.complete), 1))
    if not found and not sample.complete:
        raise DataError(
            f"{sample.source.name}: the first record has more than {len(sample.head):,} bytes; "
            "is a quote not closed, or the line end an unusual one? (quote=None, sep=...)"
        )
    return found


def _texts(record: Record, d: Dialect, sample: SourceSample) -> list[str]:
    fields = []
    for field in record.fields:
        try:
            fields.append(unquoted(field, d)[0].decode("utf-8"))
        except UnicodeDecodeError:
            fields.append(unquoted(field, d)[0].decode("utf-8", "backslashreplace"))
    return fields


def _names(top: list[str], notes: list[str]) -> list[str]:
    """Make the fields of a header usable as names: none empty, none twice."""
    names: list[str] = []
    for k, field in enumerate(top):
        name = field.strip() or f"C{k + 1}"
        n, unique = 1, name
        while unique in names:
            n += 1
            unique = f"{name}_{n}"
        if unique != name:
            notes.append(f"the header has {name!r} more than once: the later one is called {unique!r}")
        names.append(unique)
    return names


def _order(names: list[str], here: list[str], first: SourceSample, sample: SourceSample) -> list[int]:
    """Return the field of each name in another file; refuse other columns, by name."""
    missing = [name for name in names if name not in here]
    further = [name for name in here if name not in names]
    if missing or further:
        parts = []
        if missing:
            parts.append("lacks " + ", ".join(map(repr, missing[:5])) + (" ..." if len(missing) > 5 else ""))
        if further:
            parts.append("has " + ", ".join(map(repr, further[:5])) + (" ..." if len(further) > 5 else "") + " instead"
                         if missing else "has also " + ", ".join(map(repr, further[:5])))  # fmt: skip
        raise DataError(
            f"{sample.source.name} does not have the columns of {first.source.name}: it {' and '.join(parts)}; "
            "read the files one by one, or give columns= and header="
        )
    return [here.index(name) for name in names]
