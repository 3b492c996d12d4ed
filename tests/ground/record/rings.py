"""Rings for the tests: small ones, records that prove themselves, programs that are run and killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np

from hydroscope.ground.record.layout import HEADER_BYTES, PART_BYTES, RECORD_BYTES, Kind
from hydroscope.ground.record.recorder import EVENTS_PER_S

__all__ = ["OWN", "PER_PART", "SECONDS", "events", "proved", "proves", "slots_of", "start"]

PER_PART = PART_BYTES // RECORD_BYTES
SECONDS = PER_PART / EVENTS_PER_S
"""Of a ring that has one part."""

OWN = (Kind.CLOCK, Kind.SAMPLE)
"""What the recorder notes by itself."""


def events(ring):
    """Return the records that the program made, without the recorder's own."""
    return ring.records[~np.isin(ring.records["kind"], OWN)]


def proved(number: int) -> bytes:
    """Return 27 bytes that go with this number, and with no other."""
    body = number.to_bytes(8, "little") + bytes([number % 251]) * 15
    return body + zlib.crc32(body).to_bytes(4, "little")


def proves(record) -> bool:
    """Tell whether a record is as it was written, with its number as its id."""
    return record["data"].tobytes() == proved(int(record["id"])) and record["n_bytes"] == 27


def slots_of(path: Path) -> list[bytes]:
    """Return the bytes of each slot."""
    raw = path.read_bytes()
    return [raw[at : at + RECORD_BYTES] for at in range(HEADER_BYTES, len(raw), RECORD_BYTES)]


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program, which can import these."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
