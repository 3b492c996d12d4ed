r"""What must hold of what hydroscope itself records (docs/recorder.md): its calls, its keys, its tasks.

Calls and answers too large for a datagram travel in pieces, and a write of the home's own needs no call: hence `<?`,
"in this order, where both are there". The first bytes are those of `engine.sockets.witness`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoders.hydroscope import MARK
from hydroscope.scope.events import Events
from hydroscope.scope.rules import Rule, parse
from hydroscope.scope.runs import LIFE

__all__ = ["CALLS", "KEYS", "TASKS", "own_rules"]

CALLS = r"""
# A call, from the caller's first word to its last.
call(t)     = sent "\xc1\x0a"
called(t)   = received "\xc1\x0a"
run(t)      = put "\xc1P" by data[2:10]             # at the key's home, for a call
begun(t)    = put "\xc1p" by data[2:10]             # the same, of a key that is not named
removal(t)  = removed "\xc1P" by data[2:10]
answer(t)   = sent "\xc1\x0d"
answered(t) = received "\xc1\x0d"
used(t)     = sent "\xc1\x0e"
forgotten(t) = received "\xc1\x0e"

call(t) <? called(t) <? answer(t) <? answered(t) <? used(t) <? forgotten(t)
called(t) <? run(t) <? answer(t)
called(t) <? begun(t) <? answer(t)
called(t) <? removal(t) <? answer(t)
call(t) ~> used(t)

# It is executed once, and answered once (what is sent again is recorded as that).
once call(t)
once run(t)
once begun(t)
once removal(t)
once answer(t)
"""

KEYS = r"""
# What is put at a key's home makes replicas; before anything else is put, these are invalidated, and say that they are.
# What they have in common is the version of the value that they are about, which each home counts for itself.
put(v)        = put "\xc1P" by data[10:18] here
own_put(v)    = put "\xc1O" by data[10:18] here
invalidate(v) = sent "\xc1\x0a\x93\x2b\xcf" by data[5:13] big here
obeyed(v)     = sent "\xc1\x0d" of invalidate
ack(v)        = received "\xc1\x0d" of invalidate

put(v) <? invalidate(v) <? obeyed(v) <? ack(v)
own_put(v) <? invalidate(v)
"""

TASKS = """
queued(t) <? started(t) <? ended(t)
"""


@cache
def _parsed() -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    return parse(TASKS), parse(CALLS) + parse(KEYS)


def own_rules(events: Events) -> tuple[Rule, ...]:
    """Return the rules for what is there: tasks, a cluster of ours. Cost: a look at kinds and first bytes."""
    if not len(events):
        return ()
    of_tasks, of_clusters = _parsed()
    has_tasks = bool(((events.kind >= Kind.QUEUED) & (events.kind <= Kind.ENDED)).any())
    return (of_tasks if has_tasks else ()) + (of_clusters if _has_calls(events) else ())


def _has_calls(events: Events) -> bool:
    """Tell whether a member has said or heard something: bytes of other programs may begin as its do."""
    is_marked = events.first_bytes[:, 0] == MARK[0]
    lanes = np.unique(events.lane[is_marked & (events.kind <= Kind.RECEIVED)])
    return any(LIFE.fullmatch(events.names[lane]) for lane in lanes)
