"""Write the pages that are generated from the program: `python -m docs.generate`.

One fact, one place: the codecs come from the codec table, the command line from its
parser, the parameters from the models' own tables, the protocol from its states. A test compares.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["PAGES", "main"]


def codecs() -> str:
    """Return the page of codecs."""
    from hydroscope.codecs.table import CODECS, MISSING_RULES

    rows = [
        (str(row.codec.value), row.name, row.holds, row.range, row.size, row.missing, row.buffers) for row in CODECS
    ]
    rules = "\n".join(f"- {rule}" for rule in MISSING_RULES)
    return _page(
        "Codecs",
        "A column is held in chunks of up to 65,536 rows, each in the codec that takes the fewest bytes (of two that "
        "take as many, the one with the lower number). All are lossless: what comes back is what went in, to the bit.",
        _table(("id", "codec", "holds", "values", "size", "missing", "buffers"), rows)
        + f"\n\n## Missing values\n\n{rules}",
    )


def command_line() -> str:
    """Return the page of the command line."""
    from hydroscope.cli.parser import COMMANDS, EXAMPLES, build

    parser = build(["train"])
    blocks = ["```text", EXAMPLES, "```"]
    commands = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    for name, (summary, examples, _) in COMMANDS.items():
        command = commands.choices[name]
        blocks += [f"\n## hydroscope {name}\n", f"{summary[0].upper()}{summary[1:]}.\n", "```text", examples, "```"]
        for group in command._action_groups:
            rows = [_option(action) for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
            if rows:
                title = {"positional arguments": "arguments", "options": "options"}.get(group.title or "", group.title)
                blocks += [f"\n**{title}**\n", _table(("what", "meaning"), rows)]
    return _page("Command line", "`hydroscope COMMAND --help` says the same in a terminal.", "\n".join(blocks))


def parameters() -> str:
    """Return the page of the models' parameters."""
    from hydroscope.models.spec import CLASSIFIER_ONLY, GBM

    only = " (classifiers only)"
    rows = [
        (
            f"`{each.name}`",
            str(each.default),
            each.rule + (only if each.name in CLASSIFIER_ONLY else ""),
            each.help.replace(only, ""),
            each.hint,
        )
        for each in GBM
    ]
    lead = "Of `GBMRegressor` and `GBMClassifier`; all are keywords. `hydroscope train` has them as options."
    return _page("Parameters of models", lead, _table(("parameter", "default", "allowed", "meaning", "advice"), rows))


def calls() -> str:
    """Return the page of the RPC and its frames."""
    import struct

    from hydroscope.rpc import bulk_states, link, rtt, states
    from hydroscope.rpc.bulk import Limits
    from hydroscope.wire import frame

    def machine(table: Mapping[Any, Any]) -> str:
        rows = []
        for (at, on), (after, actions) in table.items():
            if not any(action.name == "RAISE" for action in actions):
                told = "; ".join(action.value for action in actions) or "nothing"
                rows.append((at.name, on.name, told, "" if after is at else after.name))
        return _table(("state", "event", "what is done, in order", "next state"), rows)

    def meanings(of: Mapping[Any, str]) -> str:
        return _table(("state", "meaning"), [(state.name, meaning) for state, meaning in of.items()])

    fields, offset = [], 0
    for name, code, meaning in frame.FIELDS:
        size = struct.calcsize("!" + code)
        fields.append((str(offset), str(size), name, meaning))
        offset += size
    timing, window, limits = rtt.Timing(), link.Window(), Limits()
    counters = [
        (f"`{name}`", ", ".join(f"{on.name} at {at.name}" for at, on in cells))
        for name, cells in states.COUNTERS.items()
    ]
    parts = [
        _prose(states),
        "## A call, as its client sees it\n",
        meanings(states.CLIENT_MEANINGS) + "\n",
        machine(states.CLIENT),
        "\nEvery other pair of state and event cannot happen and raises.",
        "\n## A call, as its server sees it\n",
        meanings(states.SERVER_MEANINGS) + "\n",
        machine(states.SERVER),
        "\n## How long, how much\n",
        _table(
            ("what", "value"),
            [
                ("wait for an answer, nothing measured yet", f"{timing.first_s} s"),
                ("shortest and longest wait", f"{timing.shortest_s} s, {timing.longest_s} s"),
                ("a call that the server works on is asked after each", f"{timing.probe_s} s"),
                ("calls under way to one peer", f"{window.calls:,}"),
                ("bytes of them; bytes of results that wait for an ACKACK", f"{window.bytes:,}"),
                ("calls that a server remembers one by one", f"{window.table:,}"),
                ("a body goes over a stream from", f"{link.LARGE_BYTES + 1:,} bytes"),
                ("one piece of a large message", f"{limits.piece_bytes:,} bytes"),
                ("pieces under way to one peer", f"{limits.window_bytes:,} bytes"),
                ("large messages of which a part is held", f"{limits.begun}, {limits.begun_bytes:,} bytes"),
                ("a stream without acknowledgements is left after", f"{limits.stall_s} s"),
            ],
        ),
        "\nThe wait for an answer is estimated from round trips as RFC 6298 does, from messages that were sent once; "
        "it grows by half with each resend after the third. When the window is full, calls queue; callers are told.",
        "\n## What is counted\n",
        "`Link.counters` has how often which entry of the tables was used:\n",
        _table(("counter", "entries"), counters),
        "\n## Large messages\n",
        _prose(bulk_states) + "\n",
        machine(bulk_states.STREAM),
        "\n## Frames\n",
        _prose(frame, 0, 2),
        _table(("offset", "bytes", "what", "meaning"), fields),
        f"\nAfter these {frame.HEADER_BYTES} bytes come the body and {frame.MAC_BYTES} bytes of MAC.\n",
        _prose(frame, 2),
        "\n## Why a frame is refused\n",
        _table(("reason", "meaning"), [(f"`{name}`", meaning) for name, meaning in frame.REASONS.items()]),
        "\n`python -m tests.wire.fuzz --frames 1000000` sends a million frames of 24 kinds of attack to two members "
        "and prints what became of them.",
    ]
    lead = (
        "Members of a cluster ask each other by *calls*: each is executed once and answered once, however often the "
        "network loses, doubles or reorders what carries it. This page is drawn from the tables that the program runs."
    )
    return _page("Calls and frames", lead, "\n".join(parts))


def names() -> str:
    """Return the page of public names, whose text mkdocstrings takes from the source."""
    import hydroscope

    blocks = []
    for name in sorted(hydroscope._HOME, key=str.lower):
        home = f"hydroscope.{hydroscope._HOME[name]}"
        blocks.append(f"::: {home if home.endswith(f'.{name}') else f'{home}.{name}'}")
    return _page("Names", "Everything that `import hydroscope as hs` offers, as `hs.NAME`.", "\n\n".join(blocks))


def _option(action: argparse.Action) -> tuple[str, str]:
    flags = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    if action.choices is not None:
        flags += " " + "|".join(str(each) for each in action.choices)
    elif action.option_strings and action.metavar is not None:
        flags += f" {action.metavar}"
    return f"`{flags}`", (action.help or "") + (" (required)" if action.required and action.option_strings else "")


def _prose(module: ModuleType, first: int = 1, last: int | None = None) -> str:
    """Return paragraphs of a module's docstring, whose marks mean the same in Markdown."""
    paragraphs = (module.__doc__ or "").strip().split("\n\n")
    return "\n\n".join(paragraphs[first:last]) + "\n"


def _page(title: str, lead: str, body: str) -> str:
    return f"# {title}\n\n<!-- Generated by `python -m docs.generate`; do not edit. -->\n\n{lead}\n\n{body}\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *(line(row) for row in rows)])


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_line,
    "codecs.md": codecs,
    "names.md": names,
    "parameters.md": parameters,
    "rpc.md": calls,
}
"""Page: what makes its text."""


def main() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (Path(__file__).parent / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
