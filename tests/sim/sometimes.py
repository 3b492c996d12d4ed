"""Rare things that a run must have met, or it has proved less than it says."""

from __future__ import annotations

from collections import Counter

__all__ = ["SOMETIMES", "unmet"]

SOMETIMES = {
    "a doubled CALL arrived while its first was running (NACK)": "rpc duplicates_while_running",
    "a doubled CALL arrived after its number was rolled into the watermark": "rpc duplicates_of_settled",
    "an ACK arrived for a forgotten call (ACKACK sent all the same)": "rpc answers_to_forgotten",
    "an ACKACK was lost, and sent again": "rpc acks_resent",
    "a NACKed call was asked after": "rpc calls_asked_after",
    "a get was answered unregistered while its key was closing": "kv a get was answered while closing",
    "a joiner asked again": "kv a joiner asked again",
    "an answer was used and not kept": "kv an answer was used and not kept",
    "an invalidation arrived for a version that was not held any more": "kv an invalidation of what is not here",
    "an invalidation arrived before the put's own ACK": "kv an invalidation came before the answer to an own write",
    "a write waited for pending gets": "kv a write waited for gets",
    "a write waited for the write before": "kv a write waited for the one before",
    "an atomic waited for a write of its own member": "kv an atomic waited for an own write",
    "a write waited for its thread's plain puts": "kv a write waited for its thread's plain puts",
    "a plain put replaced one that was not sent": "kv a plain put replaced one that was not sent",
    "a tombstone was read": "kv a key was read that own threads have removed",
    "plain keys were seen out of sequential consistency (allowed)": "not sequentially consistent",
    "a packet was overtaken": "overtaken",
    "a packet was cut off by a partition": "cut off",
    "a damaged packet was refused": "refused as damaged",
    "a stream stalled without a word": "streams stalled",
    "a packet reached another life than it was meant for": "member meant for another life",
    "a packet came from a life that does not belong": "member from a life that does not belong",
    "an operation ended as lost with a member": "operations lost with a member",
    "a new life began in the place of a dead one": "restarts",
}
"""What must have happened -> the counter that tells."""


def unmet(counters: Counter[str]) -> list[str]:
    """Return what did not happen."""
    return [what for what, counter in SOMETIMES.items() if not counters[counter]]
