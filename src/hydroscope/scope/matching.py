"""Which receipt is of which message: by id, sender, receiver and first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import DATA_BYTES, Kind
from hydroscope.ground.rng import GOLDEN, MIX_1, MIX_2
from hydroscope.scope.events import Events

__all__ = ["Matching", "fingerprints", "match", "mixed", "partners"]

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SENDS = (Kind.SENT, Kind.RESENT)
RECEIPTS = (Kind.RECEIVED, Kind.DROPPED)
"""A message that was dropped on arrival has arrived."""

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Matching:
    """Records of messages in groups: what was sent under one id, in all copies, and what arrived of it."""

    rows: Ints
    """Records of messages, group after group, in a group by record."""
    group: Ints
    """Of each of `rows`, ascending."""
    is_send: Flags
    """Of each of `rows`."""
    earliest: Ints
    """Of each record: of a receipt the first copy that was sent, which came before it for certain; or -1."""
    headless: Flags
    """Of each group: the first copy that is left was itself sent again, and receipts may be of one before."""
    alike: Flags
    """Of each group: nothing was sent again, so that copies are messages of their own that look alike."""
    whole: Flags
    """Of each group: all that was sent is there, as far as can be told."""
    n_sends: Ints
    n_receipts: Ints
    """Of each group."""

    def causes(self, time_ns: Ints, error_ns: Reals) -> Ints:
        """Return of each receipt the copy it is of, as the corrected times tell; -1 without one.

        Only time tells apart the copies of one thing, or messages that look alike. Each is taken to have a receipt
        of its own, in turn, as far as there are any: so as few are lost, or came twice, as can be. That one copy was
        lost and another came twice is believed of what was sent again if it would else have been on its way for
        longer than any message that was sent once, and if some of these came twice: then a receipt belongs to
        the last copy that can have been sent before it. What the clocks leave open is given to the later copy, up to
        the middle between the two. Where they say nothing, the k-th receipt is of the k-th copy, which it cannot
        have come before; or of the first, if messages come twice.

        Notes
        -----
        Cost: O(n), and a sort of what was sent several times.
        """
        found = self.earliest.copy()
        if not self.rows.size:
            return found
        open_ = ((self.n_sends > 1) | self.headless)[self.group]
        copies = self.rows[open_], self.group[open_], self.is_send[open_]
        doubles = bool((self.whole & (self.n_sends == 1) & (self.n_receipts > 1)).any())
        if not doubles:
            rows, group, is_send = copies
            sends, receipts = _one_by_one(group, is_send)
            sure = self.whole[group[receipts]]
            found[rows[receipts[sure]]] = rows[sends[sure]]
        rows, group, is_send = _by_time(*copies, time_ns, error_ns)
        last = np.maximum.accumulate(np.where(is_send, np.arange(rows.size), -1))
        sends, receipts = _in_turn(group, is_send)
        if doubles:
            likely = _least_ns(rows[sends], rows[receipts], time_ns, error_ns) <= self._longest_ns(time_ns, error_ns)
            likely |= self.alike[group[receipts]]
            sends, receipts = sends[likely], receipts[likely]
        last[receipts] = sends
        has = (last >= 0) & ~is_send
        has[has] = group[last[has]] == group[has]
        received, sent = rows[has], rows[last[has]]
        known = np.isfinite(error_ns[received]) & np.isfinite(error_ns[sent])
        found[received[known]] = sent[known]
        return found

    def repeated(self, partner: Ints) -> Ints:
        """Return the receipts of copies that had been received before; not where copies may be forgotten.

        Parameters
        ----------
        partner : (n,)
            As `partners` returned it.

        Notes
        -----
        Cost: O(n).
        """
        receipts = self.rows[~self.is_send & self.whole[self.group]]
        receipts = receipts[partner[receipts] >= 0]
        again: Ints = receipts[partner[partner[receipts]] != receipts]
        return again

    def _longest_ns(self, time_ns: Ints, error_ns: Reals) -> float:
        """Return how long a message that was sent once, and came once, was on its way at least, of the slowest."""
        once = ~self.is_send & (self.whole & (self.n_sends == 1) & (self.n_receipts == 1))[self.group]
        received = self.rows[once]
        return float(_least_ns(self.earliest[received], received, time_ns, error_ns).max(initial=0))


def match(events: Events) -> Matching:
    """Group the records of messages by id, sender, receiver and first bytes.

    Parameters
    ----------
    events : Events

    Returns
    -------
    Matching

    Notes
    -----
    First bytes that are there at one end only are no obstacle. A group whose first copy that
    is left was sent again has lost its beginning: nothing in it is certain. Nor is it where more of
    several messages that look alike arrived than were sent.

    Cost: one sort of the messages' records.
    """
    is_send = np.isin(events.kind, SENDS)
    rows = np.flatnonzero((is_send | np.isin(events.kind, RECEIPTS)) & (events.peer >= 0))
    is_send = is_send[rows]
    party = events.parties().astype(np.uint64)  # a process that was started again may get what its last life was sent
    own, peer = party[events.node[rows]], party[events.peer[rows]]
    ends = np.where(is_send, own << 32 | peer, peer << 32 | own)
    keys = mixed(mixed(ends) ^ events.id[rows])
    full = keys ^ fingerprints(events.data, events.n_bytes)[rows]
    blank = events.n_bytes[rows] == 0
    if blank.any():
        full = _bridged(keys, full, blank, is_send)
    by = np.argsort(full, kind="stable")
    rows, is_send, full = rows[by], is_send[by], full[by]
    group = np.cumsum(np.diff(full, prepend=full[:1]) != 0)
    n_groups = int(group[-1]) + 1 if group.size else 0
    n_sends = np.bincount(group[is_send], minlength=n_groups)
    n_receipts = np.bincount(group, minlength=n_groups) - n_sends
    alike = np.bincount(group[events.kind[rows] == Kind.RESENT], minlength=n_groups) == 0
    first = np.full(n_groups, NEVER)
    np.minimum.at(first, group[is_send], rows[is_send])
    headless = n_sends > 0
    headless[headless] = events.kind[first[headless]] == Kind.RESENT
    forgotten = alike & (n_sends > 1) & (n_receipts > n_sends)  # of so many receipts some are of what is not there
    whole = (n_sends > 0) & ~headless & ~forgotten
    earliest = np.full(len(events), -1)
    sure = ~is_send & whole[group]
    earliest[rows[sure]] = first[group[sure]]
    return Matching(rows, group, is_send, earliest, headless, alike, whole, n_sends, n_receipts)


def partners(cause: Ints, rank: Ints) -> Ints:
    """Return of each record its other end: of what was sent its first receipt. Cost: a sort of the receipts."""
    found = cause.copy()
    receipts = np.flatnonzero(cause >= 0)
    receipts = receipts[np.argsort(rank[receipts])[::-1]]
    found[cause[receipts]] = receipts  # the last that is written stays
    return found


def _least_ns(sent: Ints, received: Ints, time_ns: Ints, error_ns: Reals) -> Reals:
    """Return how long messages were on their way at least; negative infinite where the clocks say nothing."""
    took: Reals = time_ns[received] - time_ns[sent] - (error_ns[received] + error_ns[sent])
    return took


def _by_time(rows: Ints, group: Ints, is_send: Flags, time_ns: Ints, error_ns: Reals) -> tuple[Ints, Ints, Flags]:
    """Sort copies and receipts, in each group by time: a copy as early as can be, up to the middle from the last."""
    errors = np.where(np.isfinite(error_ns[rows]), error_ns[rows], 0.0)
    slack = np.zeros(int(group.max(initial=-1)) + 1)
    np.maximum.at(slack, group[~is_send], errors[~is_send])
    since = np.full(rows.size, np.inf)  # the copy before
    again = np.flatnonzero(is_send[1:] & is_send[:-1] & (group[1:] == group[:-1])) + 1
    since[again] = time_ns[rows[again]] - time_ns[rows[again - 1]]
    times = time_ns[rows] - np.where(is_send, np.minimum(errors + slack[group], since / 2), 0).astype(np.int64)
    by = np.lexsort((~is_send, times, group))
    return rows[by], group[by], is_send[by]


def _one_by_one(group: Ints, is_send: Flags) -> tuple[Ints, Ints]:
    """Return, as pairs, the places of the k-th that was sent of a group and of its k-th receipt, where both are there.

    Parameters
    ----------
    group, is_send : (n,)
        Group after group, in a group by record.
    """
    sends, receipts = np.flatnonzero(is_send), np.flatnonzero(~is_send)
    of_sends, of_receipts = group[sends], group[receipts]
    place = (
        np.searchsorted(of_sends, of_receipts) + np.arange(receipts.size) - np.searchsorted(of_receipts, of_receipts)
    )
    has = place < np.searchsorted(of_sends, of_receipts, "right")
    return sends[place[has]], receipts[has]


def _in_turn(group: Ints, is_send: Flags) -> tuple[Ints, Ints]:
    """Return, as pairs, the places of what was sent and of its receipts, where each has one.

    Parameters
    ----------
    group, is_send : (n,)
        Group after group, in a group by time.

    Notes
    -----
    Each receipt takes away the last that was sent before it and is still there, as brackets close: so what is left
    over was lost. Those taken away are then received in turn. Cost: O(n).
    """
    apart = 2 * group.size + 2
    first = np.flatnonzero(np.diff(group, prepend=-1))
    up = np.cumsum(np.where(is_send, 1, -1))
    up -= np.repeat(up[first] - np.where(is_send[first], 1, -1), np.diff(first, append=group.size))
    lowest = np.minimum.accumulate(np.minimum(up, 0) - group * apart) + group * apart
    there = up - lowest  # sent and not received so far
    before = np.concatenate([[0], lowest[:-1]])
    before[first] = 0
    least_after = np.minimum.accumulate((there + group * apart)[::-1])[::-1] - group * apart
    return np.flatnonzero(is_send & (least_after < there)), np.flatnonzero(~is_send & (up >= before))


def _bridged(keys: Words, full: Words, blank: Flags, is_send: Flags) -> Words:
    """Give what has no other end, where one end recorded no bytes, the key without the bytes."""
    _, group = np.unique(full, return_inverse=True)
    complete = (np.bincount(group, is_send) > 0) & (np.bincount(group, ~is_send) > 0)
    alone = ~complete[group]
    wanted = np.isin(keys, keys[alone & blank])
    return np.where(alone & wanted, keys, full)


def mixed(values: Words) -> Words:
    """Return numbers whose bits are as good as drawn by lot; of different ones, different ones."""
    values = values + np.uint64(GOLDEN)
    values ^= values >> np.uint64(30)
    values *= np.uint64(MIX_1)
    values ^= values >> np.uint64(27)
    values *= np.uint64(MIX_2)
    values ^= values >> np.uint64(31)
    return values


def fingerprints(data: npt.NDArray[Any], n_bytes: npt.NDArray[Any]) -> Words:
    """Return hashes of first bytes, `DATA_BYTES` each, and lengths."""
    n = n_bytes.size
    padded = np.zeros((n, -(-DATA_BYTES // 8) * 8), np.uint8)
    padded[:, :DATA_BYTES] = np.ascontiguousarray(data).view(np.uint8).reshape(n, DATA_BYTES)
    found = n_bytes.astype(np.uint64)
    for word in np.ascontiguousarray(padded.view(np.uint64).T):
        found *= np.uint64(MIX_1)
        found ^= found >> np.uint64(29)
        found += word
    return mixed(found)
