"""What must hold of a link at any time, asserted in production too: a wrong answer is worse than a stop.

The counts come from visits to the tables, the contents from the call tables: two accounts of
the same calls, kept in different ways.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hydroscope.ground.errors import InternalError
from hydroscope.rpc.states import ClientState, ServerState

if TYPE_CHECKING:
    from hydroscope.rpc.link import Link

__all__ = ["check"]


def check(link: Link, at_rest: bool = False) -> None:
    """Raise `InternalError` where an invariant does not hold. Cost: O(open calls)."""
    if link._lost:
        return
    counted = link.counters
    _check_client(link, counted)
    _check_server(link, counted)
    if at_rest:
        number = next(iter((*link._own, *link._theirs, *link._settled)), link.highest)
        _hold(link, number, link.is_at_rest, "I13: a call is open at rest")
        _hold(link, number, link.removed == link.highest, "I13: the watermark is not the last call at rest")
        _hold(link, number, link._kept_bytes == 0 == link._in_flight_bytes, "I13: bytes are held at rest")


def _check_client(link: Link, counted: dict[str, int]) -> None:
    queued = [number for number, task in link._own.items() if task.state == ClientState.QUEUED]
    sent = [task for task in link._own.values() if task.state in (ClientState.SENT, ClientState.NACKED)]
    number = link.last_number
    _hold(link, number, len(queued) + len(sent) == len(link._own), "a call that is done is still in the table")
    _hold(link, number, queued == [task.number for task in link._queue], "the queue is out of order")
    _hold(link, number, counted["calls"] == link.last_number, "numbers have gaps")
    used = counted["calls_answered"]
    _hold(link, number, used + len(link._own) == link.last_number, "I10: an answer was used twice or lost")
    in_window = [task for task in sent if not task.is_urgent]
    in_window_bytes = sum(task.size_bytes for task in in_window)
    _hold(link, number, link._in_flight == len(in_window), "the window miscounts calls")
    _hold(link, number, link._in_flight_bytes == in_window_bytes, "the window miscounts bytes")
    fits = link._in_flight <= link.window.calls and link._in_flight_bytes <= link.window.bytes
    _hold(link, number, fits or link._in_flight == 1, "the window is exceeded")
    for task in sent:
        _hold(link, task.number, task.due < math.inf, "a sent call is not waited for")


def _check_server(link: Link, counted: dict[str, int]) -> None:
    number = link.highest
    settled = link._settled
    _hold(link, number, link._checked_removed <= link.removed <= link.highest, "I11: the watermark went wrong")
    link._checked_removed = link.removed
    _hold(link, link.removed + 1, link.removed + 1 not in settled, "I11: the watermark stayed behind")
    n_seen = link.removed + len(settled) + len(link._theirs)
    _hold(link, number, counted["executed"] == n_seen, "I10: a call was executed twice or forgotten")
    _hold(link, number, counted["settled"] == link.removed + len(settled), "I10: a call was settled twice or forgotten")
    _hold(link, number, link.highest - link.removed <= link.window.table, "I15: the table is larger than its window")
    kept = 0
    for number, record in link._theirs.items():
        _hold(link, number, number > link.removed and number not in settled, "I11: an open call was forgotten")
        is_done = record.state == ServerState.DONE
        _hold(link, number, is_done or record.state == ServerState.RUNNING, "a settled call is still in the table")
        _hold(link, number, is_done is (record.due < math.inf), "a result is not repeated")
        kept += record.size_bytes
    _hold(link, number, kept == link._kept_bytes, "the results' bytes are miscounted")


def _hold(link: Link, number: int, holds: bool, what: str) -> None:
    if not holds:
        raise InternalError(f"{what}. {link.story(number)}")
