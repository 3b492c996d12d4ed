"""The compiled cutting of text agrees with the state machine in plain Python, wherever the text is cut."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from hydroscope.ingest import kernels
from hydroscope.ingest.cut import chain_blocks, cut, scan_source, scan_text
from hydroscope.ingest.dialect import NONE, Dialect, Fault, State
from hydroscope.ingest.reference import count_records, records
from hydroscope.ingest.text import padded
from tests.ingest.texts import examples

PARTS = [b"a", b"bc", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b" ", b"\t", b"#", b"\xc3\xa9", b"x" * 61, b'"' * 7]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    return b"".join(draw(st.lists(st.sampled_from(PARTS), max_size=40)))


dialects = st.builds(
    Dialect,
    sep=st.sampled_from([44, 44, 9, 32]),
    quote=st.sampled_from([34, 34, 34, NONE]),
    eol=st.sampled_from([10, 10, 13]),
    comment=st.sampled_from([NONE, NONE, 35]),
    strip=st.booleans(),
    skip_blank=st.booleans(),
)


def tokenised(text: bytes, d: Dialect, n_fields: int, keep: bool, final: bool = True):
    """Return the kernel's rows as tuples of fields, its bad records, and where it stopped."""
    raw = padded(text)
    bounds = np.full((len(text) + 2, n_fields + 1), -99, dtype=np.int32)
    bad = np.full((len(text) + 2, 4), -99, dtype=np.int64)
    out = np.zeros(3, dtype=np.int64)
    kernels.tokenise(
        raw, 0, len(text), final, d.sep, d.quote, d.eol, d.comment, d.strip, d.skip_blank, keep, bounds, bad, out
    )
    stop, n_rows, n_bad = out.tolist()
    rows = [
        (start[0], tuple(text[start[k] + (k > 0) : max(start[k + 1], 0)] for k in range(n_fields)))
        for start in bounds[:n_rows].tolist()
    ]
    return rows, bad[:n_bad].tolist(), stop


def expected(text: bytes, d: Dialect, n_fields: int, keep: bool, final: bool = True):
    rows, bad = [], []
    for record in records(text, d, final=final):
        fault = record.fault
        if fault is None and len(record.fields) != n_fields:
            fault = Fault.RAGGED
        if fault is not None:
            bad.append((record.start, fault, len(rows), len(record.fields)))
        if fault is None or keep:
            fields = record.fields if fault in (None, Fault.RAGGED) else ()
            rows.append((record.start, (*fields, *[b""] * n_fields)[:n_fields]))
    return rows, bad


@examples(300)
@given(texts(), dialects, st.integers(1, 4), st.booleans())
@example(b'"" ""', Dialect(strip=True), 1, False)
@example(b'"" "', Dialect(strip=True), 1, False)
def test_fields_are_those_of_the_state_machine(text, d, n_fields, keep):
    rows, bad, stop = tokenised(text, d, n_fields, keep)
    wanted, wanted_bad = expected(text, d, n_fields, keep)
    assert rows == wanted
    assert [(start, fault, row) for start, _, fault, row in bad] == [each[:3] for each in wanted_bad]
    ragged = [found for _, found, fault, _ in bad if fault == Fault.RAGGED]
    assert ragged == [found for _, fault, _, found in wanted_bad if fault == Fault.RAGGED]
    assert stop == len(text)


@given(texts(), dialects, st.integers(1, 3))
def test_a_window_ends_before_the_record_that_it_cuts_off(text, d, n_fields):
    whole = tokenised(text, d, n_fields, True)[0]
    for end in range(len(text)):
        rows, _, stop = tokenised(text[:end], d, n_fields, True, final=False)
        after = [(start + stop, fields) for start, fields in tokenised(text[stop:], d, n_fields, True)[0]]
        assert rows + after == whole


@given(texts(), dialects)
def test_line_ends_are_counted_from_any_state(text, d):
    whole = count_records(text, d)
    for end in range(len(text) + 1):
        first = scan_text(padded(text[:end]), end, State.RECORD, d)
        assert (first.n_records, first.n_lines, first.end) == count_records(text[:end], d)
        rest = scan_text(padded(text[end:]), len(text) - end, first.end, d)
        assert (first.n_records + rest.n_records, first.n_lines + rest.n_lines, rest.end) == whole


@given(texts(), dialects, st.integers(1, 9))
def test_a_scan_stops_behind_the_line_end_that_was_asked_for(text, d, target):
    out = np.empty(6, dtype=np.int64)
    kernels.scan(padded(text), 0, len(text), 0, d.sep, d.quote, d.eol, d.comment, d.strip, target, out)
    stop = int(out[4])
    assert tuple(out[:3].tolist()) == count_records(text[:stop], d)
    assert out[0] == min(target, count_records(text, d)[0])
    if out[0] == target:
        assert text[stop - 1] == d.eol
        assert count_records(text[: stop - 1], d)[0] == target - 1
    else:
        assert stop == len(text)


@examples()
@given(text=texts(), d=dialects, block_bytes=st.integers(1, 9), begin=st.integers(0, 5))
def test_blocks_of_any_size_chain_to_the_same_cuts(tmp_path, text, d, block_bytes, begin):
    path = tmp_path / "text"
    path.write_bytes(text)
    begin = min(begin, len(text))
    chain = scan_source(str(path), begin, len(text), d, block_bytes)
    n_records, n_lines, end = count_records(text[begin:], d)
    assert (chain.records[-1], chain.lines[-1]) == (n_records, n_lines)
    assert not chain.blocks or chain.blocks[-1].end == end
    counts = list(range(1, n_records + 1, 2))
    pieces = cut(0, str(path), begin, len(text), 7, d, chain, counts, block_bytes)
    assert b"".join(text[piece.start : piece.end] for piece in pieces) == text[begin:]
    for piece, count in zip(pieces, counts, strict=False):
        assert count_records(text[begin : piece.end], d)[0] == count
        assert piece.line == 7 + text[begin : piece.start].count(d.eol)
    again = chain_blocks(str(path), begin, len(text), d, list(chain.blocks), block_bytes)
    assert again == chain
