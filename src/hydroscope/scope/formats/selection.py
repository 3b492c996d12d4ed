"""Which records of a timeline are written: the step that all formats have in front of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.scope.findings import ANOMALIES, Finding
from hydroscope.scope.timeline import Timeline

__all__ = ["selected"]

Ints = npt.NDArray[np.int64]


def selected(
    timeline: Timeline,
    limit: int | None = None,
    around: int | Finding | None = None,
    nodes: Sequence[str] | None = None,
) -> Ints:
    """Return the records that are to be written, ascending.

    Parameters
    ----------
    timeline : Timeline
    limit : int, optional
        At most so many.
    around : int or Finding, optional
        Of more than `limit`, those nearest to this record, or to the first one of this finding, in the one order. By
        default those nearest to what went wrong first, or if nothing did, the newest.
    nodes : sequence of str, optional
        Of these nodes only.

    Raises
    ------
    UserError
        No such node, no such record, a finding that no record shows, a limit below 1, or `around` without a limit.

    Notes
    -----
    Cost: O(n), and with a limit a sort.
    """
    events = timeline.events
    rows = np.arange(len(events))
    if nodes is not None:
        known = {node.name: k for k, node in enumerate(events.nodes)}
        wanted = [nodes] if isinstance(nodes, str) else nodes
        for name in wanted:
            if name not in known:
                raise unknown_name("node", name, known, "the timeline")
        rows = rows[np.isin(events.node, [known[name] for name in wanted])]
    if limit is None:
        if around is not None:
            raise UserError("around says which records are kept of more than limit: give limit as well, such as 1000")
        return rows
    if not isinstance(limit, int | np.integer) or limit < 1:
        raise UserError(f"limit is the most records that are written, a whole number of at least 1; it is {limit!r}")
    if rows.size <= limit and around is None:
        return rows
    away = np.abs(timeline.order.rank[rows] - _middle(timeline, around))
    return np.sort(rows[np.argsort(away, kind="stable")[:limit]])


def _middle(timeline: Timeline, around: int | Finding | None) -> int:
    """Return the place in the one order of what is to be in the middle."""
    rank = timeline.order.rank
    if isinstance(around, Finding):
        if not around.records:
            raise UserError(f"no record shows the finding {around.text!r}; give another one, or the number of a record")
        around = around.records[0]
    if around is None:
        first = [each.records[0] for each in timeline.findings if each.kind in ANOMALIES and each.records]
        return min((int(rank[each]) for each in first), default=rank.size)
    if not isinstance(around, int | np.integer) or not 0 <= around < rank.size:
        raise UserError(f"around is a finding, or the number of a record from 0 to {rank.size - 1}; it is {around!r}")
    return int(rank[around])
