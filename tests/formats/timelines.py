"""Timelines to write: of simulated nodes whose clocks are off, and a small one with a record of every kind."""

from __future__ import annotations

import numpy as np

from hydroscope.ground.record.layout import SAMPLE, Kind
from hydroscope.scope.events import COLUMNS, Events, Node
from hydroscope.scope.timeline import Timeline
from tests.scope.histories import Plan, simulate

__all__ = ["every_kind", "simulated"]


def simulated(seed=1, **plan):
    """Return the timeline of a simulation: messages lost and doubled, tasks that overlap, oldest records gone."""
    plan = {"n_nodes": 5, "n_records": 1200, "loss": 0.05, "duplicated": 0.05, "truncated": 0.2} | plan
    return Timeline(simulate(Plan(**plan), seed).events)


ROWS = (
    # node, kind, at in us, id, peer, subject, bytes, data
    (0, Kind.STARTED, 0, 7, -1, "load", 0, b""),
    (0, Kind.SENT, 5, 100, 1, "", 9, b'ask "a"\nb'),
    (0, Kind.STARTED, 10, 8, -1, "inner", 0, b""),
    (0, Kind.ENDED, 20, 8, -1, "inner", 0, b""),
    (0, Kind.STARTED, 22, 9, -1, "overlapping", 0, b""),
    (0, Kind.FAILED, 30, 7, -1, "ValueError", 8, b"no such \xff"),
    (0, Kind.ENDED, 40, 7, -1, "load", 0, b""),
    (0, Kind.ENDED, 50, 9, -1, "overlapping", 0, b""),
    (0, Kind.NOTE, 60, 0, -1, 'said "so", and </script> \u2028 \U0001f600', 0, b""),
    (0, Kind.SAMPLE, 70, 0, -1, "", SAMPLE.size, SAMPLE.pack(1_000_000, 5_000_000, 17)),
    (0, Kind.SAMPLE, 1_000_070, 0, -1, "", SAMPLE.size, SAMPLE.pack(1_500_000, 2**40, 0)),
    (0, Kind.RESENT, 1_000_080, 100, 1, "", 9, b'ask "a"\nb'),
    (0, Kind.SENT, 1_000_090, 101, 1, "", 3, b"bye"),
    (1, Kind.RECEIVED, 1_000_200, 100, 0, "", 9, b'ask "a"\nb'),
    (1, Kind.RECEIVED, 1_000_201, 100, 0, "", 9, b'ask "a"\nb'),
    (1, Kind.STARTED, 1_000_210, 100, -1, "answer", 0, b""),
    (1, Kind.PUT, 1_000_220, 0, -1, "key 1", 3, b"new"),
    (1, Kind.SENT, 1_000_230, 200, 0, "", 2, b"ok"),
    (1, Kind.DROPPED, 1_000_240, 101, 0, "", 3, b"bye"),
    (0, Kind.RECEIVED, 1_000_400, 200, 1, "", 2, b"ok"),
)


def every_kind():
    """Return the timeline of `ROWS`: of two nodes on one machine, and a third that is only heard of."""
    names = ["", "main lane", *dict.fromkeys(row[5] for row in ROWS if row[5])]
    node, kind, us, ids, peer, subject, n_bytes, data = zip(*ROWS, strict=True)
    columns = {
        "node": node,
        "lane": np.ones(len(ROWS)),
        "kind": kind,
        "stamp": 1_800_000_000_000_000_000 + np.array(us) * 1000 + np.arange(len(ROWS)),
        "at_ns": 10**9 + np.array(us) * 1000,
        "id": ids,
        "peer": peer,
        "subject": [names.index(each) for each in subject],
        "n_bytes": n_bytes,
        "data": np.array(data, "S27").view("V27"),
    }
    assert columns.keys() == COLUMNS.keys()
    opened = (1_800_000_000_000_000_000, 10**9, b"one machine")
    nodes = [Node("a node", 11, *opened), Node("b", 12, *opened), Node("gone", read="nothing")]
    return Timeline(Events.sorted(nodes, names, columns))
