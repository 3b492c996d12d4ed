"""What frames say of themselves: summary, sizes, text and HTML."""

from __future__ import annotations

import datetime
import uuid
from html.parser import HTMLParser
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given

from hydroscope.codecs.chunk import HEADER_BYTES, Chunk
from hydroscope.codecs.table import CODECS
from hydroscope.frame.frame import Frame
from hydroscope.ground.limits import ROWS_PER_CHUNK
from hydroscope.node.ports import Engine
from tests.frame.cut import cut_frames, frame_cut, rows_of
from tests.frame.tables import assert_same, few

N = ROWS_PER_CHUNK + 1000


def wide() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    return {
        "bit": rng.integers(0, 2, N),
        "crumb": np.array([0.0, 1.0, np.nan])[rng.integers(0, 3, N)],
        "int8": rng.integers(0, 200, N),
        "int16": rng.integers(0, 60_000, N) / 100,
        "int32": rng.integers(0, 2**31, N),
        "int64": rng.integers(-(2**62), 2**62, N),
        "float32": rng.normal(size=N).astype(np.float32),
        "float64": rng.normal(size=N),
        "dict8": rng.normal(size=200)[rng.integers(0, 200, N)],
        "dict16": rng.normal(size=300)[np.arange(N) % 300],
        "sparse": np.where(rng.random(N) < 0.98, 0.0, rng.normal(size=N)),
        "constant": np.full(N, 3.5),
        "missing": np.full(N, np.nan),
        "string": rng.integers(0, 2**60, N).astype(str),
        "string_dict": np.array(["red", "green", "blue"])[rng.integers(0, 3, N)],
        "uuid": pa.array([uuid.UUID(int=int(i)).bytes for i in rng.integers(0, 2**62, N)], pa.binary(16)),
    }


def owner(buffer: npt.NDArray[Any]) -> Any:
    """Return what owns the memory of a buffer."""
    base: Any = buffer
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return base


def buffers_of(chunk: Chunk) -> list[npt.NDArray[Any]]:
    return [*chunk.buffers, *(buffers_of(chunk.inner) if chunk.inner is not None else [])]


def headers_of(chunk: Chunk) -> int:
    return HEADER_BYTES * (2 if chunk.inner is not None else 1)


def test_every_codec_occurs_and_no_byte_is_held_unaccounted() -> None:
    frame = Frame(wide())
    table = frame.codecs().to_dict()
    for name, codecs, n_bytes in zip(table["column"], table["codecs"], table["bytes"], strict=True):
        assert codecs.startswith(f"{name} "), (name, codecs)
        chunks = frame.vecs[name].chunks()
        owners = {id(owner(each)): owner(each) for chunk in chunks for each in buffers_of(chunk)}
        held = sum(each.nbytes if isinstance(each, np.ndarray) else len(each) for each in owners.values())
        assert n_bytes == held + sum(headers_of(chunk) for chunk in chunks), name
    assert {row.name for row in CODECS} == set(table["column"])
    assert frame.nbytes == sum(table["bytes"]) == sum(frame[name].nbytes for name in frame)


def test_rows_taken_out_of_a_frame_do_not_hold_the_rest() -> None:
    frame = Frame(wide())
    for part in (frame[5:9], frame.head(3), frame[frame["int8"] == 7][:3], frame.split([0.0001])[0]):
        for name, vec in part.vecs.items():
            held = {id(owner(each)): owner(each).nbytes for chunk in vec.chunks() for each in buffers_of(chunk)}
            headers = sum(headers_of(chunk) for chunk in vec.chunks())
            assert part[name].nbytes == sum(held.values()) + headers, name
        assert part.nbytes < 100 * len(part.columns) + 60 * part.n_rows * len(part.columns)


def test_the_ratio_is_that_of_the_plain_arrays(engine: Engine) -> None:
    n = 1000
    texts = ["ab", "cde", "f", None] * (n // 4)
    frame = Frame(
        {
            "int": np.arange(n),
            "bool": np.arange(n) % 2 == 0,
            "enum": pd.Categorical(texts),
            "text": texts,
            "uuid": [uuid.UUID(int=i) for i in range(n)],
        }
    )
    table = {row["column"]: row for row in pd.DataFrame(frame.codecs().to_dict()).to_dict("records")}
    assert table["int"]["uncompressed"] == np.arange(n).nbytes
    assert table["bool"]["uncompressed"] == n
    assert table["enum"]["uncompressed"] == 4 * n + len("abcdef")
    assert table["text"]["uncompressed"] == 4 * (n + 1) + sum(len(each or "") for each in texts)
    assert table["uuid"]["uncompressed"] == 16 * n
    for row in table.values():
        assert row["ratio"] == row["bytes"] / row["uncompressed"]
    assert table["int"]["codecs"] == "int16 1"
    assert table["int"]["bytes"] == 2 * n + HEADER_BYTES


def test_describe_agrees_with_pandas(engine: Engine) -> None:
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"x": rng.normal(size=5000), "y": rng.integers(-9, 99, 5000).astype(float)})
    table.loc[::7, "y"] = np.nan
    found = pd.DataFrame(Frame(table).describe().to_dict()).set_index("column")
    expected = table.describe().T
    for ours, theirs in (("mean", "mean"), ("sd", "std"), ("min", "min"), ("max", "max")):
        np.testing.assert_allclose(found[ours].astype(float), expected[theirs], rtol=1e-12)
    for ours, theirs in (("q25", "25%"), ("median", "50%"), ("q75", "75%")):
        np.testing.assert_allclose(found[ours].astype(float), expected[theirs], rtol=1e-12)
    assert found["missing"].tolist() == table.isna().sum().tolist()
    assert found["zeros"].tolist() == (table == 0).sum().tolist()


def test_describe_of_every_type_and_of_nothing() -> None:
    frame = Frame(
        {
            "bool": [True, False, None, True],
            "enum": pd.Categorical(["b", "a", "c", None]),
            "time": [datetime.datetime(2020, 1, 1), None, datetime.datetime(2021, 5, 6, 12), None],
            "text": ["a", None, "b", "c"],
            "uuid": [uuid.UUID(int=1), None, None, None],
            "gone": [None] * 4,
            "inf": [1.0, np.inf, -np.inf, None],
        }
    )
    rows = {row["column"]: row for row in pl.DataFrame(frame.describe()).to_dicts()}
    assert [rows[name]["missing"] for name in frame] == [1, 1, 2, 1, 3, 4, 1]
    assert rows["bool"]["values"] == "66.7% true"
    assert rows["enum"]["values"] == "3 levels: a, b, c"
    assert rows["time"]["values"] == "2020-01-01 to 2021-05-06 12:00"
    assert (rows["inf"]["min"], rows["inf"]["max"], rows["inf"]["sd"]) == (-np.inf, np.inf, None)
    assert rows["gone"]["mean"] is None
    assert Frame().describe().n_rows == 0
    assert Frame({"x": []}).describe().to_dict()["missing"] == [0]


@few
@given(cut_frames())
def test_head_and_tail_are_the_ends(cut: tuple[dict[str, list[Any]], Frame]) -> None:
    table, frame = cut
    n = frame.n_rows
    for k in (0, 1, 5, 20, -3):
        assert_same(frame.head(k).to_dict(), rows_of(table, range(n)[: max(k, 0)]))
        assert_same(frame.tail(k).to_dict(), rows_of(table, range(n)[n - min(max(k, 0), n) :]))


class Cells(HTMLParser):
    """Collects the texts of cells, and every tag that is met."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_html_shows_the_first_rows_and_runs_no_script() -> None:
    frame = Frame({"<b>x</b>": [1, None], "s": ["<script>alert(1)</script>", "a & b"]})
    cells = Cells(frame._repr_html_())
    assert cells.rows == [
        ["<b>x</b>", "s"],
        ["int", "string"],
        ["1", "<script>alert(1)</script>"],
        ["", "a & b"],
    ]
    assert set(cells.tags) <= {"div", "b", "i", "table", "thead", "tbody", "tr", "th", "td", "style"}


def test_html_and_text_of_many_rows_and_columns_stay_small() -> None:
    frame = Frame({f"column{k}": np.arange(100_000) for k in range(200)})
    html, text = frame._repr_html_(), repr(frame)
    assert len(Cells(html).rows) == 12
    assert "160 more columns and 99,990 more rows" in html
    assert max(len(line) for line in text.splitlines()) <= 120
    assert text.splitlines()[0] == "Frame of 100,000 rows and 200 columns"
    assert text.splitlines()[-1] == "... and 99,990 more rows"


def test_text_of_awkward_values_keeps_to_its_cell() -> None:
    frame = Frame({"s": ["a\nb\t\x1b[31m", "x" * 500, None, "zoë"], "t": [1e-300, -0.0, 1 / 3, None]})
    lines = repr(frame).splitlines()
    assert len(lines) == 8
    assert "\x1b" not in repr(frame)
    assert lines[4].split() == [r"a\nb\t\x1b[31m", "1e-300"]
    assert max(map(len, lines)) < 60


def test_rows_that_are_shown_are_all_that_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydroscope.frame import show

    frame = frame_cut({"int": list(range(100))}, [0, 4, 50, 100])
    decoded: list[int] = []
    decode = show.decode_leaf
    monkeypatch.setattr(
        show, "decode_leaf", lambda type, chunks: decoded.extend(c.n_rows for c in chunks) or decode(type, chunks)
    )
    repr(frame)
    assert decoded == [4, 46]
