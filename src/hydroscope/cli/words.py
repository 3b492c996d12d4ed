"""Advice of lower floors, which speak Python, in the words of the command line.

A module of its own, because no other floor knows that there is a command line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from hydroscope.models.spec import GBM

__all__ = ["as_options"]

Rewrite = Callable[[re.Match[str]], str]

_PARAMETERS = "|".join(parameter.name for parameter in GBM)

_RULES: tuple[tuple[re.Pattern[str], Rewrite], ...] = (
    (re.compile(r"on_bad_lines='(\w+)' or '(\w+)'"), lambda m: f"--on-bad-lines {m[1]} or {m[2]}"),
    (re.compile(r"\bon_bad_lines\b"), lambda m: "--on-bad-lines"),
    (re.compile(r"types=\{'([^']*)': '(\w+)'\}"), lambda m: f"--types {shlex.quote(f'{m[1]}={m[2]}')}"),
    (re.compile(r"types=\{\.\.\.: '(\w+)'\}"), lambda m: f"--types NAME={m[1]}"),
    (re.compile(r"encoding='([\w-]+)'"), lambda m: f"--encoding {m[1]}"),
    (re.compile(r"\(encoding=\.\.\.\)"), lambda m: "with --encoding"),
    (re.compile(r"^(sep|quote) is (?=')"), lambda m: f"--{m[1]} is "),
    (re.compile(r"\(or None, to have it guessed\)"), lambda m: "(leave it out to have it guessed)"),
    (re.compile(r"\(named in types\)"), lambda m: "(named in --types)"),
    (re.compile(r"leave it out of x\b"), lambda m: "leave it out of --features"),
    (re.compile(r"\buse read_csv\b"), lambda m: "say its --sep"),
    (re.compile(r"quote=None"), lambda m: "--quote none"),
    (re.compile(r"\bna_strings\b"), lambda m: "--na"),
    (re.compile(r"\b(columns|header)=(?=[ ,;.]|$)"), lambda m: f"--{m[1]}"),
    (re.compile(r"(leave it out with )x=\[\.\.\.\]"), lambda m: f"{m[1]}--ignore"),
    (re.compile(r"make levels of it with astype\('enum'\)"), lambda m: "say --types NAME=enum"),
    (re.compile(r"(name it in )x=\[\.\.\.\]"), lambda m: f"{m[1]}--features"),
    (re.compile(r"\boverwrite=True\b"), lambda m: "--overwrite"),
    (re.compile(r"\bgive secret=, or set "), lambda m: "set "),
    (
        re.compile(r"\bgive addresses= of one, and its secret"),
        lambda m: "give host:port of one, and set HYDROSCOPE_SECRET",
    ),
    (re.compile(r"\bdeadline_s=(\S+)"), lambda m: f"--deadline {m[1]}"),
    (re.compile(r"\bfreeze_s=(\S+)"), lambda m: f"--freeze-s {m[1]}"),
    (re.compile(r"\buse GBMClassifier\b"), lambda m: "say --task classify"),
    (re.compile(r"\buse GBMRegressor\b"), lambda m: "say --task regress"),
    (re.compile(rf"\b({_PARAMETERS})='?([^\s:;,']+)'?"), lambda m: f"--{m[1].replace('_', '-')} {m[2]}"),
)
"""What is said, and how it is said here."""


def as_options(text: str) -> str:
    """Return a message with keyword arguments turned into the options that do the same.

    Examples
    --------
    >>> as_options("mend the line, or choose on_bad_lines='skip' or 'null'")
    'mend the line, or choose --on-bad-lines skip or null'
    >>> as_options("max_depth=-3: must be a whole number")
    '--max-depth -3: must be a whole number'
    """
    for pattern, rewrite in _RULES:
        text = pattern.sub(rewrite, text)
    return text
