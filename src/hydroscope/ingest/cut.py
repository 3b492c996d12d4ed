"""Where a file may be cut: at which byte each leaf's first record begins.

Blocks are scanned in parallel. Each scan has to guess the state it starts in (a block may
begin inside a quoted field); afterwards the blocks are chained, and the few whose guess was
wrong are scanned again. A block without quotes needs no second scan: its line ends are all
record ends, or, inside quotes, none of them is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hydroscope.ground.errors import DataError
from hydroscope.ingest import kernels
from hydroscope.ingest.dialect import U8, Dialect, State
from hydroscope.ingest.plan import Segment
from hydroscope.ingest.text import empty_text
from hydroscope.node import ports

__all__ = ["Block", "Chain", "chain_blocks", "cut", "scan_range", "scan_text"]

BLOCKS_PER_TASK = 32
SMALL_BYTES = 1 << 23
"""A file below this is scanned by the caller."""


@dataclass(frozen=True, slots=True)
class Block:
    """What a scan of one block found, beginning in state `start`."""

    quoted: bool
    n_records: int
    n_lines: int
    start: int
    end: int
    opened: int


@dataclass(frozen=True, slots=True)
class Chain:
    """The blocks of one source as they really are, and what lies before each."""

    blocks: tuple[Block, ...]
    records: tuple[int, ...]
    lines: tuple[int, ...]


def scan_text(text: U8, end: int, state: int, d: Dialect) -> Block:
    """Scan text[:end], which begins in `state`. Cost: O(bytes)."""
    out = np.empty(6, dtype=np.int64)
    kernels.scan(text, 0, end, int(state), d.sep, d.quote, d.eol, d.comment, d.strip, -1, out)
    n_records, n_lines, last, opened, _, quoted = out.tolist()
    return Block(bool(quoted), n_records, n_lines, state, last, opened)


def _guess_state(before: int, d: Dialect) -> int:
    """Guess the state behind a byte."""
    if before == d.eol:
        return State.RECORD
    if before == d.sep:
        return State.FIELD
    return State.PLAIN


def scan_range(path: str, start: int, end: int, begin: int, d: Dialect, block_bytes: int) -> list[Block]:
    """Scan the blocks of bytes start..end of a file whose first record begins at `begin`."""
    found: list[Block] = []
    buffer = empty_text(block_bytes)
    file = os.open(path, os.O_RDONLY)
    try:
        for offset in range(start, end, block_bytes):
            n = _read_at(file, buffer, min(block_bytes, end - offset), offset)
            state = _guess_state(os.pread(file, 1, offset - 1)[0], d) if offset > begin else int(State.RECORD)
            found.append(scan_text(buffer, n, state, d))
    finally:
        os.close(file)
    return found


def _read_at(file: int, buffer: U8, n_bytes: int, offset: int) -> int:
    n = 0
    view = buffer.data
    while n < n_bytes:
        more = os.preadv(file, [view[n:n_bytes]], offset + n)
        if more == 0:
            raise DataError(f"the file became shorter while it was read: nothing at byte {offset + n:,}; read it again")
        n += more
    return n


def chain_blocks(path: str, begin: int, end: int, d: Dialect, blocks: list[Block], block_bytes: int) -> Chain:
    """Put the blocks in order: scan those again that began in another state than was guessed."""
    state, records, lines = int(State.RECORD), [0], [0]
    buffer = empty_text(block_bytes)
    true: list[Block] = []
    file = os.open(path, os.O_RDONLY)
    try:
        for k, block in enumerate(blocks):
            if block.start != state:
                if not block.quoted and state == State.QUOTED:
                    block = Block(False, 0, block.n_lines, state, state, -1)
                elif not block.quoted and block.n_lines:
                    block = Block(False, block.n_records, block.n_lines, state, block.end, -1)
                else:
                    offset = begin + k * block_bytes
                    n = _read_at(file, buffer, min(block_bytes, end - offset), offset)
                    block = scan_text(buffer, n, state, d)
            true.append(block)
            state = block.end
            records.append(records[-1] + block.n_records)
            lines.append(lines[-1] + block.n_lines)
    finally:
        os.close(file)
    return Chain(tuple(true), tuple(records), tuple(lines))


def scan_source(path: str, begin: int, end: int, d: Dialect, block_bytes: int) -> Chain:
    """Scan a whole source, in parallel when it is large."""
    step = block_bytes * BLOCKS_PER_TASK
    items = [(path, a, min(a + step, end), begin, d, block_bytes) for a in range(begin, end, step)]
    if end - begin <= SMALL_BYTES:
        parts = [scan_range(*item) for item in items]
    else:
        engine = ports.current()
        parts = engine.get(engine.map(scan_range, items))
    blocks = [block for part in parts for block in part]
    return chain_blocks(path, begin, end, d, blocks, block_bytes)


def cut(
    source: int, path: str, begin: int, end: int, line: int, d: Dialect, chain: Chain, counts: list[int],
    block_bytes: int,
) -> list[Segment]:  # fmt: skip
    """Cut a source behind the given numbers of records; the last piece takes the rest.

    `line` is the line that `begin` is on. Cost: one block is scanned again for each cut.
    """
    places = [(begin, line)]
    buffer = empty_text(block_bytes)
    out = np.empty(6, dtype=np.int64)
    file = os.open(path, os.O_RDONLY)
    try:
        for count in counts:
            k = int(np.searchsorted(chain.records, count)) - 1  # the block that holds the end of that record
            offset = begin + k * block_bytes
            n = _read_at(file, buffer, min(block_bytes, end - offset), offset)
            kernels.scan(
                buffer, 0, n, int(chain.blocks[k].start), d.sep, d.quote, d.eol, d.comment, d.strip,
                count - chain.records[k], out,
            )  # fmt: skip
            places.append((offset + int(out[4]), line + chain.lines[k] + int(out[1])))
    finally:
        os.close(file)
    places.append((end, 0))
    return [Segment(source, a, b, at) for (a, at), (b, _) in pairwise(places) if b > a]
