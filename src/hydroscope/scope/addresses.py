"""Whose address it is: peers that recorders knew by an address only become the nodes they are.

Taps (`engine.taps`) name a peer by its address, for that is all a socket tells. Two things say whose it is: a note of
the node that waits there ("at 127.0.0.1:4321"), whose text stays among the ring's names when the note itself has been
written over; and messages whose other end was recorded, which is how the ports of the moment are found out. What is
then known of some messages to an address holds for all.

A peer with "~" before its name is one whose messages were recorded in pieces, of which nobody knows that they were read
as they were written: those without another end are left without a peer, so that nothing is called lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.addresses import AT, ROUGH, host_of
from hydroscope.ground.record.reader import Ring
from hydroscope.scope.events import MESSAGES, NOBODY, Events
from hydroscope.scope.matching import SENDS, fingerprints, mixed

__all__ = ["announced", "resolved"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

Announced = dict[tuple[bytes, int, int], tuple[str, ...]]
"""By machine, process and opening of its ring."""

_ADDRESS = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+):\d+|unix:.+|pid:\d+|\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\]|~.*")
_ANY = ("0.0.0.0", "[::]")
_OWN = ("127.", "[::1]", "unix:", "pid:")
"""Addresses that are of the machine on which they are used."""


def announced(rings: Iterable[Ring]) -> Announced:
    """Return where each process said that others could reach it.

    Parameters
    ----------
    rings : iterable of Ring

    Notes
    -----
    Cost: the rings' names are looked at once.
    """
    return {
        (ring.about.boot, ring.about.pid, ring.about.opened_wall_ns): tuple(
            text.removeprefix(AT) for text in ring.names if text.startswith(AT)
        )
        for ring in rings
        if ring.about is not None
    }


def resolved(events: Events, addresses: Announced) -> Events:
    """Return the events with nodes as peers, in place of addresses.

    Parameters
    ----------
    events : Events
    addresses : dict
        As `announced` returns it.

    Returns
    -------
    Events
        An address that nobody can be found for stays a node without records. Names given by hand stay.

    Notes
    -----
    Cost: O(n); where there are addresses, a sort of the messages.
    """
    nodes = events.nodes
    unknown = np.array([node.read == "nothing" and bool(_ADDRESS.fullmatch(node.name)) for node in nodes] + [True])
    rough = np.array([node.name.startswith(ROUGH) for node in nodes] + [False])
    is_message = np.isin(events.kind, MESSAGES)
    rows = np.flatnonzero(is_message & unknown[events.peer])
    if not rows.size:
        return events
    peer = events.peer.astype(np.int64)
    in_pieces = rough[peer[rows]]
    told = _told(events, addresses, unknown)[events.node[rows], peer[rows]]
    met = _met(events, rows, is_message)
    found = np.where(in_pieces | (told < 0), met, told)
    found = np.where(in_pieces | (found >= 0), found, _voted(events, rows, met))
    peer[rows] = np.where(in_pieces | (found >= 0), found, peer[rows])
    return _without_unused(events, peer, unknown[:-1])


def _told(events: Events, addresses: Announced, unknown: Flags) -> Ints:
    """Return for each node, and each peer it had, the node that said it was there; -1: none, or several."""
    nodes, party = events.nodes, events.parties()
    where: dict[str, list[int]] = {}
    for k, node in enumerate(nodes):
        for address in addresses.get((node.boot, node.pid, node.opened_wall_ns), ()):
            where.setdefault(address, []).append(k)
        where.setdefault(f"pid:{node.pid}", []).append(k)
    here = [k for k, node in enumerate(nodes) if node.read != "nothing"]
    found = np.full((len(nodes), len(nodes) + 1), NOBODY)
    for p in np.flatnonzero(unknown[:-1]):
        name = nodes[p].name.removeprefix(ROUGH)
        there = _waiting(where, name)
        for k in here if there else ():
            mine = [j for j in there if nodes[j].boot == nodes[k].boot] if name.startswith(_OWN) else there
            if len({int(party[j]) for j in mine}) == 1:
                found[k, p] = mine[-1]
    return found


def _waiting(where: dict[str, list[int]], name: str) -> list[int]:
    """Return the nodes that waited at an address."""
    if name in where:
        return where[name]
    port = name[len(host_of(name)) :]
    return sorted({k for host in _ANY for k in where.get(f"{host}{port}", ())}) if port else []


def _met(events: Events, rows: Ints, is_message: Flags) -> Ints:
    """Return of messages the node that recorded the other end; -1: none, or several."""
    every = np.flatnonzero(is_message)
    keys = mixed(events.id[every]) ^ fingerprints(events.data[every], events.n_bytes[every])
    _, key = np.unique(keys, return_inverse=True)
    is_send = np.isin(events.kind[every], SENDS)
    node = events.node[every].astype(np.int64)
    party = events.parties()[node]
    n_keys = int(key.max(initial=-1)) + 1
    other = np.full((2, n_keys), NOBODY)
    for side, here in enumerate((is_send, ~is_send)):
        least, most, last = np.full(n_keys, len(events.nodes)), np.full(n_keys, NOBODY), np.full(n_keys, NOBODY)
        np.minimum.at(least, key[here], party[here])
        np.maximum.at(most, key[here], party[here])
        np.maximum.at(last, key[here], node[here])
        other[side] = np.where(least == most, last, NOBODY)
    place = np.searchsorted(every, rows)
    found: Ints = np.where(is_send[place], other[1, key[place]], other[0, key[place]])
    return found


def _voted(events: Events, rows: Ints, met: Ints) -> Ints:
    """Return for messages to one address the node that most of those that were met are of; -1: none was."""
    n = len(events.nodes)
    ends = events.node[rows].astype(np.int64) * (n + 1) + events.peer[rows]
    known = (met >= 0) & (events.peer[rows] >= 0)
    votes, count = np.unique(ends[known] * n + met[known], return_counts=True)
    by = np.argsort(count, kind="stable")
    winner = np.full((n + 1) * (n + 1), NOBODY)
    winner[votes[by] // n] = votes[by] % n  # the last that is written stays
    return np.where(events.peer[rows] >= 0, winner[ends], NOBODY)


def _without_unused(events: Events, peer: Ints, unknown: Flags) -> Events:
    """Return the events without the nodes that were only addresses of others."""
    stays = ~unknown | (np.bincount(peer[peer >= 0], minlength=unknown.size) > 0)
    number = np.append(np.cumsum(stays) - 1, NOBODY)
    nodes = tuple(node for node, keep in zip(events.nodes, stays, strict=True) if keep)
    node, starts = number[events.node].astype(np.uint16), events.starts[np.append(stays, True)]
    return replace(events, nodes=nodes, node=node, peer=number[peer].astype(np.int32), starts=starts)
