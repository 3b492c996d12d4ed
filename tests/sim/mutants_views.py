"""Members with a rule about views broken: the simulator has to notice."""

from __future__ import annotations

from typing import Any

from hydroscope.kv import store as store_module
from hydroscope.kv.home import HomeTable
from hydroscope.kv.scans import Scans
from hydroscope.kv.store import Store

__all__ = ["VIEW_MUTANTS"]


class ForgetsReplicas(HomeTable):
    """A home forgets in each view who has replicas, although they stay when all homes are still there."""

    def enter(self, gone: frozenset[int], out: list[Any]) -> None:
        for record in self.records.values():
            record.replicas = None
        super().enter(gone, out)


class SaysNothing(Scans):
    """A scan does not say that keys may be missing."""

    def _ask(self, scan: Any, out: list[Any]) -> None:
        super()._ask(scan, out)
        scan.lost = ()

    def _finish(self, scan: Any, out: list[Any]) -> None:
        scan.lost = ()
        super()._finish(scan, out)


VIEW_MUTANTS: dict[str, tuple[Any, str, Any, str]] = {
    "home forgets replicas in a new view": (Store, "home_table", ForgetsReplicas, "views"),
    "a scan does not tell of the lost": (store_module, "Scans", SaysNothing, "views"),
}
"""Name -> (who looks the class up, its name there, the mutant, the mix that should notice)."""
