"""The file of the CSV benchmark: an order log with the kinds of columns that such files have.

id         ascending integers with gaps             channel  4 levels, some missing
quantity   1 to about 30, most of them small        state    51 levels, skewed
price      two decimals, 2 % missing                product  5,000 levels, skewed
weight     full-precision doubles, 5 % missing      ordered  dates, ascending with the log
score      full-precision doubles                   shipped  timestamps, 3 % missing
note       a few words or missing (30 %), some      gift     true / false
           with a comma, hence quoted

The same bytes come out every time (seeded, written by polars in blocks of fixed size).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

__all__ = ["write_file"]

BLOCK_ROWS: Final = 250_000
SEED: Final = 20_130_101
SYLLABLES: Final = (
    "ba",
    "con",
    "di",
    "for",
    "ga",
    "hem",
    "in",
    "ko",
    "lum",
    "mer",
    "no",
    "per",
    "ri",
    "sta",
    "tu",
    "vo",
)


def _words(rng: np.random.Generator, n: int) -> npt.NDArray[Any]:
    parts = rng.integers(0, len(SYLLABLES), (n, 3))
    sizes = rng.integers(1, 4, n)
    words = ["".join(SYLLABLES[i] for i in row[:size]) for row, size in zip(parts, sizes, strict=True)]
    return np.array(words, dtype=object)


def _skewed(rng: np.random.Generator, n_levels: int, n: int) -> npt.NDArray[np.int64]:
    """Return level numbers of which the first are the most frequent."""
    return np.asarray(rng.random(n) ** 2 * n_levels, dtype=np.int64)


def _notes(rng: np.random.Generator, words: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    first, second, third = (words[_skewed(rng, len(words), n)] for _ in range(3))
    kind = rng.random(n)
    notes = first + " " + second
    long = kind < 0.25
    notes[long] = notes[long] + " " + third[long]
    comma = kind > 0.97
    notes[comma] = first[comma] + ", " + second[comma]
    notes[(kind > 0.3) & (kind < 0.6)] = None
    return np.asarray(notes)


def _block(index: int, n: int, words: npt.NDArray[Any]) -> pl.DataFrame:
    """Return rows [index * BLOCK_ROWS, ... + n) of the log."""
    import polars as pl

    rng = np.random.default_rng([SEED, index])
    row = index * BLOCK_ROWS + np.arange(n)
    day_s = 86_400
    ordered_s = 1_577_836_800 + row * 15  # one order in 15 seconds since 2020-01-01
    shipped_s = ordered_s + (rng.exponential(2.0, n) * day_s).astype(np.int64)
    products = np.array([f"SKU-{7 * i + 10_000}" for i in range(5_000)], dtype=object)
    states = np.array([a + b for a in "ACDFGHI" for b in "AKLNORSTZ"][:51], dtype=object)
    channels = np.array(["web", "store", "phone", "partner"], dtype=object)
    price = np.round(np.exp(rng.normal(3.2, 1.1, n)), 2)
    frame = pl.DataFrame(
        {
            "id": 1_000_000 + 3 * row + rng.integers(0, 3, n),
            "quantity": 1 + np.minimum(rng.geometric(0.35, n), 40),
            "price": pl.Series(price).cast(pl.Decimal(12, 2)),
            "weight": rng.gamma(2.0, 1.7, n),
            "score": rng.standard_normal(n),
            "channel": channels[_skewed(rng, 4, n)],
            "state": states[_skewed(rng, 51, n)],
            "product": products[_skewed(rng, 5_000, n)],
            "ordered": (ordered_s // day_s * day_s * 1_000_000).astype("datetime64[us]"),
            "shipped": (shipped_s * 1_000_000).astype("datetime64[us]"),
            "note": pl.Series(_notes(rng, words, n).tolist(), dtype=pl.String),
            "gift": rng.random(n) < 0.1,
        }
    )
    missing = {"price": 0.02, "weight": 0.05, "channel": 0.01, "shipped": 0.03}
    holes = [
        pl.when(pl.Series(rng.random(n) >= share)).then(pl.col(name)).otherwise(None).alias(name)
        for name, share in missing.items()
    ]
    return frame.with_columns(pl.col("ordered").cast(pl.Date), *holes)


def write_file(path: Path, n_rows: int) -> None:
    """Write `n_rows` rows of the log to `path`; a finished file is kept.

    Cost: about 6 s a GB, and 200 MB of memory.
    """
    if path.exists():
        return
    words = _words(np.random.default_rng(SEED), 3_000)
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        for first in range(0, n_rows, BLOCK_ROWS):
            block = _block(first // BLOCK_ROWS, min(BLOCK_ROWS, n_rows - first), words)
            block.write_csv(stream, include_header=first == 0, datetime_format="%Y-%m-%d %H:%M:%S")
    os.replace(part, path)
