"""What of hydroscope's own processes is the same in another run, though their names never are.

A process is called by its role and its process id (`member-4711`); a member of a cluster, which is a lane of its
process's ring, by its number and its life (`member-3.1f2e3a`); a process that was started again, with its process id
behind its name. Of two runs those nodes correspond that have the same name; of the rest those of one role, and then
those that are members of one number, where each run has one such only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hydroscope.scope.decoders.hydroscope import MARK
from hydroscope.scope.events import MESSAGES, Events

__all__ = ["LIFE", "Roles", "node_pairs", "own_sorts", "roles"]

LIFE = re.compile(r"\b(member-\d+|joining|authority)\.[0-9a-f]{6}\b")
"""What `engine.sockets.witness.member_name` returns; its group is what does not differ from run to run."""

Roles = tuple[str, str]
"""What a process is, and which member; empty: unknown."""


def roles(events: Events) -> list[Roles]:
    """Return, for each node, its role without its process id, and its number as a member. Cost: O(n)."""
    found = []
    for k, node in enumerate(events.nodes):
        lanes = np.unique(events.lane[events.starts[k] : events.starts[k + 1]])
        lives = [LIFE.fullmatch(events.names[lane]) for lane in lanes.tolist()]
        members = {life[1] for life in lives if life and life[1].startswith("member-")}
        if named := LIFE.fullmatch(node.name):  # others have named it, and nothing of its process was read
            members = {named[1]}
        own = node.recorded_as or node.name
        role = own.removesuffix(f"-{node.pid}") if node.pid else own
        found.append((role if role != node.name else "", members.pop() if len(members) == 1 else ""))
    return found


def node_pairs(here: Events, there: Events) -> dict[str, str]:
    """Return which node here is which there, by names. Cost: O(n)."""
    names = [[node.name for node in each.nodes] for each in (here, there)]
    pairs = {name: name for name in names[0] if name in set(names[1])}
    known = [dict(zip(each, roles(events), strict=True)) for each, events in zip(names, (here, there), strict=True)]
    for level in range(2):
        taken = set(pairs.values())
        rest = [[name for name in names[0] if name not in pairs], [name for name in names[1] if name not in taken]]
        mine, theirs = (
            _only_ones({name: of[name][level] for name in side}) for side, of in zip(rest, known, strict=True)
        )
        pairs |= {name: theirs[called] for called, name in mine.items() if called in theirs}
    return pairs


def own_sorts(events: Events) -> npt.NDArray[np.uint64]:
    """Return of each message of hydroscope's own members which type it is; 0 of others. Cost: O(n)."""
    begins = events.first_bytes
    is_own = np.isin(events.kind, MESSAGES) & (begins[:, 0] == MARK[0])
    return np.where(is_own, begins[:, 1], 0).astype(np.uint64)


def _only_ones(called: Mapping[str, str]) -> dict[str, str]:
    """Return what one alone is called, and its name."""
    counts = Counter(called.values())
    return {what: name for name, what in called.items() if what and counts[what] == 1}
