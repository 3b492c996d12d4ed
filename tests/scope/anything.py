"""Events that make no sense, of every kind, with any bytes: for what must hold whatever was recorded."""

from __future__ import annotations

import numpy as np

from hydroscope.ground.record.layout import DATA_BYTES, Kind
from hydroscope.scope.events import MESSAGES, Events, Node

__all__ = ["BEGINNINGS", "any_events"]

BEGINNINGS = (
    b"PREPARE 9",
    b"promise-17",
    b"x",
    b"--",
    b"GET /items/17?all=1 HTTP/1.1\r\n",
    b"HTTP/1.1 503 no",
    b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"+PONG\r\n",
    b'{"term": 3, "type": "vote"}',
    b"\0\0\0\x1b" + b'{"term": 3, "from": "a"}',
    b'["join", 3]',
    "grün".encode(),
    b"\xff\0\x01",
    b"A\0\0",
    b"A\0",
    b"",
)
"""Of messages, as programs send them."""


def any_events(seed: int, n: int = 300, n_nodes: int = 4) -> Events:
    """Return n records drawn by lot."""
    rng = np.random.default_rng(seed)
    names = ["", *(f"name-{k}" for k in range(5)), "grün", "a\nb"]
    kind = rng.integers(1, max(Kind) + 1, n)
    is_message = np.isin(kind, MESSAGES)
    data, lengths = np.zeros((n, DATA_BYTES), np.uint8), np.zeros(n, np.int64)
    for k in range(n):
        said = BEGINNINGS[rng.integers(len(BEGINNINGS))] if rng.random() < 0.9 else rng.bytes(rng.integers(40))
        data[k, : len(said)] = np.frombuffer(said[:DATA_BYTES], np.uint8)
        lengths[k] = len(said)
    columns = {
        "node": rng.integers(0, n_nodes, n),
        "lane": rng.integers(0, len(names), n),
        "kind": kind,
        "stamp": rng.permutation(n) + 2**60,
        "at_ns": np.arange(n) * 1000,
        "id": rng.integers(0, 2**64, n, np.uint64) if seed % 2 else rng.integers(0, 20, n),
        "peer": np.where(is_message, rng.integers(-1, n_nodes, n), -1),
        "subject": np.where(is_message, 0, rng.integers(0, len(names), n)),
        "n_bytes": lengths,
        "data": data.view(f"V{DATA_BYTES}")[:, 0],
    }
    nodes = [Node(f"n{k}", 100 + k, 10**18, 0, bytes([k]) * 16) for k in range(n_nodes)]
    return Events.sorted(nodes, names, columns)
