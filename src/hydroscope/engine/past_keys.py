"""The window-logs of all members of the cluster that this process belongs to, as one: what its keys were.

Each key's changes lie in the log of the member that was its home. When that died, the next home may have taken the
value over or been given a new one, and from then on its log is the one that counts. Logs say in which view their member
was last, and of two members that were home to a key one after the other the later one has seen the later view.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from hydroscope.engine.diary import VIEW
from hydroscope.engine.dump import logs as dumped
from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.folder import default_folders
from hydroscope.node import ports
from hydroscope.window.files import written
from hydroscope.window.past import PastLog
from hydroscope.wire.dumps import Where

__all__ = ["DEADLINE_S", "PastKeys", "past_keys", "read_keys"]

DEADLINE_S: Final = 5.0

CATCH_UP_S: Final = 1.0
"""To wait for members to say that their logs are complete; of one that hangs, its machine's clock says it."""

Read = tuple[list[PastLog], list[str]]
"""Logs, and what is wrong with others."""


class PastKeys:
    """The logs of a cluster's members, and who is missing; made by `past_keys` and `read_keys`.

    Parameters
    ----------
    read : callable
        Returns the logs as they are now, and why others could not be had.

    Attributes
    ----------
    nodes : list of PastLog
        Whose word counts for a key comes first.
    missing : list of (str, str)
        Members whose log could not be had, and why.
    """

    def __init__(self, read: Callable[[], Read]) -> None:
        self._read = read
        self.nodes: list[PastLog] = []
        self.missing: list[tuple[str, str]] = []
        self.gather()

    def __repr__(self) -> str:
        return f"<logs of {', '.join(node.name for node in self.nodes) or 'no member'}>"

    def gather(self) -> None:
        """Read all logs as they are now. Cost: about 0.7 us a change, and a copy of those of other machines.

        A member that was gathered before and is not to be had now stays as it was.
        """
        logs, failures = self._read()
        known = {log.name: log for log in self.nodes}
        for log in sorted(logs, key=lambda each: each.history().until):  # of two of one name the newer one
            known[log.name] = log
        views = {name: _view(log) for name, log in known.items()}
        self.nodes = sorted(known.values(), key=lambda log: (-int(views[log.name].get("epoch", 0)), log.name))
        there = {name.partition(".")[0] for name in known}
        founders = sorted({number for view in views.values() for number in view.get("founders", ())})
        why = "; ".join(failures) or "its log is not on this machine, and nobody there answers"
        self.missing = [(f"member-{n}", why) for n in founders if f"member-{n}" not in there]
        if failures and not self.missing:
            self.missing = [("some member", why)]


def past_keys(deadline_s: float, exact: bool = True) -> PastKeys | None:
    """Return what the keys of this process's cluster were; None: it belongs to none, or nobody there keeps a log.

    `exact`: what this process was told of before is in the logs, for which a member that hangs is waited for a while.

    Raises
    ------
    UserError
        If logs are kept and none could be had.
    """
    keys = ports.keys_in_use()
    keys = getattr(keys, "socket_keys", keys)
    if not isinstance(keys, SocketKeys) or keys.diary is None:
        return None
    past = PastKeys(partial(_of_cluster, keys, deadline_s, exact))
    if not past.nodes:
        why = "; ".join(why for _, why in past.missing) or "work has not begun"
        raise UserError(f"no member's window-log could be had: {why}")
    return past


def read_keys(folder: str | os.PathLike[str] | None = None, cluster: int | str | None = None) -> PastKeys:
    """Read what the keys of a cluster were from the window-logs on this machine, also when all of it has ended.

    Parameters
    ----------
    folder : path, optional
        With the logs; default: where they are written.
    cluster : int or str, optional
        Its number, or its address, which ends with that. Default: that of the log that was begun last.

    Returns
    -------
    PastKeys
        For `snapshot(logs=...)`, `history(logs=...)` and the questions; `missing` says whose log is not there.

    Raises
    ------
    UserError
        If there are no logs, or none of this cluster.

    Notes
    -----
    Cost: about 0.7 us a change.

    Examples
    --------
    >>> import hydroscope as hs
    >>> with hs.start_cluster():
    ...     hs.kv.put("k", 1, wait=True)
    ...     hs.kv.put("k", 2, wait=True)
    >>> snap = hs.snapshot(logs=hs.read_keys())
    >>> snap["k"], snap.step(-1), snap["k"]
    (2, 1, 1)
    """
    folders = default_folders() if folder is None else [Path(folder)]
    found = [each for each in written(folders)[0] if each.head.cluster]
    if isinstance(cluster, str):
        try:
            cluster = int(cluster.rpartition("/")[2], 16)
        except ValueError:
            raise UserError(
                f"cluster={cluster!r} is not the address of a cluster, such as 127.0.0.1:4711/5f0e"
            ) from None
    if cluster is None:
        if not found:
            raise UserError(f"no members' window-logs lie in {', '.join(map(str, folders))}; give the folder")
        cluster = max(found, key=lambda each: each.newest_start).head.cluster
    past = PastKeys(partial(_on_disk, cluster, folders))
    if not past.nodes:
        numbers = ", ".join(sorted({f"{each.head.cluster:x}" for each in found})) or "none"
        raise UserError(f"there is no window-log of cluster {cluster:x}; there are logs of {numbers}")
    return past


def _on_disk(cluster: int, folders: list[Path]) -> Read:
    return dumped.here(cluster, folders)


def _of_cluster(keys: SocketKeys, deadline_s: float, exact: bool = True) -> Read:
    """Read the logs that lie here, and have others sent."""
    began = time.monotonic()
    cluster, post = keys.address.cluster, keys.post
    if post is None:
        return dumped.here(cluster)
    complete: dumped.Complete = {}
    if exact:
        stamp = keys.socket.member.stamp()
        is_ahead = stamp > time.time_ns()  # of the clock here, which else says for all logs here that they are complete
        behind = [where for where in keys.posts() if is_ahead or where.place != post.place]
        complete = dumped.catch_up(behind, post.key, stamp, min(CATCH_UP_S, deadline_s / 2))
    logs, failures = dumped.here(cluster, complete=complete)
    places: dict[int, list[Where]] = {}
    for where in keys.posts():
        if where.place != post.place:
            places.setdefault(where.place, []).append(where)
    if places:
        left = max(deadline_s - (time.monotonic() - began), 0.1)
        got, failed = dumped.fetch(places, post.key, cluster, left, complete)
        logs, failures = logs + got, failures + failed
    return logs, failures


def _view(log: PastLog) -> dict[str, Any]:
    """Return who belonged, as this member knew it last."""
    view = log.cut().value(VIEW, {})
    return view if isinstance(view, dict) else {}
