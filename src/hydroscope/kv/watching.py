"""Watches: members are told of changed keys, several changes of a key as one, at most one message each underway."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from hydroscope.kv.desk import Desk, Purpose
from hydroscope.kv.effects import Changed, Effect, Finish, Lost, Names
from hydroscope.wire.messages import Notify, Watch

__all__ = ["Watching"]


class _Order:
    """A watch or unwatch that not all homes have acknowledged."""

    __slots__ = ("n_waiting", "op", "prefix")

    def __init__(self, op: Any, prefix: str) -> None:
        self.op = op
        self.prefix = prefix
        self.n_waiting = 0


class Watching:
    """What this member watches, and who watches the keys it is home to."""

    def __init__(self, desk: Desk) -> None:
        self.is_watched = False
        self._desk = desk
        self._own: Counter[str] = Counter()
        self._peers: dict[int, set[str]] = {}
        self._prefixes: dict[int, tuple[str, ...]] = {}
        self._changed: dict[int, dict[str, None]] = {}
        self._telling: set[int] = set()
        self._orders: dict[str, deque[_Order]] = {}

    # --- this member watches ----------------------------------------------------------------------------------------

    def watch(self, op: Any, prefix: str, out: list[Effect]) -> None:
        """Watch a prefix; finished when every home knows."""
        self._own[prefix] += 1
        self._order(op, prefix, out)

    def unwatch(self, op: Any, prefix: str, out: list[Effect]) -> None:
        """Watch it no longer, unless it is watched more than once."""
        if self._own[prefix] > 1:
            self._own[prefix] -= 1
        else:
            del self._own[prefix]
        self._order(op, prefix, out)

    def acknowledged(self, order: _Order, out: list[Effect]) -> None:
        """A home has taken note, or is gone."""
        order.n_waiting -= 1
        if order.n_waiting or order.prefix not in self._orders:
            return
        orders = self._orders[order.prefix]
        self._finish(orders.popleft(), out)
        if orders:
            self._begin(orders[0], out)
        else:
            del self._orders[order.prefix]

    def told(self, keys: tuple[str, ...], out: list[Effect]) -> None:
        """A home tells of changed keys."""
        prefixes = tuple(self._own)
        keys = tuple(key for key in keys if key.startswith(prefixes))
        if keys:
            out.append(Changed(keys))

    def _order(self, op: Any, prefix: str, out: list[Effect]) -> None:
        """Tell all homes what is wanted now; one order of a prefix at a time, or a home might hear them in reverse."""
        self._note()
        order = _Order(op, prefix)
        if len(self._desk.homes.live) == (self._desk.me in self._desk.homes.live):
            self._finish(order, out)
            return
        orders = self._orders.setdefault(prefix, deque())
        orders.append(order)
        if len(orders) == 1:
            self._begin(order, out)

    def _begin(self, order: _Order, out: list[Effect]) -> None:
        homes = [home for home in self._desk.homes.live if home != self._desk.me]
        order.n_waiting = len(homes)
        watch = Watch(order.prefix, order.prefix in self._own)
        for home in homes:
            self._desk.ask(home, watch, Purpose.WATCH, order, out)
        if not homes:
            order.n_waiting = 1
            self.acknowledged(order, out)

    def _finish(self, order: _Order, out: list[Effect]) -> None:
        if order.op is not None:
            out.append(Finish(order.op, Names(())))

    # --- others watch -----------------------------------------------------------------------------------------------

    def serve(self, peer: int, watch: Watch) -> None:
        """A member begins or ends to watch."""
        prefixes = self._peers.setdefault(peer, set())
        if watch.wanted:
            prefixes.add(watch.prefix)
        else:
            prefixes.discard(watch.prefix)
        if not prefixes:
            del self._peers[peer]
        self._note()

    def changed(self, key: str, out: list[Effect]) -> None:
        """A key that is at home here has changed."""
        if self._own and key.startswith(tuple(self._own)):
            out.append(Changed((key,)))
        for peer, prefixes in self._prefixes.items():
            if key.startswith(prefixes):
                self._changed.setdefault(peer, {})[key] = None
                self._tell(peer, out)

    def delivered(self, peer: int, out: list[Effect]) -> None:
        """A member has heard of what we told it last."""
        self._telling.discard(peer)
        self._tell(peer, out)

    def _tell(self, peer: int, out: list[Effect]) -> None:
        if peer in self._changed and peer not in self._telling:
            self._telling.add(peer)
            keys = tuple(self._changed.pop(peer))
            self._desk.ask(peer, Notify(keys), Purpose.NOTIFY, peer, out)

    # --- members come and go ----------------------------------------------------------------------------------------

    def enter(self, gone: frozenset[int]) -> None:
        """Forget those who are gone."""
        for peer in gone:
            self._peers.pop(peer, None)
            self._changed.pop(peer, None)
            self._telling.discard(peer)
        self._note()

    def leave(self, out: list[Effect]) -> None:
        """End what is underway as lost."""
        orders = [order for waiting in self._orders.values() for order in waiting]
        out.extend(Finish(order.op, Lost(())) for order in orders if order.op is not None)
        self._orders.clear()

    def _note(self) -> None:
        self._prefixes = {peer: tuple(prefixes) for peer, prefixes in self._peers.items()}
        self.is_watched = bool(self._own or self._prefixes)
