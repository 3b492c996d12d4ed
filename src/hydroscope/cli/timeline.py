"""`hydroscope timeline`: press the button, or read what was written when it was pressed; show, convert, open."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydroscope.cli.screen import Screen
from hydroscope.ground.errors import UserError

if TYPE_CHECKING:
    from hydroscope.scope.timeline import Timeline

__all__ = ["run"]


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Do what was asked for."""
    if asked.serve is not None:
        _serve(asked, screen)
        return
    addresses = [each for each in asked.what if _is_address(each)]
    files = [each for each in asked.what if not _is_address(each)]
    if addresses and files:
        raise UserError(f"{files[0]!r} is a file and {addresses[0]!r} an address; give one sort of them")
    if asked.thaw:
        _thaw(addresses, screen)
        return
    output = None if asked.output is None else Path(asked.output)
    if output is not None:
        _refuse_early(output, asked.overwrite)
    shown = _read(files, asked) if files else _press(addresses, asked, screen)
    _show(shown, asked, screen)
    if output is not None:
        shown.write(output, overwrite=True) if asked.overwrite else shown.write(output)
        screen.say(f"written to {output}")
    if asked.open:
        shown.open()


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
    if not left:
        screen.say("thawed")


def _refuse_early(output: Path, overwrite: bool) -> None:
    """Refuse what cannot be written before the button is pressed: what is to be seen would be gone afterwards."""
    from hydroscope.cli.outputs import refuse_to_lose
    from hydroscope.scope.reading import writer_of

    writer_of(output)
    refuse_to_lose(output, overwrite)


def _rules(asked: argparse.Namespace) -> str:
    return "" if asked.rules is None else Path(asked.rules).read_text(encoding="utf-8")


def _read(files: list[str], asked: argparse.Namespace) -> Timeline:
    from hydroscope.scope.reading import read_timeline

    rules = _rules(asked)
    return read_timeline(files if len(files) > 1 else files[0], **({"rules": rules} if rules else {}))


def _press(addresses: list[str], asked: argparse.Namespace, screen: Screen) -> Timeline:
    from hydroscope.scope.button import timeline

    if not screen.quiet:
        print("gathering what was recorded ...", file=sys.stderr, flush=True)
    shown = timeline(
        nodes=asked.node,
        seconds=math.inf if asked.all else asked.seconds,
        rules=_rules(asked),
        mode=asked.mode,
        deadline_s=asked.deadline,
        addresses=addresses or None,
        freeze_s=asked.freeze_s,
    )
    if shown.n_left_out and not screen.quiet:
        print(f"{shown.n_left_out} older recordings are left out: --seconds or --all", file=sys.stderr, flush=True)
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
    elif len(shown) or shown.missing:
        screen.result(summary(shown, go_on=False))
    else:
        screen.result("nothing was recorded here: a program records with hs.Recorder, or as part of a cluster")
