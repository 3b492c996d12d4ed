"""How a task would run over columns, as text: what `MapReduce.explain` returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydroscope.mapreduce.run import Matched, matched, surveyed
from hydroscope.mapreduce.task import MapReduce
from hydroscope.weave import loop
from hydroscope.weave.failure import place
from hydroscope.weave.names import NotWoven

__all__ = ["Explanation", "LoopShown", "explain"]


@dataclass(frozen=True)
class LoopShown:
    """One woven loop: the codecs its columns are read in (none: decoded by tiles), its rows, its source."""

    codecs: tuple[str, ...]
    n_rows: int
    source: str


@dataclass(frozen=True, repr=False)
class Explanation:
    """How a task would run.

    Attributes
    ----------
    name : str
        Class and function.
    n_rows, n_leaves : int
        What there is to do, and into how many pieces it is cut.
    columns : tuple of str
        For each column its name, type, and chunks by codec.
    compiled : bool
    reason : str
        Why it is not compiled.
    line : str
        Where in the user's source, as `file:line: text`.
    loops : tuple of LoopShown
    """

    name: str
    n_rows: int
    n_leaves: int
    columns: tuple[str, ...]
    compiled: bool
    reason: str = ""
    line: str = ""
    loops: tuple[LoopShown, ...] = ()

    def __str__(self) -> str:
        how = f"compiled (loops: {len(self.loops)})" if self.compiled else f"interpreted: {self.reason}"
        lines = [f"{self.name} over {self.n_rows:,} rows (leaves: {self.n_leaves:,}), {how}"]
        if self.line:
            lines.append(f"  at {self.line}")
        lines += [f"  {column}" for column in self.columns]
        for k, each in enumerate(self.loops, start=1):
            read = "read as " + ", ".join(each.codecs) if each.codecs else "any codec, decoded by tiles"
            lines += ["", f"loop {k}: {each.n_rows:,} rows, {read}", each.source.rstrip()]
        return "\n".join(lines)

    __repr__ = __str__


def explain(task: MapReduce, columns: Sequence[Any]) -> Explanation:
    """Return how the task would run over columns."""
    given = matched(task, columns)
    recipe, layout = given.recipe, given.vecs[0].layout
    shown = tuple(
        f"{name}: {vec.type}" + "".join(f", {n} {codec}" for codec, n in _codecs(vec))
        for name, vec in zip(recipe.column_names, given.vecs, strict=True)
    )
    head = (recipe.name, layout.n_rows, len(layout.leaves), shown)
    if recipe.chunked:
        return Explanation(*head, compiled=False, reason="map_chunk gets arrays, whatever it does with them")
    try:
        loops = loop.prepare(recipe, [surveyed(vec) for vec in given.vecs])
    except NotWoven as error:
        code = recipe.function.__code__
        at = place(code.co_filename, error.line or code.co_firstlineno)
        return Explanation(*head, compiled=False, reason=error.reason, line=at)
    return Explanation(*head, compiled=True, loops=_shown(given, loops))


def _codecs(vec: Any) -> list[tuple[str, int]]:
    """Return how many chunks of a column are held in each codec, the most frequent first."""
    found = Counter(codec.name for leaf in surveyed(vec).leaves for codec in leaf.codecs)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _shown(given: Matched, loops: loop.Loops) -> tuple[LoopShown, ...]:
    rows = [0] * len(loops.woven)
    for leaf in zip(*(surveyed(vec).leaves for vec in given.vecs), strict=True):
        for k, n_rows in enumerate(leaf[0].rows):
            codecs = tuple(column.codecs[k] for column in leaf)
            rows[loops.by_codecs.get(codecs, len(rows) - 1)] += n_rows
    names = {k: tuple(codec.name for codec in codecs) for codecs, k in loops.by_codecs.items()}
    return tuple(
        LoopShown(names.get(k, ()), n, woven.text) for k, (n, woven) in enumerate(zip(rows, loops.woven, strict=True))
    )
