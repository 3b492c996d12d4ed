"""The window-logs of all members of the cluster that this process belongs to, as one: what its keys were.

Each key's changes lie in the log of the member that was its home. When that died, the next home may have taken the
value over or been given a new one, and from then on its log is the one that counts. Logs say in which view their member
was last, and of two members that were home to a key one after the other the later one has seen the later view.
"""

from __future__ import annotations

import time
from typing import Final

from hydroscope.engine.diary import VIEW
from hydroscope.engine.dump import logs as dumped
from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.ground.errors import UserError
from hydroscope.node import ports
from hydroscope.window.cut import Cut
from hydroscope.window.history import History
from hydroscope.window.past import PastLog
from hydroscope.wire.dumps import Where

__all__ = ["NodeLog", "PastKeys", "past_keys", "socket_keys"]

DEADLINE_S: Final = 5.0


class NodeLog:
    """One member's part of what was gathered; gathered anew when that is asked for."""

    def __init__(self, name: str, log: PastLog) -> None:
        self.name = name
        self._log = log

    @property
    def is_alive(self) -> bool:
        """Whether its member was there when it was gathered."""
        return self._log.is_alive

    def history(self) -> History:
        """Return what was gathered last. Cost: free."""
        return self._log.history()

    def cut(self, stamp: int | None = None) -> Cut:
        """Return the state at a stamp. Cost: as of other logs."""
        return self._log.cut(stamp)

    def renew(self, log: PastLog) -> None:
        """Go on with what was gathered anew."""
        self._log = log


class PastKeys:
    """The logs of a cluster's members, and who is missing.

    Parameters
    ----------
    keys : SocketKeys
        Of this process.
    deadline_s : float
        For each gathering.

    Attributes
    ----------
    nodes : list of NodeLog
        Whose word counts for a key comes first.
    missing : list of (str, str)
        Members whose log could not be had, and why.
    """

    def __init__(self, keys: SocketKeys, deadline_s: float = DEADLINE_S) -> None:
        self._keys, self._deadline_s = keys, deadline_s
        self.nodes: list[NodeLog] = []
        self.missing: list[tuple[str, str]] = []
        self.gather()

    def gather(self) -> None:
        """Read all logs as they are now, within the deadline. Cost: about 0.7 us a change, and a copy over the network.

        A member that was gathered before and is not to be had now stays as it was.
        """
        began = time.monotonic()
        keys = self._keys
        cluster = keys.address.cluster
        logs, failures = dumped.here(cluster)
        places = _elsewhere(keys)
        if places and keys.post is not None:
            left = self._deadline_s - (time.monotonic() - began)
            got, failed = dumped.fetch(places, keys.post.key, cluster, max(left, 0.1))
            logs, failures = logs + got, failures + failed
        newest: dict[str, PastLog] = {}
        for log in logs:
            before = newest.get(log.name)
            if before is None or before.history().until < log.history().until:
                newest[log.name] = log
        known = {node.name: node for node in self.nodes}
        for name, log in newest.items():
            if name in known:
                known[name].renew(log)
            else:
                known[name] = NodeLog(name, log)
        self.nodes = sorted(known.values(), key=lambda node: (-_epoch(node), node.name))
        there = {node.name.partition(".")[0] for node in self.nodes}
        view = keys.socket.member.standing.view
        founders = view.founders if view is not None else ()
        why = "; ".join(failures) or "its log is not on this machine, and nobody there answers"
        self.missing = [(f"member-{n}", why) for n in founders if f"member-{n}" not in there]


def socket_keys() -> SocketKeys | None:
    """Return the cluster's part of this process; None if it belongs to none."""
    keys = ports.keys_in_use()
    keys = getattr(keys, "socket_keys", keys)
    return keys if isinstance(keys, SocketKeys) else None


def past_keys(deadline_s: float) -> PastKeys | None:
    """Return what the keys of this process's cluster were; None: it belongs to none, or nobody there keeps a log.

    Raises
    ------
    UserError
        If logs are kept and none could be had.
    """
    keys = socket_keys()
    if keys is None or keys.diary is None:
        return None
    past = PastKeys(keys, deadline_s)
    if not past.nodes:
        told = "; ".join(f"{name}: {why}" for name, why in past.missing) or "work has not begun"
        raise UserError(f"no member's window-log could be had: {told}")
    return past


def _elsewhere(keys: SocketKeys) -> dict[int, list[Where]]:
    """Return the posts whose logs do not lie here, by where they lie."""
    here = None if keys.post is None else keys.post.place
    places: dict[int, list[Where]] = {}
    for where in keys.posts():
        if where.place != here:
            places.setdefault(where.place, []).append(where)
    return places


def _epoch(node: NodeLog) -> int:
    view = node.cut().value(VIEW, {})
    return int(view.get("epoch", 0)) if isinstance(view, dict) else 0
