"""`hydroscope timeline`: press the button, or read what was written when it was pressed; show, convert, open."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hydroscope.cli.screen import Screen
from hydroscope.ground.errors import UserError
from hydroscope.node.ports import EngineError

if TYPE_CHECKING:
    from hydroscope.scope.timeline import Timeline

__all__ = ["run"]

GATHERING = ("node", "seconds", "all", "deadline", "mode", "freeze_s")
SHOWING = ("output", "overwrite", "open", "findings", "table", "rules")
"""Options by what they are about."""

MANY = 200_000
"""Records that take long enough to be put in order for it to be said."""


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Do what was asked for."""
    addresses = [each for each in asked.what if _is_address(each)]
    files = [each for each in asked.what if not _is_address(each)]
    if addresses and files:
        raise UserError(f"{files[0]!r} is a file and {addresses[0]!r} an address; give one sort of them")
    if asked.serve is not None:
        _refuse_idle(asked, ("what", "thaw", *GATHERING, *SHOWING), "for an agent")
        _serve(asked, screen)
        return
    if asked.thaw:
        _refuse_idle(asked, (*GATHERING, *SHOWING), "for --thaw")
        _thaw(addresses, screen)
        return
    if files:
        _refuse_idle(asked, GATHERING, "for files: it is about what is gathered")
    output = None if asked.output is None else Path(asked.output)
    if output is not None:
        _refuse_early(output, asked.overwrite)
    shown = _read(files, asked) if files else _press(addresses, asked, screen)
    if len(shown) > MANY:
        _remark(f"putting {len(shown):,} records in order ...", screen)
    _show(shown, asked, screen)
    if addresses and shown.missing and not len(shown):
        raise EngineError("nobody's recording could be had; it is said above of each, why")
    if output is not None:
        shown.write(output, overwrite=asked.overwrite)
        screen.say(f"written to {output}")
    if asked.open:
        shown.open()


def _refuse_idle(asked: argparse.Namespace, options: Iterable[str], where: str) -> None:
    """Refuse options that would do nothing: who gave them expects that they do."""
    for name in options:
        if getattr(asked, name):
            said = repr(asked.what[0]) if name == "what" else f"--{name.replace('_', '-')}"
            raise UserError(f"{said} has no meaning {where}; leave it out")


def _remark(text: str, screen: Screen) -> None:
    if not screen.quiet:
        print(text, file=sys.stderr, flush=True)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and not os.path.exists(text)


def _serve(asked: argparse.Namespace, screen: Screen) -> None:
    """Answer for this machine until somebody ends it."""
    from hydroscope.engine.dump.targets import serve
    from hydroscope.engine.latch import Latch

    post = serve(asked.serve)
    try:
        screen.result(f"the recordings of this machine are shipped from {post.address} to who knows the secret")
        Latch().wait()
    finally:
        post.close()


def _thaw(addresses: list[str], screen: Screen) -> None:
    from hydroscope.scope.button import thaw

    left = thaw(addresses or None)
    for each in left:
        screen.result(f"not told: {each.name}: {each.why}")
    if left:
        raise EngineError(f"{len(left)} could not be told to go on; they do by themselves when their time is over")
    screen.say("thawed")


def _refuse_early(output: Path, overwrite: bool) -> None:
    """Refuse what cannot be written before the button is pressed: what is to be seen would be gone afterwards."""
    from hydroscope.cli.outputs import refuse_to_lose
    from hydroscope.scope.reading import writer_of

    writer_of(output)
    refuse_to_lose(output, overwrite)


def _rules(asked: argparse.Namespace) -> str:
    if asked.rules is None:
        return ""
    try:
        return Path(asked.rules).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"the rules in {asked.rules!r} must be text in UTF-8: {error.reason} at byte {error.start}"
        ) from None


def _read(files: list[str], asked: argparse.Namespace) -> Timeline:
    from hydroscope.scope.reading import read_timeline

    rules = _rules(asked)
    return read_timeline(files if len(files) > 1 else files[0], **({"rules": rules} if rules else {}))


def _press(addresses: list[str], asked: argparse.Namespace, screen: Screen) -> Timeline:
    from hydroscope.scope.button import timeline

    options = {
        "nodes": asked.node,
        "seconds": math.inf if asked.all else asked.seconds,
        "mode": asked.mode,
        "deadline_s": asked.deadline,
        "addresses": addresses or None,
        "freeze_s": asked.freeze_s,
    }
    rules = _rules(asked)
    at_most = "" if asked.deadline is None else f", for {asked.deadline:g} s at most"
    _remark(f"gathering what was recorded{at_most} ...", screen)
    try:
        shown = timeline(rules=rules, **{name: value for name, value in options.items() if value is not None})
    except KeyboardInterrupt:
        if asked.mode == "freeze":
            _remark("who stands still already goes on when the time is over, or after --thaw", screen)
        raise
    if shown.n_left_out:
        _remark(f"{shown.n_left_out} older recordings are left out; --seconds or --all shows them", screen)
    return shown


def _show(shown: Timeline, asked: argparse.Namespace, screen: Screen) -> None:
    """Print the nodes, what is missing and what is wrong; or only that; or records."""
    from hydroscope.scope.show import summary

    if asked.table is not None:
        last = int(shown.order.rank.argmax()) if len(shown) else None
        screen.result(str(shown.table(around=last, limit=asked.table)))
    elif asked.findings:
        for finding in shown.findings:
            screen.result(f"{finding.kind}: {finding.text}")
        if not shown.findings:
            screen.say("nothing is wrong")
    elif len(shown) or shown.missing:
        screen.result(summary(shown, go_on=False))
    elif asked.node:
        screen.result(f"nothing was recorded under {' or '.join(asked.node)}; without --node all names are shown")
    else:
        screen.result("nothing was recorded here: a program records with hs.Recorder, or as part of a cluster")
