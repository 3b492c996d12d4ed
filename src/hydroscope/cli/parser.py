"""What the command line understands. Light: imports nothing numeric."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from hydroscope import __version__

__all__ = ["COMMANDS", "build"]

PROGRAM = """hydroscope: in-memory analytics you can see inside.

Reads tables into compressed columns, summarises them, trains gradient boosted trees on
them, predicts, and writes reports. And says what processes, of whatever program, did in
their last seconds, and what went wrong."""

EXAMPLES = """examples:
  hydroscope demo                                        the whole tour on 336,776 flights
  hydroscope describe flights.csv.gz                     types, ranges, missing values, compression
  hydroscope train flights.csv --target late -o late.hs  a model, with validation metrics
  hydroscope predict late.hs new.csv -o said.parquet     its predictions
  hydroscope report late.hs valid.csv -o report.html     how good it is, as one HTML file
  hydroscope timeline --open                             what all processes here did in their last seconds

exit codes: 0 done; 1 a fault of hydroscope; 2 something to mend in what was asked or given; 130 Ctrl-C"""

Formatter = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that hints at near misses, and at the whole help rather than the usage alone."""

    def error(self, message: str) -> NoReturn:
        """Refuse a command line: exit code 2, one line."""
        found = re.search(r"invalid choice: '([^']*)'|unrecognized arguments: (--[^\s=]+)", message)
        hint = ""
        if found is not None and found[1] is not None:
            hint = _near(found[1], COMMANDS)
        elif found is not None:
            hint = _near(found[2], self._options())
        self.exit(2, f"{self.prog}: error: {message}{hint}\n{self.prog} --help says what it understands\n")

    def _options(self) -> set[str]:
        """Return the options of this parser and of its commands."""
        own = {option for action in self._actions for option in action.option_strings}
        inner = [each for each in self._actions if isinstance(each, argparse._SubParsersAction)]
        return own.union(*(command._options() for each in inner for command in each.choices.values()))


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    return "; did you mean " + " or ".join(near) + "?" if near else ""


def build(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser. The parameters of models are added when `arguments` ask for training."""
    parser = Parser(
        prog="hydroscope", description=PROGRAM, epilog=EXAMPLES, formatter_class=Formatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"hydroscope {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (summary, example, fill) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=f"examples:\n{example}",
            formatter_class=Formatter,
            allow_abbrev=False,
        )
        if name != "train" or "train" in arguments:
            fill(command)
        _common(command)
    return parser


def _common(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how it runs")
    group.add_argument("-q", "--quiet", action="store_true", help="print results and errors only, no progress")
    group.add_argument(
        "--engine", metavar="ENGINE", help="local (default), ray, or ray://host:port; also HYDROSCOPE_ENGINE"
    )
    group.add_argument("--threads", type=_count, metavar="N", help="threads of the local engine (default: one a core)")


def _reading(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("how files are read")
    group.add_argument("--sep", metavar="CHAR", help="what separates fields (default: guessed; '\\t' is a tab)")
    group.add_argument(
        "--header", choices=("yes", "no"), help="whether the first line holds the names (default: guessed)"
    )
    group.add_argument("--columns", type=_names, metavar="A,B,...", help="read these columns only")
    group.add_argument("--types", type=_types, metavar="A=TYPE,...", help="types: int real bool enum time string uuid")
    group.add_argument("--na", type=_names, metavar="WORD,...", help="what stands for a missing value")
    group.add_argument("--quote", metavar="CHAR", help='what encloses texts (default: "; none: nothing does)')
    group.add_argument("--encoding", metavar="NAME", help="of the text, for instance latin-1 (default: utf-8)")
    group.add_argument(
        "--on-bad-lines", choices=("error", "skip", "null"), help="lines with too many fields or bad values"
    )


def _describe(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a CSV file (.gz .bz2 .zip .zst too), or a glob in quotes")
    _reading(command)


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="rows to learn from")
    command.add_argument("--target", required=True, metavar="COL", help="the column to predict")
    command.add_argument("-o", "--output", required=True, metavar="MODEL", help="where the model goes")
    command.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists")
    command.add_argument(
        "--task", choices=("auto", "classify", "regress"), default="auto",
        help="auto (default): classes when the target is enum, bool or string, or only 0 and 1",
    )  # fmt: skip
    group = command.add_argument_group("rows and columns")
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument("--validation", metavar="FILE", help="rows to measure on")
    held_out.add_argument("--split", type=_share, metavar="SHARE", help="learn from this share, measure on the rest")
    group.add_argument("--features", type=_names, metavar="A,B,...", help="learn from these columns (default: all)")
    group.add_argument("--ignore", type=_names, metavar="A,B,...", help="leave these columns out")
    group.add_argument("--weights", metavar="COL", help="column of row weights")
    _reading(command)
    _parameters(command)


def _parameters(command: argparse.ArgumentParser) -> None:
    """Add one option a parameter of the model, from the model's own table."""
    from hydroscope.models.spec import GBM

    group = command.add_argument_group("gradient boosting")
    for parameter in GBM:
        option = "--" + parameter.name.replace("_", "-")
        default = "" if parameter.default is None else f"; default {parameter.default}"
        said = f"{parameter.help}: {parameter.rule}{default}"
        metavar = {"int": "N", "float": "X"}.get(parameter.kind, "W")
        group.add_argument(option, dest=f"model_{parameter.name}", metavar=metavar, help=said.replace("%", "%%"))


def _predict(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="a model that `train` or `save` wrote")
    command.add_argument("file", metavar="FILE", help="rows to predict")
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="a .csv or .parquet file")
    command.add_argument("--keep", type=_names, metavar="A,B,...", help="columns of FILE to copy to OUT")
    command.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    _reading(command)


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="a model that `train` or `save` wrote")
    command.add_argument("file", metavar="FILE", help="rows to measure on, with the target")
    command.add_argument("-o", "--output", default="report.html", metavar="OUT", help="default: report.html")
    command.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    _reading(command)


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", default="hydroscope-demo", metavar="FOLDER", help="default: hydroscope-demo")


def _timeline(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="*", metavar="WHAT",
        help="host:port of posts or agents, asked with the secret in HYDROSCOPE_SECRET; or files to show, written "
        "before or by others (default: this machine, and the clusters that processes here belong to)",
    )  # fmt: skip
    command.add_argument("-o", "--output", metavar="FILE", help="write it: .timeline, .html, .pftrace, .json, ...")
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    command.add_argument("--open", action="store_true", help="show it in a browser")
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("--findings", action="store_true", help="print only what is wrong")
    shown.add_argument("--table", type=_count, nargs="?", const=40, metavar="N", help="print the last N records (40)")
    group = command.add_argument_group("what is gathered")
    group.add_argument("--node", action="append", metavar="NAME", help="these only, or patterns; more than once")
    span = group.add_mutually_exclusive_group()
    span.add_argument(
        "--seconds",
        type=_seconds,
        metavar="S",
        help="of history (default: of what runs, or ended in the last minute, all)",
    )
    span.add_argument("--all", action="store_true", help="with what is left of earlier runs")
    group.add_argument("--rules", metavar="FILE", help="what ought to come before what, a line each")
    group.add_argument("--deadline", type=_seconds, metavar="S", help="to wait for answers (default: 5)")
    group = command.add_argument_group("what is done to the processes")
    group.add_argument(
        "--mode", choices=("stay", "freeze", "die"),
        help="stay (default): go on; freeze: members of clusters stand still; die: they and agents end, with exit "
        "status 86, whatever --node says",
    )  # fmt: skip
    group.add_argument("--freeze-s", type=_seconds, metavar="S", help="then they go on (default: 60)")
    group.add_argument("--thaw", action="store_true", help="let those go on that stand still, whoever froze them")
    group.add_argument("--serve", metavar="HOST:PORT", help="be an agent: ship this machine's recordings until ended")


Fill = Callable[[argparse.ArgumentParser], None]

COMMANDS: dict[str, tuple[str, str, Fill]] = {
    "demo": (
        "load 336,776 flights, describe them, train, validate, predict, and write a report",
        "  hydroscope demo\n  hydroscope demo --output /tmp/tour",
        _demo,
    ),
    "describe": (
        "summarise a file: types, ranges, missing values, compression",
        "  hydroscope describe flights.csv.gz\n"
        "  hydroscope describe 'logs/2024-*.csv' --columns user,spent\n"
        "  hydroscope describe measured.txt --sep ';' --na '-999'",
        _describe,
    ),
    "train": (
        "train gradient boosted trees on a file",
        "  hydroscope train flights.csv --target late --split 0.8 -o late.hs\n"
        "  hydroscope train train.csv --target price --validation valid.csv --n-estimators 200 -o price.hs",
        _train,
    ),
    "predict": (
        "predict the rows of a file with a saved model",
        "  hydroscope predict late.hs new.csv -o said.parquet\n"
        "  hydroscope predict late.hs new.csv --keep id -o said.csv --overwrite",
        _predict,
    ),
    "report": (
        "write an HTML report: metrics and plots of a saved model on a file",
        "  hydroscope report late.hs valid.csv -o report.html",
        _report,
    ),
    "timeline": (
        "gather what all processes recorded in their last seconds, in one order of cause and effect",
        "  hydroscope timeline --open\n"
        "  hydroscope timeline --seconds 5 -o crash.html\n"
        "  hydroscope timeline 10.0.0.7:4711 --mode freeze\n"
        "  hydroscope timeline --serve 10.0.0.7:4711",
        _timeline,
    ),
}
"""Name: summary, examples, and what adds its arguments."""


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; write names separated by commas")
    return names


def _types(text: str) -> dict[str, str]:
    pairs = [part.rsplit("=", 1) for part in _names(text)]
    if any(len(pair) != 2 for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r}: write COLUMN=TYPE, separated by commas")
    return {name.strip(): kind.strip() for name, kind in pairs}


def _share(text: str) -> float:
    value = _number(text, float, "a share between 0 and 1, such as 0.8")
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r}: a share lies between 0 and 1, such as 0.8")
    return float(value)


def _count(text: str) -> int:
    value = _number(text, int, "a whole number, at least 1")
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number, at least 1")
    return int(value)


def _seconds(text: str) -> float:
    value = _number(text, float, "seconds, more than 0")
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds, more than 0")
    return float(value)


def _number(text: str, kind: Callable[[str], Any], rule: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: {rule}") from None
