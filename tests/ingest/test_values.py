"""Numbers, times, truth values and UUIDs are exactly what Python makes of the same text."""

from __future__ import annotations

import datetime as dt
import math
import struct
import uuid

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.ingest.plan import Sizes
from tests.ingest.texts import examples, read, write

INT_MAX = 2**63 - 1


def column(folder, cells: list[str], kind: str | None, quoted: bool = False, **options):
    """Read one column; `quoted` puts it between others, each cell in quotes."""
    if quoted:
        lines = ["a,x,b", *(f'0,"{cell}",z' for cell in cells)]
    else:
        lines = ["x", *cells]
    options = {"types": {"x": kind}} if kind else {}
    frame = read(write(folder, "\n".join(lines) + "\n"), sep=",", header=True, **options)
    return frame.types["x"], frame[["x"]].to_dict()["x"]


def bits(value: float | None) -> bytes | None:
    return None if value is None or math.isnan(value) else struct.pack("<d", value)


digits = st.text(st.sampled_from("0123456789"), max_size=25)
signs = st.sampled_from(["", "-", "+"])


@st.composite
def decimals(draw: st.DrawFn) -> str:
    """Draw a number in any spelling that Python's float() takes, whole ones with a point."""
    before, after = draw(digits), draw(digits)
    if not before + after:
        before = "7"
    text = draw(signs) + before + "." + after
    if draw(st.booleans()):
        exponent = draw(st.one_of(st.integers(-30, 30), st.integers(-360, 330)))
        text += draw(st.sampled_from("eE")) + (
            f"+{exponent}" if exponent >= 0 and draw(st.booleans()) else str(exponent)
        )
    return text


reals = st.one_of(
    decimals(),
    st.floats(allow_nan=False).map(repr),
    st.floats(allow_nan=False).map(lambda x: f"{x:.17g}").filter(lambda text: text != "-0"),  # that is the integer 0
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.2f}"),
    st.sampled_from(["inf", "-Infinity", "+INF", "1e400", "-1e-400", "5e-324", "2.2250738585072011e-308"]),
    st.just("9007199254740993.0"),
)


@examples()
@given(cells=st.lists(reals, min_size=1, max_size=60), quoted=st.booleans())
@example(cells=["-0.0", "0.0", "-0e5", "1.0e23", "8.5e22", "1" * 400 + ".5"], quoted=False)
def test_reals_are_rounded_as_by_python(tmp_path, cells, quoted):
    kind, values = column(tmp_path, cells, "real", quoted)
    assert kind == "real"
    assert [bits(value) for value in values] == [bits(float(cell)) for cell in cells]


@examples()
@given(cells=st.lists(st.integers(-INT_MAX, INT_MAX).map(str), min_size=1, max_size=60), quoted=st.booleans())
@example(cells=[str(INT_MAX), str(-INT_MAX), "+5", "007", "-0", " 8 "], quoted=True)
def test_integers_are_exact(tmp_path, cells, quoted):
    kind, values = column(tmp_path, cells, None, quoted)
    assert kind == "int"
    assert values == [int(cell) for cell in cells]


@examples()
@given(
    cells=st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 6)), min_size=1, max_size=60),
    whole=st.lists(st.integers(-(10**6), 10**6), max_size=5),
)
def test_decimals_stay_decimals(tmp_path, cells, whole):
    """Mantissa and decimals are what the codecs get, so 12.34 is 12.34 to the last bit."""
    texts = [f"{'-' if m < 0 else ''}{abs(m) // 10**d}.{abs(m) % 10**d:0{d}}" if d else f"{m}.0" for m, d in cells]
    texts += [str(value) for value in whole]
    _, values = column(tmp_path, texts, "real")
    assert [bits(value + 0.0) for value in values] == [bits(float(text) + 0.0) for text in texts]


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "9223372036854775807"], "int", [1, INT_MAX]),
        (["1", "9223372036854775808"], "string", ["1", "9223372036854775808"]),
        (["1.5", "9223372036854775808"], "real", [1.5, 2.0**63]),
        (["1", "-9223372036854775808"], "string", ["1", "-9223372036854775808"]),
        (["1", "2.5"], "real", [1.0, 2.5]),
        (["1", "1e3"], "real", [1.0, 1000.0]),
        (["0x10", "0x11", "0x10"], "enum", ["0x10", "0x11", "0x10"]),
        (["1_000", "1_000"], "enum", ["1_000", "1_000"]),
        (["1", "NaN", "nan"], "int", [1, None, None]),
        (["inf", "NaN"], "real", [math.inf, None]),
        (["NA", "", "null"], "int", [None, None, None]),
        (["true", "FALSE", "NA"], "bool", [True, False, None]),
        (["1", "0"], "int", [1, 0]),
        (["1.5", "-0", "-0.0"], "real", [1.5, 0.0, -0.0]),
        (["e5", "e5", "1"], "enum", ["e5", "e5", "1"]),
        ([".", ".", "1"], "enum", [".", ".", "1"]),
        (["1e", "1e", "2"], "enum", ["1e", "1e", "2"]),
        (["--1", "--1", "2"], "enum", ["--1", "--1", "2"]),
    ],
)
def test_guesses(tmp_path, cells, kind, values):
    found, ours = column(tmp_path, cells, None)
    assert (found, repr(ours)) == (kind, repr(values))


@pytest.mark.parametrize("small", [Sizes(), Sizes(2, 3, 3, 3)])
def test_columns_of_missing_values_only(tmp_path, small):
    frame = read(write(tmp_path, "a,b,c\n,NA,1\n,,2\nnull,-,3\n"), sizes=small)
    assert frame[["a", "b"]].to_dict() == {"a": [None] * 3, "b": [None] * 3}
    for kind in ("int", "real", "bool", "enum", "time", "string", "uuid"):
        frame = read(write(tmp_path, "a,b\n,1\n,2\n,3\n"), sizes=small, types={"a": kind})
        assert (frame.types["a"], frame[["a"]].to_dict()["a"]) == (kind, [None] * 3)


moments = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))
zones = st.integers(-14 * 60, 14 * 60)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MS = dt.timedelta(milliseconds=1)


def zone_text(minutes: int, colon: bool) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{':' if colon else ''}{rest:02}"


@examples()
@given(
    cells=st.lists(st.tuples(moments, zones, st.integers(0, 5), st.booleans()), min_size=1, max_size=40),
    quoted=st.booleans(),
)
def test_times_with_zones_are_milliseconds_since_1970(tmp_path, cells, quoted):
    texts, wanted = [], []
    for moment, zone, digits, colon in cells:
        if digits == 0:
            moment, zone, text = moment.replace(hour=0, minute=0, second=0, microsecond=0), 0, f"{moment:%Y-%m-%d}"
            text = text.zfill(10)
        else:
            unit = 10 ** (6 - digits)
            moment = moment.replace(microsecond=moment.microsecond // unit * unit)
            text = moment.isoformat(sep="T" if colon else " ", timespec="microseconds")[: 20 + digits]
            text += zone_text(zone, colon) if zone else "Z"
        texts.append(text)
        here = moment.replace(tzinfo=dt.timezone(dt.timedelta(minutes=zone)))
        wanted.append((here - EPOCH) // MS)
    frame = read(write(tmp_path, "x,y\n" + "".join(f'"{t}",1\n' if quoted else f"{t},1\n" for t in texts)), sep=",")
    assert frame.types["x"] == "time"
    assert frame["x"].to_numpy().astype("datetime64[ms]").astype(np.int64).tolist() == wanted


@pytest.mark.parametrize("form", ["%d-%b-%Y", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%d-%b-%Y %H:%M:%S", "%Y-%m-%d %H:%M"])
def test_other_forms_of_time(tmp_path, form):
    moments = [dt.datetime(1999, 12, 31, 23, 59, 58), dt.datetime(2024, 2, 29), dt.datetime(1900, 3, 1, 1, 2, 3)]
    kind, values = column(tmp_path, [f"{moment:{form}}" for moment in moments], None)
    assert kind == "time"
    wanted = [dt.datetime.strptime(f"{moment:{form}}", form).replace(tzinfo=dt.UTC) for moment in moments]
    assert values == wanted


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-10", "2024-01-32", "2024-01-01T24:00", "2024-01-01T10:60",
     "2024-01-01T10:10:60", "2024-1-1", "0000-01-01", "2024-01-01T", "2024-01-01T10", "2024-01-01T10:10:10.",
     "2024-01-01T10:10+25:00", "2024-01-01 x", "20240101", "2024-01-01T10:10:10Zz"],
)  # fmt: skip
def test_what_is_no_time(tmp_path, text):
    with pytest.raises(hs.DataError, match=r"table\.csv:3"):
        column(tmp_path, ["2024-01-01", text], "time")


@examples(50)
@given(cells=st.lists(st.one_of(st.uuids(), st.none()), min_size=1, max_size=40), upper=st.booleans())
def test_uuids(tmp_path, cells, upper):
    texts = ["" if cell is None else str(cell).upper() if upper else str(cell) for cell in cells]
    kind, values = column(tmp_path, texts, "uuid", quoted=True)
    assert (kind, values) == ("uuid", cells)
    assert uuid.UUID(int=0) not in values or uuid.UUID(int=0) in cells


@pytest.mark.parametrize(
    "text",
    ["123e4567-e89b-12d3-a456-42661417400", "123e4567xe89b-12d3-a456-426614174000",
     "g23e4567-e89b-12d3-a456-426614174000", "{23e4567-e89b-12d3-a456-42661417400}"],
)  # fmt: skip
def test_what_is_no_uuid(tmp_path, text):
    with pytest.raises(hs.DataError, match=r"table\.csv:2"):
        column(tmp_path, [text], "uuid")


def test_truth_values_in_words(tmp_path):
    cells = ["true", "False", "T", "f", "yes", "NO", "y", "n", "1", "0", "", "NA"]
    assert column(tmp_path, cells, "bool") == ("bool", [True, False] * 5 + [None, None])
