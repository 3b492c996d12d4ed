"""Whose capture it is: which addresses are those of the host that captured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from statistics import median

from hydroscope.ground.errors import UserError
from hydroscope.scope.formats.packets import ACK, SYN, TCP, Capture, Piece, address_text

__all__ = ["is_loopback", "is_shared", "local_addresses"]

IN, OUT = 1, 2
STRAY = 0.01
"""Of a capture's packets so many may be of others: a switch sends to all what it does not know the way of."""


def is_loopback(address: bytes) -> bool:
    """Return whether an address is a host's own on every host."""
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"


def is_shared(address: bytes) -> bool:
    """Return whether an address is of several hosts at once."""
    return address[0] >= 224 if len(address) == 4 else address[0] == 255


def local_addresses(captures: Sequence[Capture], given: Mapping[str, Sequence[str]], n_kept: int) -> list[set[bytes]]:
    """Return the addresses of each capture's host.

    Parameters
    ----------
    captures : sequence of Capture
    given : mapping of str to sequence of str
        Of hosts, what the caller knows.
    n_kept : int
        So many bytes all captures have of every packet's data.

    Raises
    ------
    UserError
        An address is none; or whose capture it is cannot be told.

    Notes
    -----
    What decides is the direction that some captures note; else time, as a packet leaves its sender before it
    arrives: of two captures of the same packets, whichever is nearer to a host sees its packets earlier and those for
    it later, by the same difference of clocks. Without a second capture, the host's address is the one that is in every
    packet; and where there are two of those, who opens a connection waits longer for the answer than for itself.
    Cost: O(packets), for each host that is not given.
    """
    found: list[set[bytes]] = []
    scores: list[Counter[bytes]] | None = None
    open_: dict[int, tuple[bytes, bytes]] = {}
    for k, capture in enumerate(captures):
        own = capture.pieces
        covering: set[bytes] | tuple[bytes, bytes]
        if capture.host in given:
            covering = {_packed(address) for address in given[capture.host]}
        elif any(piece.way for piece in own):
            covering = _told(own)
        else:
            scores = scores or _nearness(captures, n_kept)
            covering = {address for address, score in scores[k].items() if score > 0} or _covering(own)
        if isinstance(covering, tuple):
            open_[k] = covering
        found.append(set() if isinstance(covering, tuple) else covering)
    taken = set().union(*found)
    for k, (first, second) in open_.items():
        others = {first, second} - taken
        own_address = others.pop() if len(others) == 1 else _by_handshakes(captures[k].pieces, (first, second))
        if own_address is None:
            host, names = captures[k].host, (address_text(first), address_text(second))
            raise UserError(
                f"{captures[k].paths[0]!r} could be of {names[0]} or {names[1]}; "
                f"say whose: local={{{host!r}: [{names[0]!r}]}}"
            )
        found[k] = {own_address}
    return found


def _nearness(captures: Sequence[Capture], n_kept: int) -> list[Counter[bytes]]:
    """Return for each capture, of addresses, how often it was nearer to them than others, less how often not."""
    seen: dict[object, dict[int, int]] = {}
    for k, capture in enumerate(captures):
        for piece in capture.pieces:
            seen.setdefault(piece.same(n_kept), {}).setdefault(k, piece.ns)
    before: dict[object, int] = {}
    gaps: dict[tuple[int, bytes, bytes, int], list[int]] = {}
    for k, capture in enumerate(captures):
        for piece in capture.pieces:
            ends = piece.source, piece.target
            for other, ns in seen[piece.same(n_kept)].items():
                if other == k:
                    continue
                ahead = piece.ns - ns
                if ends[0] < ends[1]:
                    before[k, ends, other] = ahead
                elif (there := before.get((k, ends[::-1], other))) is not None:
                    gaps.setdefault((k, ends[1], ends[0], other), []).append(ahead - there)
    scores: list[Counter[bytes]] = [Counter() for _ in captures]
    for (k, first, second, _), each in gaps.items():
        middle = median(each)
        near, far = (first, second) if middle > 0 else (second, first)
        if middle:
            scores[k][near] += len(each)
            scores[k][far] -= len(each)
    return scores


def _packed(address: str) -> bytes:
    try:
        return ip_address(address).packed
    except ValueError:
        raise UserError(f"{address!r} is no address of IP, as in local={{'client': ['10.0.0.1']}}") from None


def _told(own: Sequence[Piece]) -> set[bytes]:
    found = {piece.source for piece in own if piece.way == OUT}
    return found | {piece.target for piece in own if piece.way == IN and not is_shared(piece.target)}


def _covering(own: Sequence[Piece]) -> set[bytes] | tuple[bytes, bytes]:
    """Return the fewest addresses one of which is in nearly every packet; or two, either of which alone would be."""
    found: set[bytes] = set()
    left = list(own)
    while len(left) > STRAY * len(own):
        counts = Counter(
            address for piece in left for address in {piece.source, piece.target} if not is_shared(address)
        )
        if not counts:
            break
        (first, n), *others = counts.most_common(2)
        if others and others[0][1] >= (1 - STRAY) * n and not is_loopback(first):  # it takes two to talk
            return first, others[0][0]
        found.add(first)
        left = [piece for piece in left if first not in (piece.source, piece.target)]
    return found


def _by_handshakes(own: Sequence[Piece], pair: tuple[bytes, bytes]) -> bytes | None:
    """Return whose capture this is by the openings of connections: ask, answer, thanks."""
    asked: dict[object, int] = {}
    answered: dict[object, tuple[int, int]] = {}
    ahead = []
    for piece in own:
        if piece.protocol != TCP:
            continue
        here = (piece.source, piece.target, piece.ports)
        back = (piece.target, piece.source, piece.ports[::-1])
        if piece.flags & SYN and not piece.flags & ACK:
            asked[here] = piece.ns
        elif piece.flags & SYN and back in asked:
            answered[back] = (asked.pop(back), piece.ns)
        elif here in answered:
            begun, replied = answered.pop(here)
            waited = (replied - begun) - (piece.ns - replied)
            ahead.append(waited if piece.source == pair[0] else -waited)
    if not ahead or not (middle := median(ahead)):
        return None
    return pair[0] if middle > 0 else pair[1]
