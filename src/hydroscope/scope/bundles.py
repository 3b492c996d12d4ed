"""Bundles taken apart: of one record of several messages of a member, one each, as if they had been recorded so.

The layout of a bundle is that of `engine.sockets.witness`; who sent it to whom is in the names of its lane and peer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import DATA_BYTES, Kind, hash64
from hydroscope.ground.record.reader import Ring

__all__ = ["unbundled"]

BUNDLE = b"\xc1B"
RUN = struct.Struct("<BBBBI")
TYPES = range(10, 15)
"""Of messages that can be in a bundle."""
ANSWERS = (12, 13)
"""Those that who was called sends."""
WITH_BODY = (10, 13)
SENDS = (Kind.SENT, Kind.RESENT)

Run = tuple[int, int, int, int, int]
"""Type, the first two bytes of the bodies, how many messages, the number of the first."""


def unbundled(ring: Ring) -> Ring:
    """Return a ring with a record for each message. Cost: a look at the first bytes; a copy, if there are bundles."""
    records = ring.records
    firsts = np.ascontiguousarray(records["data"]).view(np.uint8).reshape(records.size, DATA_BYTES)
    may_be = (firsts[:, 0] == BUNDLE[0]) & (firsts[:, 1] == BUNDLE[1]) & (records["kind"] <= Kind.RESENT)
    bases: dict[tuple[int, int], int] = {}
    counts = np.ones(records.size, np.int64)
    is_bundle = np.zeros(records.size, np.bool_)
    parts = []
    for row in np.flatnonzero(may_be):
        runs = _runs(records[row])
        if runs is not None:
            messages = list(_messages(ring, records[row], runs, bases))
            is_bundle[row], counts[row] = True, len(messages)
            parts += messages
    if not parts:
        return ring
    found = np.repeat(records, counts)
    places = np.flatnonzero(np.repeat(is_bundle, counts))
    ids, data = zip(*parts, strict=True)
    found["id"][places] = np.array(ids, np.uint64)
    found["data"][places] = np.array(data, f"S{DATA_BYTES}").view(f"V{DATA_BYTES}")
    found["n_bytes"][places] = np.array([len(each) for each in data])
    return replace(ring, records=found)


def _runs(record: npt.NDArray[Any]) -> list[Run] | None:
    """Return the runs of a bundle; None for what is none, though it begins like one: any program's bytes may."""
    n_bytes = int(record["n_bytes"]) - len(BUNDLE)
    if not 0 < n_bytes <= DATA_BYTES - len(BUNDLE) or n_bytes % RUN.size:
        return None
    runs: list[Run] = list(RUN.iter_unpack(record["data"].tobytes()[len(BUNDLE) : len(BUNDLE) + n_bytes]))
    return runs if all(tag in TYPES and n for tag, _, _, n, _ in runs) else None


def _messages(
    ring: Ring, record: npt.NDArray[Any], runs: list[Run], bases: dict[tuple[int, int], int]
) -> Iterator[tuple[int, bytes]]:
    """Yield id and first bytes of each message of a bundle."""
    ends = int(record["lane"]), int(record["peer"])
    sender, receiver = ends if record["kind"] in SENDS else ends[::-1]
    for tag, one, two, n, first in runs:
        caller, callee = (receiver, sender) if tag in ANSWERS else (sender, receiver)
        base = bases.get((caller, callee))
        if base is None:
            base = bases[caller, callee] = hash64(f"{_name(ring, caller)} > {_name(ring, callee)}".encode())
        said = bytes((BUNDLE[0], tag, one, two) if tag in WITH_BODY else (BUNDLE[0], tag))
        for number in range(first, first + n):
            yield base ^ number, said


def _name(ring: Ring, place: int) -> str:
    return ring.names[place] if place < len(ring.names) else ""
