"""Timelines as captures, for Wireshark and all else that reads pcapng.

Each node is an interface, each record a packet of link type USER0: 16 bytes of what was done, then the first
bytes of the message. Its label, its text and the findings that it shows are comments. The script `hydroscope.lua`
tells Wireshark what the 16 bytes are.

The format: draft-ietf-opsawg-pcapng. All numbers are in the order of bytes that is named in the first block, the
16 bytes of ours in that of networks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hydroscope.frame.files import new_file
from hydroscope.ground.record.layout import DATA_BYTES
from hydroscope.scope.findings import Finding
from hydroscope.scope.formats.rows import Cells, Form, Texts, fixed, joined
from hydroscope.scope.formats.shown import coded, texts, told
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.scope.timeline import Timeline

__all__ = ["HEADER", "USER0", "write_dissector", "write_pcapng"]

Ints = npt.NDArray[np.int64]

USER0 = 147
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
COMMENT, FLAGS = 1, 2
IF_NAME, IF_DESCRIPTION, IF_RESOLUTION = 2, 3, 9
APPLICATION = 4
IN, OUT = 1, 2

HEADER = struct.Struct(">HHQI")
"""Kind of the record; the other end as the number of an interface, or `NOBODY`; id; bytes of the message."""
NOBODY = 0xFFFF
MOST_COMMENT = 2**14


def write_pcapng(timeline: Timeline, path: str | os.PathLike[str], rows: Ints) -> None:
    """Write a timeline as a capture.

    Parameters
    ----------
    timeline : Timeline
    path : path
    rows : (n,)
        Which of its records, ascending.

    Notes
    -----
    Cost: 2 to 4 us a record, and a call of a decoder for each distinct text; some 150 bytes a record.
    """
    with open(path, "wb") as file:
        file.write(_head(timeline))
        for piece in joined(list(_forms(timeline, rows))):
            file.write(piece)


def write_dissector(path: str | os.PathLike[str]) -> None:
    """Write the script that tells Wireshark how to show the packets: ``wireshark -X lua_script:FILE.lua``.

    Parameters
    ----------
    path : path
        Of the script, by custom with the suffix `.lua`; it is the same for all timelines.

    Raises
    ------
    UserError
        The file is there already, or cannot be written.

    Notes
    -----
    Cost: a file of 2 KB.
    """
    with new_file(Path(path), overwrite=False) as file:
        file.write(files(__package__).joinpath("hydroscope.lua").read_bytes())


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _head(timeline: Timeline) -> bytes:
    """Return the section's header and the interfaces."""
    about = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(APPLICATION, b"hydroscope") + bytes(4)
    found = [_block(SECTION, about)]
    for node, clock in zip(timeline.events.nodes, timeline.order.clocks, strict=True):
        said = f"clock ahead by {clock.offset_ns:.0f} ns, plus or minus {clock.error_ns:.0f}: taken off all times"
        options = (
            *(_option(IF_NAME, node.name.encode(errors="replace")), _option(IF_DESCRIPTION, said.encode())),
            *(_option(IF_RESOLUTION, b"\x09"), bytes(4)),
        )
        found.append(_block(INTERFACE, struct.pack("<HHI", USER0, 0, 0) + b"".join(options)))
    return b"".join(found)


def _forms(timeline: Timeline, rows: Ints) -> Iterator[Form]:
    """Yield the packets: a form for each number of first bytes."""
    comments = _comments(timeline, rows)
    n_data = np.minimum(timeline.events.n_bytes[rows], DATA_BYTES)
    for n in np.unique(n_data).tolist():
        yield _packets(timeline, rows, np.flatnonzero(n_data == n), n, comments)


def _comments(timeline: Timeline, rows: Ints) -> Texts:
    """Return the comments of each row, as options."""
    names, says = coded(timeline, rows), texts(timeline, rows)
    by_row: dict[int, list[Finding]] = {}
    for each in told(timeline, rows):
        if each.records:
            by_row.setdefault(each.records[0], []).append(each)
    both, code = np.unique(names.code << 32 | says.code, return_inverse=True)
    table = []
    for pair in both.tolist():
        name, say = names.table[pair >> 32], says.table[pair & 0xFFFFFFFF]
        table.append(_comment(f"{name}: {say}" if say and say not in name else name))
    code = code.astype(np.int64)
    for row, found in by_row.items():
        at = int(np.searchsorted(rows, row))
        table.append(table[code[at]] + b"".join(_comment(f"{each.kind}: {each.text}") for each in found))
        code[at] = len(table) - 1
    return Texts(code, table)


def _comment(text: str) -> bytes:
    return _option(COMMENT, text.encode(errors="replace")[:MOST_COMMENT].decode(errors="ignore").encode())


def _packets(timeline: Timeline, rows: Ints, at: Ints, n_data: int, comments: Texts) -> Form:
    events, order = timeline.events, timeline.order
    row = rows[at]
    captured = HEADER.size + n_data
    own = comments.some(at)
    kind, n_bytes = events.kind[row], events.n_bytes[row].astype(np.int64)
    lengths = own.lengths[own.code] + (28 + captured + -captured % 4 + 8 + 4 + 4)
    direction = np.where(np.isin(kind, SENDS), OUT, np.where(np.isin(kind, RECEIPTS), IN, 0))
    peer = np.where(events.peer[row] < 0, NOBODY, events.peer[row])
    data = np.ascontiguousarray(events.data[row]).view(np.uint8).reshape(row.size, DATA_BYTES)[:, :n_data]
    time = order.time_ns[row].astype(np.uint64)
    return Form(
        order.rank[row],
        (
            *(struct.pack("<I", PACKET), fixed(lengths, "<u4"), fixed(events.node[row], "<u4")),
            *(fixed(time >> np.uint64(32), "<u4"), fixed(time & np.uint64(0xFFFFFFFF), "<u4")),
            *(struct.pack("<I", captured), fixed(np.minimum(n_bytes + HEADER.size, 2**32 - 1), "<u4")),
            *(fixed(kind, ">u2"), fixed(peer, ">u2"), fixed(events.id[row], ">u8"), fixed(n_bytes, ">u4")),
            *(Cells(n_data, lambda some: data[some]), bytes(-captured % 4), own),
            *(struct.pack("<HH", FLAGS, 4), fixed(direction, "<u4"), bytes(4), fixed(lengths, "<u4")),
        ),
    )
