"""Lines and values that do not fit: said with file, line, value, rule and next step; left out, or made missing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.ingest.plan import Sizes
from tests.ingest.texts import PACKERS, examples, packed, read, sizes, write

BROKEN = (
    "k,n,word\n"  # line 1
    '1,10,"two\nlines"\n'  # 2, 3
    "2,20\n"  # 4: too few
    "3,30,c\n"  # 5
    "4,40,d,e\n"  # 6: too many
    '5,50,"f" g\n'  # 7: text behind the quote
    "6,sixty,h\n"  # 8: not an int
    "7,70,i\n"  # 9
)
BAD_LINES = [4, 6, 7, 8]
KEPT = {"k": [1, 3, 7], "n": [10, 30, 70], "word": ["two\nlines", "c", "i"]}
NULLED = {
    "k": [1, 2, 3, 4, None, 6, 7],
    "n": [10, 20, 30, 40, None, None, 70],
    "word": ["two\nlines", None, "c", "d", None, "h", "i"],
}
LINES_KEPT = [2, 5, 9]
LINES_NULLED = [2, 4, 5, 6, 7, 8, 9]
TYPES = {"n": "int", "word": "string"}


@examples()
@given(small=sizes(), packing=st.sampled_from(["", "", ".gz"]), policy=st.sampled_from(["skip", "null"]))
def test_bad_lines_are_left_out_or_made_missing_wherever_the_text_is_cut(tmp_path, small, packing, policy):
    path = packed(tmp_path, BROKEN.encode(), packing)
    frame = read(path, types=TYPES, on_bad_lines=policy, sizes=small)
    assert frame.to_dict() == (KEPT if policy == "skip" else NULLED)
    report = frame.parse_report
    assert report.n_bad_lines == 4
    assert [bad.line for bad in report.bad_lines] == BAD_LINES
    assert {bad.file for bad in report.bad_lines} == {str(path)}
    lines = LINES_KEPT if policy == "skip" else LINES_NULLED
    assert [frame.source_of(row) for row in range(frame.n_rows)] == [f"{path}:{line}" for line in lines]


@pytest.mark.parametrize("small", [Sizes(), Sizes(1, 1, 1, 1), Sizes(2, 9, 7, 5)])
@pytest.mark.parametrize("packing", list(PACKERS))
def test_the_first_bad_line_stops(tmp_path, small, packing):
    path = packed(tmp_path, BROKEN.encode(), packing)
    with pytest.raises(hs.DataError, match=r":4: the line has 2 fields, not 3; fix the line, or choose on_bad_lines="):
        read(path, types=TYPES, sizes=small)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ('a,b\n1,"x\n2,y\n', {}, ":2: a quote is opened in this record and not closed in the 9 bytes to the end;"),
        ("a\n1\n2\nx\n", {"types": {"a": "int"}}, ":4: column 'a' holds 'x', but its type int needs a whole number"),
        ("a\n1\n9223372036854775808\n", {"types": {"a": "int"}}, ":3: column 'a' holds '9223372036854775808'"),
        ("a\n1.5\n", {"types": {"a": "int"}}, ":2: column 'a' holds '1.5'"),
        ('a,b\n1,"p\nq"\nx,r\n', {"types": {"a": "real"}}, ":4: column 'a' holds 'x', but its type real needs"),
        ("a\n2024-02-30\n", {"types": {"a": "time"}}, ":2: column 'a' holds '2024-02-30', but its type time needs"),
        ("a\nmaybe\n", {"types": {"a": "bool"}}, "its type bool needs true or false"),
        (b"a,b\n1,caf\xe9\n", {}, ":2: column 'b' holds 'caf\\xe9', which is not UTF-8; name the file's encoding"),
    ],
)  # fmt: skip
def test_messages_have_file_line_value_rule_and_next_step(tmp_path, text, options, said):
    path = write(tmp_path, text)
    with pytest.raises(hs.DataError) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"{path}:")
    assert said in str(caught.value)
    assert re.search(r"; (close|fix|give|name|fetch) ", str(caught.value))


@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("policy", ["skip", "null"])
@pytest.mark.parametrize("small", [Sizes(), Sizes(2, 3, 3, 3)])
def test_a_quote_that_is_never_closed_ends_the_file_there(tmp_path, packing, policy, small):
    path = packed(tmp_path, b'a,b\n1,x\n2,y\n3,"z\n4,w\n', packing)
    frame = read(path, on_bad_lines=policy, sizes=small)
    assert frame.to_dict() == {"a": [1, 2], "b": ["x", "y"]}
    (bad,) = frame.parse_report.bad_lines
    assert bad.line == 4


def test_all_bad_lines_are_counted_and_the_first_are_told(tmp_path):
    frame = read(write(tmp_path, "a,b\n" + "1\n" * 1_000 + "1,2\n"), on_bad_lines="skip")
    report = frame.parse_report
    assert (report.n_bad_lines, len(report.bad_lines), frame.n_rows) == (1_000, 100, 1)
    assert "1,000 bad lines" in str(report)


def test_what_was_widened_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("hydroscope.ingest.guess.HEAD_BYTES", 16)
    monkeypatch.setattr("hydroscope.ingest.guess.N_MIDDLES", 0)
    path = write(tmp_path, "a,b\n" + "1,x\n" * 20 + "2.5,x\n" + "1,x\n" * 20)
    report = read(path).parse_report
    assert [each[:3] for each in report.widened] == [("a", "int", "real")]
    assert (report.n_rows, report.n_bytes, report.files) == (41, path.stat().st_size - 4, (str(path),))
    assert "column 'a' was guessed int and is real" in str(report)


LATE = [
    ("int", ["1"], "2.5", "real"),
    ("int", ["1"], "1e400", "real"),
    ("int", ["1", "2"], "x", "enum"),
    ("int", [str(k) for k in range(400)], "x", "string"),
    ("int", ["1", "2"], "99999999999999999999", "string"),
    ("real", ["1.5", "1.5"], "x", "enum"),
    ("time", ["2024-01-01"], "2024-02-30", "enum"),
    ("bool", ["true", "false"], "maybe", "enum"),
    ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], "none", "enum"),
]


@pytest.mark.parametrize(("first", "cells", "late", "wider"), LATE, ids=[f"{e[0]}-{e[3]}-{e[2]}" for e in LATE])
@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("policy", ["error", "skip", "null"])
def test_a_type_is_widened_by_what_stands_in_a_later_piece(
    tmp_path, monkeypatch, first, cells, late, wider, packing, policy
):
    monkeypatch.setattr("hydroscope.ingest.guess.HEAD_BYTES", 512)
    monkeypatch.setattr("hydroscope.ingest.guess.N_MIDDLES", 0)
    column = [cells[k % len(cells)] for k in range(400)] + [late] + ["NA", *cells]
    text = "k,v,w\n" + "".join(f"{k},{cell},z\n" for k, cell in enumerate(column))
    path = packed(tmp_path, text.encode(), packing)
    assert read(path, sizes=Sizes(50)).types["v"] == wider
    frame = read(path, sizes=Sizes(50, 64, 64, 100), on_bad_lines=policy)
    assert frame.types == {"k": "int", "v": wider, "w": "enum"}
    missing = [None if cell == "NA" else cell for cell in column]
    wanted = [None if cell is None else float(cell) for cell in missing] if wider == "real" else missing
    assert frame.to_dict() == {"k": list(range(len(column))), "v": wanted, "w": ["z"] * len(column)}
    assert [each[0] for each in frame.parse_report.widened] == ["v"]


def test_an_int_becomes_real_and_then_text(tmp_path, monkeypatch):
    monkeypatch.setattr("hydroscope.ingest.guess.HEAD_BYTES", 64)
    monkeypatch.setattr("hydroscope.ingest.guess.N_MIDDLES", 0)
    cells = ["1"] * 100 + ["2.50"] + ["1"] * 100 + ["x"] + ["007"] * 5
    frame = read(write(tmp_path, "v\n" + "\n".join(cells) + "\n"), sizes=Sizes(20, 16, 16, 16))
    assert frame.to_dict() == {"v": cells}


@pytest.mark.parametrize("policy", ["error", "skip", "null"])
def test_what_does_not_fit_a_type_that_was_asked_for_is_not_widened(tmp_path, policy):
    path = write(tmp_path, "v,w\n" + "1,a\n" * 70 + "x,b\n" + "2,c\n" * 9)
    options = {"types": {"v": "int"}, "on_bad_lines": policy, "sizes": Sizes(10, 20, 20, 20)}
    if policy == "error":
        with pytest.raises(hs.DataError, match=r":72: column 'v' holds 'x'"):
            read(path, **options)
        return
    values = read(path, **options).to_dict()["v"]
    assert values == [1] * 70 + ([None] if policy == "null" else []) + [2] * 9


def test_levels_of_all_pieces_make_one_sorted_domain(tmp_path):
    words = [f"w{k * 7919 % 100:02}" for k in range(1_000)]
    path = write(tmp_path, "v,k\n" + "".join(f"{word},{k}\n" for k, word in enumerate(words)))
    frame = read(path, sizes=Sizes(37, 64, 64, 64), types={"v": "enum"})
    assert frame.vecs["v"].domain == tuple(sorted(set(words)))
    assert frame.to_dict()["v"] == words


def test_what_is_no_text_is_said_to_be_none(tmp_path):
    with pytest.raises(hs.DataError, match=r"table\.csv does not hold text: 200 of its first 2,048 bytes"):
        read(write(tmp_path, bytes(range(256)) * 8))
    for encoding in ("utf-16-le", "utf-16-be"):
        with pytest.raises(hs.DataError, match=f"UTF-16 without a byte order mark; read with encoding='{encoding}'"):
            read(write(tmp_path, "a,b\n1,2\n".encode(encoding)))
    with pytest.raises(hs.DataError, match="holds only blank lines: there is no line to read"):
        read(write(tmp_path, "\n \n\n"))
    with pytest.raises(hs.DataError, match="is empty: there is no line to read"):
        read(write(tmp_path, ""))


def test_a_few_zero_bytes_are_text(tmp_path):
    frame = read(write(tmp_path, b"a,b\n1,x\0y\n2,\0\n"), types={"b": "string"})
    assert frame.to_dict() == {"a": [1, 2], "b": ["x\0y", "\0"]}


class Halt(hs.MapReduce):
    """Raises in the row where k is 3."""

    n: int = 0

    def map(self, k, x):
        if k == 3:
            raise ValueError("no such k")
        self.n += 1


@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("small", [Sizes(), Sizes(1, 7, 5, 9)])
def test_the_error_of_a_map_names_file_and_line_of_the_data(tmp_path, packing, small):
    path = packed(tmp_path, b'k,text,x\n1,"a\n\nb",1\n2,"c\r\nd",2\n3,"e\n",3\n4,f,4\n', packing)
    frame = read(path, sizes=small)
    for columns in (frame[["k", "x"]], frame[["k", "x"]].rename({"k": "k"})):
        with pytest.raises(hs.UserError, match="no such k") as caught:
            Halt().do_all(columns)
        assert f"which was read from {path}:7" in str(caught.value)
