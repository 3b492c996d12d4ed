"""Recorders for the tests, and what they have recorded."""

from __future__ import annotations

from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.scope.timeline import Timeline

__all__ = ["Broken", "both", "ids", "messages", "recorder", "sent_and_received", "timeline", "unmatched"]

OWN = (Kind.CLOCK, Kind.SAMPLE)


def recorder(folder, name: str = "node-1") -> Recorder:
    return Recorder(name, seconds=0.2, folder=folder)


def messages(rec, kind: Kind | None = None) -> list[tuple[str, str, int, bytes, int]]:
    """Return kind, peer, id, first bytes and length of each message, in order."""
    ring = read_ring(rec.path)
    return [
        (
            Kind(int(record["kind"])).name,
            ring.names[record["peer"]],
            int(record["id"]),
            record["data"].tobytes()[: int(record["n_bytes"])].rstrip(b"\0"),
            int(record["n_bytes"]),
        )
        for record in ring.records
        if record["kind"] not in (*OWN, Kind.NOTE) and kind in (None, record["kind"])
    ]


def ids(rec, kind: Kind) -> list[tuple[int, bytes, int]]:
    """Return id, first bytes and length of the messages of one kind."""
    return [each[2:] for each in messages(rec, kind)]


def sent_and_received(here, there) -> None:
    """Check that all that one sent was received by the other, in order, under the same ids."""
    assert ids(here, Kind.SENT) == ids(there, Kind.RECEIVED)


def both(here, there) -> None:
    """Check it in both directions, and that there was something."""
    sent_and_received(here, there)
    sent_and_received(there, here)
    assert ids(here, Kind.SENT)
    assert ids(there, Kind.SENT)


def timeline(*recs) -> Timeline:
    return Timeline.of([read_ring(rec.path) for rec in recs])


def unmatched(found: Timeline) -> int:
    """Return how many messages have no other end."""
    kinds = found.events.kind
    is_message = (kinds == Kind.SENT) | (kinds == Kind.RECEIVED)
    assert is_message.any()
    return int((found.order.partner[is_message] < 0).sum())


class Broken:
    """Fails as a recorder, whatever it is asked to do."""

    def __call__(self, *_: object) -> int:
        raise RuntimeError("the recorder is broken")
