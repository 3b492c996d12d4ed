"""The button: what happened just now, on this machine or in the whole cluster, as one timeline."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hydroscope.engine.dump.gather import ORDER_S, Targets, gather, order
from hydroscope.engine.dump.targets import targets, texts
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.scope.decoding import Decoder, Dialect, dialects
from hydroscope.scope.events import Missing
from hydroscope.scope.rules import Rule, parse
from hydroscope.scope.snapshots import keys_changes
from hydroscope.scope.timeline import Timeline
from hydroscope.wire.dumps import Die, Thaw

__all__ = ["MODES", "thaw", "timeline"]

MODES = ("stay", "freeze", "die")

DEADLINE_MAX_S = 3600.0

LEAST_S = 0.5
"""For the window-logs of keys, when all time was taken up by rings."""


def timeline(
    nodes: Sequence[str] | str | None = None,
    seconds: float | None = None,
    rules: Sequence[Rule] | str = (),
    decoders: Iterable[Decoder | Dialect | str] = (),
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
        Rings to read, by name or patterns such as "worker-*"; default: all. Who is frozen or ends, is not chosen by it.
    seconds : float, optional
        Of history. Default: all there is of the processes that run, that were members of their clusters, or that ended
        in the last minute; where there are none, of the run that ended last. `math.inf`: all that lies about.
    rules : sequence of Rule, or str
        What ought to come before what, as for `Timeline`.
    decoders : iterable
        What messages are called, as for `Timeline`.
    mode : str
        "stay": everybody goes on. "freeze": members of clusters stand still from now on, this process too if it is
        one, and what they had recorded until then is returned; they go on after `thaw()`, or `freeze_s`. "die": members
        and agents end, with exit status 86, once their recordings are here; this process does not.
    deadline_s : float
        For the gathering; a second more when those who are to end do not answer. Names of hosts are looked up before.
    addresses : sequence of str, or str
        "host:port" of a post of a cluster (`.post` of what `start_cluster` returns), which knows all others of it, or
        of agents (`hydroscope timeline --serve`). Default: the cluster that this process belongs to, else the clusters
        that processes of this user on this machine belong to. What lies on this machine is read in any case.
    secret : bytes, str or None
        Of the cluster or the agents, where there are addresses; default: what HYDROSCOPE_SECRET says.
    freeze_s : float
        After which those who stand still go on by themselves; also those who did already, from now on.

    Returns
    -------
    Timeline
        Its `missing` tells what was not in order: whose recording could not be had, or was read from disk because its
        process did not answer, and why; `n_left_out` how many recordings of earlier runs `seconds` would bring. Its
        `changes` are those of the cluster's keys, if this process belongs to it.

    Raises
    ------
    UserError
        Arguments that make no sense, or a secret that is needed and not known; nothing is done then.

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
    press = _Press(nodes, seconds, mode, deadline_s, addresses, secret, freeze_s)
    return press.timeline(rules, tuple(decoders))


def thaw(addresses: Sequence[str] | str | None = None, secret: bytes | str | None = None) -> tuple[Missing, ...]:
    """Let all go on that `timeline(mode="freeze")` made stand still.

    Parameters
    ----------
    addresses, secret
        As for `timeline`: one address of a cluster is enough.

    Returns
    -------
    tuple of Missing
        Who could not be told, and why. They go on by themselves when their time is over.

    Raises
    ------
    UserError
        As `timeline`; or nobody is there who could stand still.

    Notes
    -----
    Who froze them does not matter. Cost: two round trips; two seconds when somebody does not answer.
    """
    posts = gather(targets(addresses, secret), nodes=(), deadline_s=ORDER_S).posts
    if not posts:
        raise UserError("no process of a cluster was found on this machine; give addresses= of one, and its secret")
    return tuple(Missing(name, why) for name, why in order(Targets(posts), Thaw()))


@dataclass(frozen=True, slots=True)
class _Press:
    """One press, as `timeline` was asked for it: what is to be gathered, of whom, and what is done to them."""

    nodes: Sequence[str] | str | None
    seconds: float | None
    mode: str
    deadline_s: float
    addresses: Sequence[str] | str | None
    secret: bytes | str | None
    freeze_s: float

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_name("mode", self.mode, MODES, "timeline")
        _check("deadline_s", self.deadline_s, DEADLINE_MAX_S)
        _check("freeze_s", self.freeze_s, DEADLINE_MAX_S)
        if self.seconds is not None:
            _check("seconds", self.seconds, math.inf)

    def timeline(self, rules: Sequence[Rule] | str, decoders: tuple[Decoder | Dialect | str, ...]) -> Timeline:
        """Press; what is wrong with rules, decoders and names is said before anything is done to anybody."""
        _check_rules(rules)
        dialects(decoders)
        names = None if self.nodes is None else texts("nodes", self.nodes)
        began = time.monotonic()
        to = targets(self.addresses, self.secret)

        def left() -> float:
            return max(self.deadline_s - (time.monotonic() - began), LEAST_S)

        freezes = self.freeze_s if self.mode == "freeze" else 0.0
        got = gather(to, nodes=names, seconds=self.seconds, freeze_s=freezes, deadline_s=left())
        if self.mode == "die":
            got.missing += order(Targets(got.posts), Die())
        missing = [Missing(name, why) for name, why in got.missing]
        changes = keys_changes(self.seconds, left()) if self.addresses is None else None
        shown = Timeline.of(got.rings, rules, decoders=decoders, missing=missing, changes=changes)
        shown.n_left_out = got.n_left_out
        return shown


def _check_rules(rules: Sequence[Rule] | str) -> None:
    if isinstance(rules, str):
        parse(rules)
    elif not isinstance(rules, Sequence) or not all(isinstance(rule, Rule) for rule in rules):
        raise UserError(f"rules={rules!r} must be a text with a rule a line, or a list of Rule")


def _check(name: str, value: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        upper = "" if most == math.inf else f" and at most {most:g}"
        raise UserError(f"{name}={value!r} must be seconds, more than 0{upper}")
