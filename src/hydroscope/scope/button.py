"""The button: what happened just now, on this machine or in the whole cluster, as one timeline."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

from hydroscope.engine.dump.gather import Targets, gather, order
from hydroscope.engine.dump.targets import targets
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.scope.events import Missing
from hydroscope.scope.rules import Rule
from hydroscope.scope.snapshots import keys_changes
from hydroscope.scope.timeline import Timeline
from hydroscope.wire.dumps import Die, Thaw

__all__ = ["MODES", "pressed", "thaw", "timeline"]

MODES = ("stay", "freeze", "die")

DEADLINE_MAX_S = 3600.0

LEAST_S = 0.5
"""For the window-logs of keys, when all time was taken up by rings."""


def timeline(
    nodes: Sequence[str] | str | None = None,
    seconds: float | None = None,
    rules: Sequence[Rule] | str = (),
    decoders: Iterable[Any] = (),
    mode: str = "stay",
    deadline_s: float = 5.0,
    addresses: Sequence[str] | str | None = None,
    secret: bytes | str | None = None,
    freeze_s: float = 60.0,
) -> Timeline:
    """Gather what all processes have recorded, and return it in one order of cause and effect.

    It works with processes that are dead, stopped or hang, or cannot be reached: what they have recorded is read from
    disk where that can be, and what is missing is told, after `deadline_s` at the latest.

    Parameters
    ----------
    nodes : sequence of str, or str
        Names of rings, or patterns such as "worker-*"; default: all.
    seconds : float, optional
        Of history. Default: all there is of the processes that run, that were members of their clusters, or that ended
        in the last minute; where there are none, of the run that ended last. `math.inf`: all that lies about.
    rules : sequence of Rule, or str
        What ought to come before what, as for `Timeline`.
    decoders : iterable
        What messages are called, as for `Timeline`.
    mode : str
        "stay": everybody goes on. "freeze": members of the cluster stand still from now on, and what they had recorded
        until then is returned; they go on after `thaw()`, or `freeze_s`. "die": all but this process end, with exit
        status 86, once their recordings are here.
    deadline_s : float
        For all of it but the ordering.
    addresses : sequence of str, or str
        "host:port" of a post of a cluster (`.post` of what `start_cluster` returns), which knows all others of it, or
        of agents (`hydroscope timeline --serve`). Default: the cluster that this process belongs to, else all processes
        of this user on this machine and the clusters that they belong to.
    secret : bytes, str or None
        Of the cluster or the agents, where there are addresses; default: what HYDROSCOPE_SECRET says.
    freeze_s : float
        After which those who stand still go on by themselves.

    Returns
    -------
    Timeline
        Its `missing` tells what was not in order: whose recording could not be had, or was read from disk because its
        process did not answer, and why. Its `changes` are those of the cluster's keys, if this process belongs to it.

    Raises
    ------
    UserError
        Arguments that make no sense, or a secret that is needed and not known. Nothing else raises.

    Notes
    -----
    Cost: 0.2 s for each ring of 500,000 records; rings of other machines are read by their own processes at the same
    time, and have to come over the network. Nobody is kept from working meanwhile.

    Examples
    --------
    >>> import hydroscope as hs
    >>> rec = hs.Recorder("node-3")
    >>> _ = rec.sent("node-4", 17, b"PREPARE 9")
    >>> tl = hs.timeline(nodes="node-3")
    >>> rec.close(remove=True)
    """
    return pressed(nodes, seconds, rules, decoders, mode, deadline_s, addresses, secret, freeze_s)[0]


def thaw(addresses: Sequence[str] | str | None = None, secret: bytes | str | None = None) -> tuple[Missing, ...]:
    """Let all go on that `timeline(mode="freeze")` made stand still.

    Parameters
    ----------
    addresses, secret
        As for `timeline`; of each member that is to be reached, or of none.

    Returns
    -------
    tuple of Missing
        Who could not be told, and why. They go on by themselves when their time is over.

    Notes
    -----
    Cost: a round trip; a second when somebody does not answer.
    """
    to = targets(addresses, secret)
    if to.me is not None:
        to.me.thaw()
    return tuple(Missing(name, why) for name, why in order(to, Thaw()))


def pressed(
    nodes: Sequence[str] | str | None = None,
    seconds: float | None = None,
    rules: Sequence[Rule] | str = (),
    decoders: Iterable[Any] = (),
    mode: str = "stay",
    deadline_s: float = 5.0,
    addresses: Sequence[str] | str | None = None,
    secret: bytes | str | None = None,
    freeze_s: float = 60.0,
) -> tuple[Timeline, int]:
    """Do as `timeline`; return with it how many rings were left out because they are of earlier runs."""
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES, "timeline")
    _check("deadline_s", deadline_s, DEADLINE_MAX_S)
    _check("freeze_s", freeze_s, DEADLINE_MAX_S)
    if seconds is not None:
        _check("seconds", seconds, math.inf)
    began = time.monotonic()
    to = targets(addresses, secret)
    patterns = [nodes] if isinstance(nodes, str) else nodes
    freezes = freeze_s if mode == "freeze" else 0.0
    got = gather(to, nodes=patterns, seconds=seconds, freeze_s=freezes, deadline_s=deadline_s)
    missing = got.missing
    if mode == "die":
        missing += order(Targets(got.posts, to.me), Die())
    if freezes and to.me is not None and (why := to.me.freeze(freezes)) is not None:
        missing.append(("this process", f"it does not freeze: {why}"))
    told = [Missing(name, why) for name, why in missing]
    left = max(deadline_s - (time.monotonic() - began), LEAST_S)
    changes = keys_changes(seconds, left) if addresses is None else None
    return Timeline.of(got.rings, rules, decoders=decoders, missing=told, changes=changes), got.n_left_out


def _check(name: str, value: float, most: float) -> None:
    if not isinstance(value, int | float) or not 0 < value <= most:
        raise UserError(f"{name}={value!r} must be seconds, more than 0 and at most {most:g}")
