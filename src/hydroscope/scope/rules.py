"""What ought to come before what, as data: `exec(t) < run(t) < ack(t)`.

A rule names steps; a step is a kind of record, maybe one whose first bytes begin in a certain way, and the t
that its records have in common is their id, some of their first bytes, or what the record of another step with the same
id has::

    exec(t) = sent "EXEC"
    run(t)  = started
    ack(t)  = sent "ACK" at 4
    put(k)  = put by data[0:8]
    drop(k) = sent "DROP" by data[4:12] big     a number that others have with its least byte first
    done(k) = received "DONE" of drop           answers what was asked
    load(t) = started here                      of one node: others may use the same ids
    exec(t) < run(t) < ack(t)       in this order, and none without the one before
    exec(t) <? run(t)               in this order, where both are there
    exec(t) ~> ack(t)               sooner or later each is followed by one
    once run(t)                     for each t one at most

A rule orders (of records that could be either way round, which `<` decides) and checks (`scope.checking`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.ground.record.layout import DATA_BYTES, Kind

__all__ = ["Rule", "Step", "parse", "rules_of", "written"]


@dataclass(frozen=True, slots=True)
class Step:
    """Records of one kind that begin in one way."""

    name: str
    kind: Kind
    begins: bytes = b""
    at: int = 0
    """Where in the first bytes `begins` begins."""
    by: tuple[int, int] | None = None
    """Which of the first bytes the records of one case have in common; None: their id."""
    is_big: bool = False
    """These bytes are a number with its greatest byte first."""
    is_here: bool = False
    """Records of different nodes are of different cases."""
    of: Step | None = None
    """Only records with the id of one of this step, of whose case they are."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One step before another, in every case in which both are there; or followed by it."""

    before: Step
    after: Step
    follows: bool = False
    """`~>`: what counts is that the second comes at all."""
    if_both: bool = False
    """`<?`: the second may come without the first."""
    once: bool = False
    """Both are the same step, of which there is one at most."""

    @property
    def sign(self) -> str:
        """How it is written between the two."""
        return "~>" if self.follows else "<?" if self.if_both else "<"

    def __str__(self) -> str:
        return f"once {self.after.name}" if self.once else f"{self.before.name} {self.sign} {self.after.name}"


_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b'"': b'"'}
_NAME = r"[A-Za-z_]\w*"
_TERM = re.compile(rf"\s*({_NAME})\s*\(\s*({_NAME})\s*\)\s*")
_MEANING = re.compile(
    rf"\s*({_NAME})(?:\s+(\"(?:[^\"\\]|\\.)*\")(?:\s+at\s+(\d+))?)?"
    rf"(?:\s+by\s+data\[(\d+):(\d+)\](\s+big)?)?(\s+here)?(?:\s+of\s+({_NAME}))?\s*"
)


def parse(text: str) -> tuple[Rule, ...]:
    """Return the rules of a text: one definition or rule a line, `#` before a remark.

    Parameters
    ----------
    text : str
        A step that is not defined is the kind of record of its name.

    Raises
    ------
    UserError
        A line is neither; the text says which, and why.

    Examples
    --------
    >>> [str(rule) for rule in parse("queued(t) < started(t) < ended(t)")]
    ['queued < started', 'started < ended']

    Notes
    -----
    Cost: microseconds a line.
    """
    steps = {kind.name.lower(): Step(kind.name.lower(), kind) for kind in Kind if kind is not Kind.NONE}
    rules: list[Rule] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = _without_remark(raw).strip()
        if not line:
            continue
        try:
            if re.match(rf"{_TERM.pattern}=", line):
                step = _step(line, steps)
                steps[step.name] = step
            else:
                rules += _rules(line, steps)
        except UserError as error:
            raise UserError(f"line {number} of the rules, {line!r}: {error}") from None
    return tuple(rules)


def rules_of(given: Iterable[Rule] | str) -> tuple[Rule, ...]:
    """Return rules that are given as such, or as a text.

    Raises
    ------
    UserError
        They are neither, or `parse` does not understand the text.
    """
    if isinstance(given, str):
        return parse(given)
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in found:
        if not isinstance(each, Rule):
            raise UserError(
                f"rules are one text, with a rule a line, or what hydroscope.scope.rules.parse made: {each!r}"
            )
    return found


def written(rules: Iterable[Rule]) -> str:
    """Return a text that `parse` makes these rules of.

    Examples
    --------
    >>> rules = parse('ack(t) = sent "ACK"\\nstarted(t) ~> ack(t)')
    >>> parse(written(rules)) == rules
    True
    """
    lines = []
    for rule in rules:
        for step in (rule.before, rule.after):
            lines += [*([_defined(step.of)] if step.of else []), _defined(step)]
        of_two = f"{rule.before.name}(t) {rule.sign} {rule.after.name}(t)"
        lines.append(f"once {rule.after.name}(t)" if rule.once else of_two)
    return "\n".join(lines)


def _defined(step: Step) -> str:
    begins = "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\x{c:02x}" for c in step.begins)
    quoted = f' "{begins}" at {step.at}' if step.begins or step.at else ""
    by = f" by data[{step.by[0]}:{step.by[1]}]{' big' if step.is_big else ''}" if step.by else ""
    of = f" of {step.of.name}" if step.of else ""
    return f"{step.name}(t) = {step.kind.name.lower()}{quoted}{by}{' here' if step.is_here else ''}{of}"


def _without_remark(line: str) -> str:
    return re.sub(r'("(?:[^"\\]|\\.)*")|#.*', lambda found: found.group(1) or "", line)


def _step(line: str, steps: Mapping[str, Step]) -> Step:
    term, _, meaning = line.partition("=")
    found = _MEANING.fullmatch(meaning)
    if found is None:
        raise UserError(
            'a step is defined as: name(t) = kind "first bytes" at 0 by data[0:8] big here, or of STEP instead of by; '
            "all but the kind is optional"
        )
    kind, begins, at, low, high, big, here, of = found.groups()
    kinds = {each.name.lower(): each for each in Kind if each is not Kind.NONE}
    if kind not in kinds:
        raise unknown_name("kind of record", kind, kinds, "the recorder")
    by = None if low is None else (int(low), int(high))
    if by is not None and not 0 <= by[0] < by[1] <= min(by[0] + 8, DATA_BYTES):
        raise UserError(f"data[{low}:{high}] is not one to eight of the {DATA_BYTES} bytes that are recorded")
    prefix = _unescaped(begins[1:-1]) if begins else b""
    place = int(at or 0)
    if place + len(prefix) > DATA_BYTES:
        raise UserError(f"only the first {DATA_BYTES} bytes are recorded; {begins} at {place} goes beyond")
    if of is not None:
        if of not in steps:
            raise unknown_name("step", of, steps, "these rules")
        if by is not None or here is not None or steps[of].of is not None:
            raise UserError(f"of {of} says what it has in common; by, here and another of are not for it")
    match = _TERM.match(term)
    assert match is not None
    return Step(match.group(1), kinds[kind], prefix, place, by, big is not None, here is not None, steps.get(of))


def _unescaped(text: str) -> bytes:
    """Return the bytes of a text in quotes."""

    def one(found: re.Match[bytes]) -> bytes:
        said = found[1]
        if len(said) == 3:
            return bytes([int(said[1:], 16)])
        if said not in _ESCAPES:
            raise UserError(f'after \\ comes x and two hex digits, n, r, t, 0, \\ or ", not {said.decode()!r}')
        return _ESCAPES[said]

    return re.sub(rb"\\(x[0-9a-fA-F]{2}|.)", one, text.encode(errors="replace"))


def _rules(line: str, steps: dict[str, Step]) -> list[Rule]:
    is_once = re.match(r"once\s+(?=[A-Za-z_])", line)
    parts = re.split(r"(<\??|~>)", line[is_once.end() :] if is_once else line)
    if len(parts) != 1 if is_once else len(parts) < 3:
        raise UserError("a rule is steps with <, <? or ~> between them, exec(t) < run(t), or one step: once run(t)")
    chain, variables = [], []
    for part in parts[::2]:
        found = _TERM.fullmatch(part)
        if found is None:
            raise UserError(f"{part.strip()!r} is not a step: write name(t)")
        name, variable = found.groups()
        if name not in steps:
            raise unknown_name("step", name, steps, "these rules")
        chain.append(steps[name])
        variables.append(variable)
    if len(set(variables)) > 1:
        raise UserError(f"a rule is about one thing, not about {' and '.join(sorted(set(variables)))}")
    if is_once:
        return [Rule(chain[0], chain[0], once=True)]
    return [
        Rule(before, after, sign == "~>", sign == "<?")
        for before, after, sign in zip(chain, chain[1:], parts[1::2], strict=False)
    ]
