"""Bugs of protocol code found so far, and how: the number found in other ways is the honest one."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BUGS", "Bug"]


class Bug(NamedTuple):
    """One bug."""

    room: str
    what: str
    found_by: str


BUGS = (
    Bug(
        "rpc",
        "A large CALL that met a full table was dropped after its stream had delivered it, and never executed",
        "simulation, and the Spin model at the same time",
    ),
    Bug("node", "A heartbeat that made the authority give its own sender up was answered: KeyError", "simulation"),
    Bug("kv", "With no other member left, home's fast path gave a function the mark of a lost value", "simulation"),
    Bug(
        "node",
        "A member that had been stopped past its lease ended a write that was under way, after its key had a new home",
        "simulation",
    ),
    Bug(
        "rpc",
        "Full windows could close a circle of members, each waiting for an invalidation behind its own writes",
        "reading (then found by simulation too, once it drew narrow windows)",
    ),
    Bug("rpc", "Doubled waits had no bound on their mean: 5 s a call where 60 % is lost each way", "real network"),
    Bug("rpc", "A receiver of large messages that bounded numbers by those begun starved behind a long one", "reading"),
    Bug("rpc", "A stream that was opening when its work ended had no timer left: the next message hung", "reading"),
    Bug("node", "A recorded heartbeat of a dead member, sent again, kept it alive at the authority", "reading"),
    Bug(
        "kv",
        "A peer's put was switched at home and not shown there while an atomic of home's own waited in line",
        "random schedules of one store's tables",
    ),
    Bug("kv", "A backup adopted after a death hid an own plain put that was not ordered yet", "reading"),
    Bug("kv", "watch and unwatch in quick succession could be executed the other way round", "reading"),
    Bug("kv", "An atomic's result that cannot be encoded stopped the home's member", "reading"),
    Bug("wire", "A NumPy number of shape (0,) raised IndexError instead of being refused", "unit test"),
    Bug("kv", "A durable write whose second copy was refused was acknowledged as durable", "reading"),
    Bug("kv", "A scan left out the keys of a home that had refused it", "reading"),
    Bug(
        "node",
        "A member that rightly suspected a dead one could be given up instead of it, and durable keys were lost",
        "real processes (kill -9 of a home)",
    ),
    Bug("node", "The opening of a view was not told when the news of it came late", "real network"),
    Bug("node", "Work recorded and sent again could hide that a way between two members was broken", "reading"),
    Bug("node", "A member given up while it was heard could read by its lease what the others overwrote", "reading"),
    Bug("node", "A founder dead before the first view was counted: its keys were lost before they were put", "reading"),
    Bug("engine", "A member that had been given up was not told so", "real network"),
    Bug("engine", "Closing took the sockets away from a caller that read them", "unit test"),
)
