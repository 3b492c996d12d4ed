"""Whatever stands in a file, and wherever it is cut, its cells are those that other readers find."""

from __future__ import annotations

import csv
import io

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.ingest.plan import DEFAULT_NA, Sizes
from tests.ingest.texts import PACKERS, Table, examples, packed, read, sizes, tables, write

NA = frozenset(DEFAULT_NA)


def strings(path, table, **options):
    return read(path, sep=",", header=True, types=dict.fromkeys(table.names, "string"), **options)


def by_csv(text: bytes) -> list[list[str]]:
    """Return the records as Python's csv module reads them, without blank lines."""
    found = list(csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True))
    return [row for row in found if row and not (len(found[0]) > 1 and len(row) == 1 and not row[0].strip())]


@examples(300)
@given(table=tables(), small=sizes(), packing=st.sampled_from(list(PACKERS)))
def test_cells_are_those_that_were_written(tmp_path, table, small, packing):
    frame = strings(packed(tmp_path, table.text, packing), table, sizes=small)
    assert frame.to_dict() == table.expected(NA)
    assert frame.shape == (len(table.rows), len(table.names))


@given(tables())
def test_the_csv_module_agrees_about_what_was_written(table):
    first, *rows = by_csv(table.text) if len(table.names) > 1 else [list(table.names), *map(list, table.rows)]
    assert first == list(table.names)
    assert rows == [list(row) for row in table.rows]


@examples(40)
@given(table=tables().filter(lambda table: len(table.names) > 1 and len(table.rows) > 0))
def test_polars_and_duckdb_find_the_same_cells(tmp_path, table):
    rows = [[cell.replace("\r", " ") for cell in row] for row in table.rows]  # they split lines at a lone CR
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [list(table.names), *rows]]
    path = write(tmp_path, "\n".join(lines) + "\n")
    ours = strings(path, table, na_strings="no such word", sizes=Sizes(2, 5, 5, 5)).to_dict()
    ours = {name: [cell or "" for cell in column] for name, column in ours.items()}
    theirs = pl.read_csv(path, infer_schema=False).to_dict(as_series=False)
    assert {name: [cell or "" for cell in column] for name, column in theirs.items()} == ours
    base = duckdb.connect()
    query = (
        "select * from read_csv(?, all_varchar=true, header=true, delim=',', quote='\"', escape='\"', new_line='\\n')"
    )
    found = base.execute(query, [str(path)]).fetchall()
    assert [[cell or "" for cell in row] for row in found] == [list(row) for row in zip(*ours.values(), strict=True)]


@examples(60)
@given(table=tables(), other=sizes())
def test_guesses_and_values_do_not_depend_on_sizes(tmp_path, table, other):
    path = write(tmp_path, table.text)
    usual, small = read(path), read(path, sizes=other)
    assert small.types == usual.types
    assert small.to_dict() == usual.to_dict()


def test_every_size_of_window_and_block(tmp_path):
    table = Table(
        ("a", "b"), (("1", 'x,"y"\n\n'), ("", "\r\n"), ('""', "é")), ((False, True),) * 3,
        b'a,b\r\n1,"x,""y""\n\n"\r\n\r\n,"\r\n"\r\n"""""","\xc3\xa9"',
    )  # fmt: skip
    path = write(tmp_path, table.text)
    for n in range(1, len(table.text) + 2):
        for small in (Sizes(1, n, n, n), Sizes(2, n, 1, 1), Sizes(5, 1, n, n)):
            assert strings(path, table, sizes=small).to_dict() == {
                "a": ["1", None, '""'],
                "b": ['x,"y"\n\n', "\r\n", "é"],
            }


@pytest.mark.parametrize("sep", [";", "|", "\t", "\x01", " ", ","])
@pytest.mark.parametrize("given_sep", [False, True])
def test_separators(tmp_path, sep, given_sep):
    text = sep.join(["n", "v", "w"]) + "\n" + "".join(f"{k}{sep}x{k % 3}{sep}{k / 4}\n" for k in range(40))
    frame = read(write(tmp_path, text), sep=sep if given_sep else None)
    assert frame.to_dict() == {
        "n": list(range(40)),
        "v": [f"x{k % 3}" for k in range(40)],
        "w": [k / 4 for k in range(40)],
    }


def test_a_record_larger_than_window_and_block(tmp_path):
    long = "ab\n," * 200_000
    path = write(tmp_path, f'k,text\n1,short\n2,"{long}"\n3,end\n')
    frame = read(path, types={"text": "string"})
    assert frame.to_dict() == {"k": [1, 2, 3], "text": ["short", long, "end"]}
    assert frame.to_dict() == read(packed(tmp_path, path.read_bytes(), ".gz"), types={"text": "string"}).to_dict()


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a,b\n1,2", {}, {"a": [1], "b": [2]}),
        ("1,2\n3,4\n", {}, {"C1": [1, 3], "C2": [2, 4]}),
        ("1,2\n3,4\n", {"header": True}, {"1": [3], "2": [4]}),
        ("a,b\n1,2\n", {"header": False, "types": ["string"] * 2}, {"C1": ["a", "1"], "C2": ["b", "2"]}),
        ("a, b, c\n1, 2, x\n3, 4, y\n", {}, {"a": [1, 3], "b": [2, 4], "c": ["x", "y"]}),
        ("a,b\n# 7,8\n1,2\n", {"comment": "#"}, {"a": [1], "b": [2]}),
        ("# said by hand\na,b\n1,2\n", {"comment": "#"}, {"a": [1], "b": [2]}),
        ("a,b\n'1',\"x\n", {"quote": "'"}, {"a": [1], "b": ['"x']}),
        ("a,b\n1,\"x\n", {"quote": None}, {"a": [1], "b": ['"x']}),
        ("a\n1\n\n2\n", {}, {"a": [1, None, 2]}),
        ("a\n1\n\n2\n", {"skip_blank_lines": True}, {"a": [1, 2]}),
        ("a,a,,b\n1,2,3,4\n", {}, {"a": [1], "a_2": [2], "C3": [3], "b": [4]}),
        ("x,y\n1,2,3\n4,5,6\n", {}, {"row": [1, 4], "x": [2, 5], "y": [3, 6]}),
        ("a,b\n,\n,\n", {}, {"a": [None, None], "b": [None, None]}),
        ("a,b\n", {}, {"a": [], "b": []}),
        ("a,b\nNA,x\n-,\"NA\"\n?,\"\"\n", {}, {"a": [None] * 3, "b": ["x", "NA", ""]}),
        ('"a","b"\n"1",""\n"","x"\n', {}, {"a": [1, None], "b": [None, "x"]}),
    ],
)  # fmt: skip
def test_what_becomes_of(tmp_path, text, options, expected):
    assert read(write(tmp_path, text), **options).to_dict() == expected


def test_columns_are_chosen_in_the_order_asked_for(tmp_path):
    path = write(tmp_path, "a,b,c\n1,x,2.5\n2,y,3.5\n")
    assert list(read(path, columns=["c", "a"]).to_dict().items()) == [("c", [2.5, 3.5]), ("a", [1, 2])]


def test_words_for_missing_values_by_column(tmp_path):
    path = write(tmp_path, "a,b\n-999,-999\nNA,5\n")
    words = {"a": ["-999", "NA"], "b": "5"}
    assert read(path, na_strings=words).to_dict() == {"a": [None, None], "b": [-999, None]}
    assert read(path, na_strings=["-999", "NA"]).to_dict() == {"a": [None, None], "b": [None, 5]}
    numbers = write(tmp_path, "x\n-999.0\n-999\n1.5\n")
    assert read(numbers, na_strings="-999").to_dict() == {"x": [None, None, 1.5]}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252"])
def test_other_encodings(tmp_path, encoding):
    path = write(tmp_path, "name,n\né,1\nüber,2\n".encode(encoding))
    for small in (Sizes(1, 1, 1, 1), Sizes(2, 7, 7, 3)):
        frame = read(path, encoding=encoding, types={"name": "string"}, sizes=small)
        assert frame.to_dict() == {"name": ["é", "über"], "n": [1, 2]}


def test_utf_16_is_known_by_its_mark(tmp_path):
    frame = read(write(tmp_path, "name,n\né,1\n漢,2\n".encode("utf-16")))
    assert frame.to_dict() == {"name": ["é", "漢"], "n": [1, 2]}
