"""A file read on any engine is the same frame, chunk by chunk."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.node.ports import Engine
from tests.conformance.compare import frame_bits, on_both

N_ROWS = 70_000  # more than a chunk


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a column of every type, missing values, and quotes that hold separators and newlines."""
    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("conformance") / "table.csv"
    words = ["alpha", '"be,ta"', '"gam\nma"', "NA", '"del""ta"']
    lines = ["id,price,kind,when,note,flag"]
    kinds, notes = rng.integers(0, 5, N_ROWS), rng.integers(0, 10**9, N_ROWS)
    prices, days = rng.integers(-99_999, 99_999, N_ROWS), rng.integers(1, 29, N_ROWS)
    for i in range(N_ROWS):
        price = "" if i % 97 == 0 else f"{prices[i] / 100:.2f}"
        lines.append(f"{i},{price},{words[kinds[i]]},2024-02-{days[i]:02d},note {notes[i]},{i % 3 == 0}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_becomes_the_same_chunks(engine: Engine, local: Engine, table: Path) -> None:
    ours, theirs = on_both(engine, local, lambda: frame_bits(hs.read_csv(table)))
    assert ours == theirs


def test_several_compressed_files_become_the_same_chunks(
    engine: Engine, local: Engine, table: Path, tmp_path: Path
) -> None:
    text = table.read_bytes()
    for i in range(2):
        (tmp_path / f"part{i}.csv.gz").write_bytes(gzip.compress(text, 1))
    ours, theirs = on_both(engine, local, lambda: frame_bits(hs.read(str(tmp_path / "part*.csv.gz"))))
    assert ours == theirs
    assert next(iter(ours.values()))[2][-1] == 2 * N_ROWS


def test_a_broken_line_is_told_with_its_number(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text("a,b\n1,2\n3,4,5\n6,7\n", encoding="utf-8")
    with pytest.raises(hs.DataError, match=r"\b3\b"):
        hs.read_csv(path)
