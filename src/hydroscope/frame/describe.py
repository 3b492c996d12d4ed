"""Frames about frames: a summary of the values, and what holding them costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hydroscope.frame.intake import take_in
from hydroscope.frame.operators import NUMERIC
from hydroscope.frame.quantiles import quantiles
from hydroscope.frame.rollups import rollups
from hydroscope.frame.show import cell
from hydroscope.frame.statistics import as_datetime, sizes
from hydroscope.frame.vec import Vec, VecType
from hydroscope.node import jobs

__all__ = ["codecs_table", "summary_table"]

LEVELS_SHOWN = 4
_QUARTILES = (0.25, 0.5, 0.75)


def summary_table(vecs: Mapping[str, Vec]) -> dict[str, Vec]:
    """Return one row a column; see `Frame.describe`."""
    rows: list[dict[str, Any]] = []
    for i, (name, vec) in enumerate(vecs.items()):
        jobs.report(i / len(vecs), f"describing {name}")
        rows.append({"column": name, "type": str(vec.type), **_numbers(vec), "values": _words(vec)})
    kinds: dict[str, Any] = {
        "column": "string", "type": "string", "missing": "int", "zeros": "int", "mean": "real", "sd": "real",
        "min": "real", "q25": "real", "median": "real", "q75": "real", "max": "real", "values": "string",
    }  # fmt: skip
    columns = {key: _plain(kind, [row.get(key) for row in rows]) for key, kind in kinds.items()}
    return take_in(columns, types={key: kind for key, kind in kinds.items() if kind == "string"})[0]


def _plain(kind: str, values: list[Any]) -> Any:
    """Return values as what Frame takes: floats as an array, in which a missing one is NaN."""
    if kind != "real":
        return values if any(each is not None for each in values) or kind == "string" else np.full(len(values), np.nan)
    return np.array([np.nan if each is None else each for each in values], np.float64)


def _numbers(vec: Vec) -> dict[str, Any]:
    known = rollups(vec)
    found: dict[str, Any] = {"missing": known.n_missing}
    if vec.type in NUMERIC and known.n:
        low, middle, high = quantiles(vec, _QUARTILES)
        found |= {"zeros": known.n_zeros, "mean": known.mean, "sd": known.sigma}
        found |= {"min": known.min, "q25": low, "median": middle, "q75": high, "max": known.max}
    return found


def _words(vec: Vec) -> str | None:
    """Return what a row of numbers does not say: the levels of an enum, the span of times."""
    if vec.type is VecType.ENUM:
        domain = vec.domain or ()
        shown = ", ".join(cell(level) for level in domain[:LEVELS_SHOWN])
        return f"{len(domain):,} levels: {shown}" + (", ..." if len(domain) > LEVELS_SHOWN else "")
    known = rollups(vec)
    if vec.type is VecType.TIME and known.min is not None and known.max is not None:
        return f"{_moment(known.min)} to {_moment(known.max)}"
    if vec.type is VecType.BOOL and known.n:
        return f"{known.total / known.n:.1%} true"
    return None


def _moment(milliseconds: float) -> str:
    """Return a time to the minute (a span is read at a glance; min() and max() are exact)."""
    return cell(as_datetime(milliseconds // 60_000 * 60_000)).removesuffix(":00")


def codecs_table(vecs: Mapping[str, Vec]) -> dict[str, Vec]:
    """Return one row a column; see `Frame.codecs`."""
    costs = [sizes(vec) for vec in vecs.values()]
    columns = {
        "column": list(vecs),
        "type": [str(vec.type) for vec in vecs.values()],
        "codecs": [", ".join(f"{name} {count:,}" for name, count in each.codecs) for each in costs],
        "bytes": np.array([each.nbytes for each in costs], np.int64),
        "uncompressed": np.array([each.plain for each in costs], np.int64),
        "ratio": np.array([each.nbytes / each.plain if each.plain else np.nan for each in costs], np.float64),
    }
    return take_in(columns, types=dict.fromkeys(("column", "type", "codecs"), "string"))[0]
