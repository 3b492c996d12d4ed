"""Seeds that once found something, and what; each is run again by every test run.

A seed means what it meant only while the draws before it are the same, so each entry also says
what was wrong: the tests of the rooms concerned have it as a case of its own.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REGRESSIONS", "Regression"]


class Regression(NamedTuple):
    """One seed that failed."""

    mix: str
    seed: int
    reason: str


REGRESSIONS = (
    Regression(
        "rpc",
        6,
        "A large CALL that came while the server's table was full was dropped after its stream had delivered it; "
        "from then on the client only asked after it, and nobody had it: it was never executed.",
    ),
    Regression(
        "crash",
        346,
        "A heartbeat whose own suspicions made the authority give its sender up was answered: KeyError.",
    ),
    Regression(
        "volatile",
        8,
        "Clocks more than a minute apart: every packet was refused as a stamp from the future, and all hung. "
        "Such clocks are refused on purpose; simulated ones are at most 20 s apart now.",
    ),
    Regression(
        "crash",
        110,
        "A founder died before the first view: the others wait for it for ever, which is right; "
        "simulated founders die later now.",
    ),
    Regression(
        "crash",
        1632,
        "A member that was stopped past its lease ordered, when it woke, a write that had waited for a packet: its key "
        "had another home by then.",
    ),
)
