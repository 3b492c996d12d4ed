"""Several files, globs, compressed and damaged ones; progress, cancellation, and where each row came from."""

from __future__ import annotations

import gzip
import os
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.engine.local import LocalEngine
from hydroscope.ingest.plan import Sizes
from hydroscope.node import jobs, ports
from tests.ingest.texts import PACKERS, examples, packed, read, sizes, write


def locate(frame) -> list[str]:
    return [frame.source_of(row) for row in range(frame.n_rows)]


@examples()
@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    packings=st.lists(st.sampled_from(list(PACKERS)), min_size=4, max_size=4),
    small=sizes(),
    ending=st.booleans(),
)
def test_files_of_any_kind_follow_one_another(tmp_path, counts, packings, small, ending):
    paths, values, places = [], [], []
    for k, (n, packing) in enumerate(zip(counts, packings, strict=False)):
        rows = [(f"{k}.{i}", f'"{k}\n{i}"') for i in range(n)]
        text = "\n".join(["name,text", *(f"{a},{b}" for a, b in rows)]) + ("\n" if ending else "")
        paths.append(packed(tmp_path, text.encode(), packing, f"part{k}.csv"))
        values += [f"{k}\n{i}" for i in range(n)]
        inside = ":table.csv" if packing == ".zip" else ""
        places += [f"{paths[-1]}{inside}:{2 + 2 * i}" for i in range(n)]
    frame = read(paths, types={"name": "string", "text": "string"}, header=True, sep=",", sizes=small)
    assert frame.to_dict()["text"] == values
    assert locate(frame) == places


def test_a_glob_takes_files_in_the_order_of_their_names(tmp_path):
    for name, value in (("b.csv", 2), ("a.csv", 1), ("c.txt", 9)):
        write(tmp_path, f"v\n{value}\n", name)
    assert hs.read_csv(str(tmp_path / "*.csv")).to_dict() == {"v": [1, 2]}
    assert hs.read_csv([tmp_path / "c.txt", str(tmp_path / "b*")]).to_dict() == {"v": [9, 2]}


def test_columns_are_matched_by_name_in_every_file(tmp_path):
    paths = [write(tmp_path, "a,b\n1,x\n", "1.csv"), write(tmp_path, "b,a\ny,2\n", "2.csv")]
    for small in (Sizes(), Sizes(1, 2, 2, 2)):
        assert read(paths, sizes=small).to_dict() == {"a": [1, 2], "b": ["x", "y"]}
        assert read(paths, sizes=small, columns=["b"]).to_dict() == {"b": ["x", "y"]}


@pytest.mark.parametrize(
    ("other", "said"),
    [("a\n1\n", "lacks 'b'"), ("a,b,c\n1,2,3\n", "has also 'c'"), ("a,z\n1,2\n", "lacks 'b' and has 'z' instead")],
)
def test_files_with_other_columns_are_refused(tmp_path, other, said):
    paths = [write(tmp_path, "a,b\n1,x\n", "1.csv"), write(tmp_path, other, "2.csv")]
    with pytest.raises(hs.DataError, match=said):
        read(paths)


def test_empty_files_among_others_are_left_out(tmp_path):
    paths = [write(tmp_path, text, f"{k}.csv") for k, text in enumerate(["", "a\n1\n", "\n\n", "a\n2\n"])]
    frame = read(paths)
    assert frame.to_dict() == {"a": [1, 2]}
    notes = frame.parse_report.notes
    assert [note.split("csv ")[1] for note in notes] == [
        "is empty, and was left out",
        "holds only blank lines, and was left out",
    ]


def test_a_zip_of_several_files(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/1.csv", "a\n1\n2\n")
        archive.writestr("x/2.csv", "a\n3\n")
        archive.writestr("__MACOSX/._1.csv", "rubbish")
    frame = read(path)
    assert frame.to_dict() == {"a": [1, 2, 3]}
    assert locate(frame) == [f"{path}:x/1.csv:2", f"{path}:x/1.csv:3", f"{path}:x/2.csv:2"]


def test_gzip_of_several_members(tmp_path):
    path = write(tmp_path, gzip.compress(b"a,b\n1,2\n3,") + gzip.compress(b"4\n5,6\n"), "t.csv.gz")
    assert read(path, sizes=Sizes(1, 2, 2, 2)).to_dict() == {"a": [1, 3, 5], "b": [2, 4, 6]}


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".zip", ".zst"])
def test_a_compressed_file_that_is_cut_off_is_said_to_be(tmp_path, packing):
    path = packed(tmp_path, ("a,b\n" + "".join(f"{k},{k * 7919 % 1000}\n" for k in range(20_000))).encode(), packing)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(hs.DataError, match="cut off") as caught:
        read(path)
    assert path.name in str(caught.value)


def test_compression_is_known_by_content_not_by_name(tmp_path):
    path = write(tmp_path, gzip.compress(b"a\n1\n"), "table.csv")
    assert hs.read(path).to_dict() == {"a": [1]}
    plain = write(tmp_path, "a\n1\n", "plain.gz")
    assert hs.read(plain).to_dict() == {"a": [1]}


def test_pandas_reads_the_same_table(tmp_path):
    n = 3_000
    table = pd.DataFrame({
        "i": range(n), "x": [k / 7 for k in range(n)], "s": [f"t{k % 11}" for k in range(n)],
        "q": [f'say "{k}", or\nnot' for k in range(n)], "b": [k % 3 == 0 for k in range(n)],
        "d": pd.date_range("2020-02-28", periods=n, freq="h"),
    })  # fmt: skip
    table.loc[5::50, ["x", "s"]] = None
    path = tmp_path / "pandas.csv"
    table.to_csv(path, index=False)
    frame = read(path, sizes=Sizes(500, 999, 777))
    assert frame.types == {"i": "int", "x": "real", "s": "enum", "q": "string", "b": "bool", "d": "time"}
    ours, theirs = frame.to_pandas(), pd.read_csv(path)
    assert all(ours[name].tolist() == theirs[name].tolist() for name in ("i", "q", "b"))
    assert ours["x"].to_numpy().tobytes() == table["x"].to_numpy().tobytes()
    assert [each if isinstance(each, str) else None for each in ours["s"]] == [
        each if isinstance(each, str) else None for each in theirs["s"]
    ]
    assert [each.replace(tzinfo=None) for each in ours["d"]] == table["d"].tolist()


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_the_number_of_threads_does_not_matter(tmp_path, n_threads, packing):
    text = "k,v,w\n" + "".join(f'{k},{k * 7919 % 1000 / 8},"l{k % 13}\n"\n' for k in range(2_000))
    path = packed(tmp_path, text.encode(), packing)
    engine = LocalEngine(n_threads)
    before = ports.install(engine)
    try:
        frame = read(path, sizes=Sizes(100, 512, 300, 700))
        found = frame.to_dict()
    finally:
        ports.restore(before)
        engine.shutdown()
    assert found == {
        "k": list(range(2_000)),
        "v": [k * 7919 % 1000 / 8 for k in range(2_000)],
        "w": [f"l{k % 13}\n" for k in range(2_000)],
    }


@pytest.mark.parametrize("packing", ["", ".gz", ".zst", ".zip"])
def test_progress_goes_by_bytes_and_ends_at_one(tmp_path, packing, monkeypatch):
    text = "k,v\n" + "".join(f"{k},{k * k * 2_654_435_761 % 2**40}\n" for k in range(40_000))
    path = packed(tmp_path, text.encode(), packing)
    seen = []
    show = jobs.Job._show
    monkeypatch.setattr(jobs.Job, "_show", lambda job, *told: (show(job, *told), seen.append(job.progress))[0])
    with jobs.running("test"):
        read(path, sizes=Sizes(2_000, 8_192, 8_192, 16_384))
    assert seen == sorted(seen) or not packing  # threads may report their pieces in any order
    assert len(set(seen)) > 2  # from Python 3.12 on, gzip reads 128 KiB at a time
    assert seen[-1] == 1.0


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_a_cancelled_read_stops(tmp_path, packing, monkeypatch):
    path = packed(tmp_path, ("k\n" + "1\n" * 5_000).encode(), packing)
    show = jobs.Job._show

    def cancel_half_way(job, *told):
        show(job, *told)
        if job.progress > 0.5:
            job.cancel()

    monkeypatch.setattr(jobs.Job, "_show", cancel_half_way)
    with pytest.raises(hs.CancelledError):
        read(path, sizes=Sizes(100, 512, 512, 512))


@pytest.mark.parametrize("packing", list(PACKERS))
def test_rows_of_a_file_that_is_gone_or_changed_still_have_its_name(tmp_path, packing):
    path = packed(tmp_path, b"a\n1\n2\n", packing)
    frame = read(path, sizes=Sizes(1))
    name = f"{path}:table.csv" if packing == ".zip" else str(path)
    assert locate(frame[["a"]]) == [f"{name}:2", f"{name}:3"]
    packed(tmp_path, b"a\n", packing)
    assert locate(frame) == [name] * 2
    path.unlink()
    assert locate(frame) == [name] * 2


def test_there_is_no_line_of_a_row_that_is_not_there(tmp_path):
    frame = read(write(tmp_path, "a\n1\n2\n"))
    for row in (-1, 2):
        with pytest.raises(hs.UserError, match="rows go from 0 to 1"):
            frame.source_of(row)


def test_parquet_is_known_by_content(tmp_path):
    path = tmp_path / "table.csv"
    pq.write_table(pa.table({"a": [1, None], "b": ["x", "y"]}), path)
    assert hs.read(path).to_dict() == {"a": [1, None], "b": ["x", "y"]}
    assert hs.read([path, path], columns=["b"]).to_dict() == {"b": ["x", "y", "x", "y"]}
    with pytest.raises(hs.UserError, match="sep is for text"):
        hs.read(path, sep=",")
    with pytest.raises(hs.UnknownNameError, match="no column 'c'"):
        hs.read(path, columns=["c"])
    cut = write(tmp_path, path.read_bytes()[:-9], "cut.parquet")
    with pytest.raises(hs.DataError, match="may be cut off"):
        hs.read(cut)


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"ARROW1", "Arrow"), (b"\x89HDF", "HDF5"), (b"{", "JSON"), (b"<html>", "HTML"), (b"\xd0\xcf\x11\xe0", "Excel"),
     (b"%PDF", "PDF"), (b"@relation", "ARFF"), (b"PK\x03\x04 [Content_Types].xml", "Excel"), (b"ORC", "ORC")],
)  # fmt: skip
def test_other_kinds_of_files_are_named(tmp_path, start, kind):
    with pytest.raises(hs.DataError, match=rf"is (an? |an old )?{kind}.*supported are"):
        hs.read(write(tmp_path, start + b" and so on"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_bad_lines": "warn"}, "on_bad_lines is 'warn'; it must be one of 'error', 'skip', 'null'"),
        ({"sep": ";;"}, "sep is ';;'; it must be one ASCII character"),
        ({"quote": "\n"}, "a line end cannot be a quote"),
        ({"sep": ",", "comment": ","}, "sep, quote and comment must differ"),
        ({"columns": ["aa"]}, "no column 'aa' in .*did you mean 'a'"),
        ({"columns": []}, "name at least one column"),
        ({"columns": ["a", "a"]}, "each once"),
        ({"types": {"a": "integer"}}, r"no type 'integer' in .*did you mean 'int'\?"),
        ({"types": {"z": "int"}}, "no column 'z'"),
        ({"types": ["int"]}, "types has 1 entries for 2 columns"),
        ({"na_strings": {"z": "-"}}, "no column 'z'.*named in na_strings"),
        ({"na_strings": [-999]}, "na_strings holds -999; each must be text"),
        ({"encoding": "utf-99"}, "no encoding 'utf-99'"),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, said):
    with pytest.raises(hs.UserError, match=said):
        hs.read_csv(write(tmp_path, "a,b\n1,2\n"), **options)


def test_paths_that_lead_nowhere(tmp_path):
    write(tmp_path, "a\n1\n", "flights.csv")
    with pytest.raises(hs.DataError, match=r"did you mean '.*flights\.csv'"):
        hs.read_csv(tmp_path / "flihgts.csv")
    with pytest.raises(hs.DataError, match="no file matches"):
        hs.read_csv(str(tmp_path / "none*.csv"))
    with pytest.raises(hs.DataError, match="is a directory"):
        hs.read_csv(tmp_path)
    with pytest.raises(hs.UserError, match="download the file first"):
        hs.read_csv("https://example.org/a.csv")
    with pytest.raises(hs.UserError, match="a path must be text"):
        hs.read_csv(7)
    with pytest.raises(hs.UserError, match="no file was named"):
        hs.read_csv([])


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read_it in (hs.read, hs.read_csv):
        with pytest.raises(hs.DataError, match="is a pipe or device"):
            read_it(tmp_path / "pipe")


def test_a_wide_table_has_chunks_of_fewer_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("hydroscope.ingest.plan.CHUNK_CELLS_MAX", 300 * 256)
    names = [f"c{k}" for k in range(300)]
    rows = [[(row * 7 + k) % 100 for k in range(300)] for row in range(600)]
    path = write(tmp_path, "\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n")
    frame = hs.read_csv(path)
    assert np.diff(frame.layout.starts).tolist() == [256, 256, 88]
    assert frame.to_dict() == {name: [row[k] for row in rows] for k, name in enumerate(names)}
