"""Scans: the keys of all homes, merged; own writes that are not ordered yet count as this member sees them.

What the names were of keys that died with their home nobody knows: a scan says which members were lost that may have
held such keys (`Names.lost`), and is complete when there were none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydroscope.kv import effects
from hydroscope.kv.cache import outcome_of_failure
from hydroscope.kv.desk import Desk, Purpose
from hydroscope.kv.effects import Effect, Finish, Lost
from hydroscope.wire import messages

if TYPE_CHECKING:
    from hydroscope.kv.home import HomeTable
    from hydroscope.kv.slots import SlotTable

__all__ = ["Scan", "Scans", "what_is_missing"]


class Scan:
    """A scan underway."""

    __slots__ = ("found", "lost", "n_waiting", "op", "prefix", "round", "shown")

    def __init__(self, op: Any, prefix: str) -> None:
        self.op = op
        self.prefix = prefix
        self.round = 0
        self.n_waiting = 0
        self.found: set[str] = set()
        self.lost: tuple[int, ...] = ()
        self.shown: dict[str, bool] = {}  # own writes that are shown: whether the key is there


class Scans:
    """The scans of one member."""

    def __init__(self, desk: Desk, home: HomeTable, slots: SlotTable) -> None:
        self.scans: set[Scan] = set()
        self._desk = desk
        self._home = home
        self._slots = slots

    def begin(self, op: Any, prefix: str, out: list[Effect]) -> None:
        """Ask all homes that live."""
        scan = Scan(op, prefix)
        self.scans.add(scan)
        self._ask(scan, out)

    def names(self, what: tuple[Scan, int], reply: messages.Reply, out: list[Effect]) -> None:
        """A home has answered."""
        scan, round_number = what
        if scan.round != round_number:  # it was begun again since
            return
        if type(reply) is not messages.Names:  # better no answer than one with keys missing
            scan.round += 1
            self.scans.discard(scan)
            out.append(Finish(scan.op, outcome_of_failure(scan.prefix, reply)))
            return
        scan.found.update(reply.keys)
        scan.n_waiting -= 1
        self._finish(scan, out)

    def again(self, what: tuple[Scan, int], out: list[Effect]) -> None:
        """A home that was asked is gone: another one has its durable keys, and may have answered without them."""
        scan, round_number = what
        if scan.round == round_number:
            self._ask(scan, out)

    def leave(self, out: list[Effect]) -> None:
        """End what is underway as lost."""
        out.extend(Finish(scan.op, Lost(())) for scan in self.scans)
        self.scans.clear()

    def _ask(self, scan: Scan, out: list[Effect]) -> None:
        prefix = scan.prefix
        scan.round += 1
        scan.lost = self._desk.homes.lost(prefix)
        scan.found = set(self._home.names(prefix))
        scan.shown = {
            key: slot.shown.value is not None
            for key, slot in self._slots.slots.items()
            if slot.shown is not None and key.startswith(prefix)
        }
        homes = [home for home in self._desk.homes.live if home != self._desk.me]
        scan.n_waiting = len(homes)
        for home in homes:
            self._desk.ask(home, messages.Scan(prefix), Purpose.SCAN, (scan, scan.round), out)
        self._finish(scan, out)

    def _finish(self, scan: Scan, out: list[Effect]) -> None:
        if scan.n_waiting:
            return
        self.scans.discard(scan)
        for key, there in scan.shown.items():
            if there:
                scan.found.add(key)
            else:
                scan.found.discard(key)
        out.append(Finish(scan.op, effects.Names(tuple(sorted(scan.found)), scan.lost)))


def what_is_missing(prefix: str, lost: tuple[int, ...]) -> str:
    """Return what to tell of a scan that cannot be complete."""
    which = f"member {lost[0]} was" if len(lost) == 1 else f"members {', '.join(map(str, lost))} were"
    return (
        f"keys that begin with {prefix!r} cannot all be listed: {which} lost, and nobody else knows the names of what "
        f"it alone held; keys({prefix!r}, partial=True) returns those that are left"
    )
