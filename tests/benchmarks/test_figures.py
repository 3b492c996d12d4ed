"""README's table of figures: every figure comes from the runs, the best peer is named."""

from __future__ import annotations

import json

import pytest

from benchmarks._figures import BEGIN, END, NONE, comment, put_into, readme_table


def results(name: str, found: dict) -> str:
    text = json.dumps({"benchmark": name, "results": found})
    return f"## {name}\n\n2026-01-02\n\nMachine: Z80, 2 cores; Python\n\n| a table |\n\n{comment(text)}\n"


def test_csv_and_its_fastest_peer():
    parsers = [
        {"parser": "hydroscope", "mb_s": 612.3, "peak_mb": 900.0, "resident_mb": 321.0},
        {"parser": "polars", "mb_s": 580.0, "peak_mb": 2_000.0, "resident_mb": 900.0},
        {"parser": "pyarrow", "mb_s": None, "peak_mb": None, "resident_mb": 850.0},
    ]
    table = readme_table(results("csv", {"file_mb": 1000.0, "gzip_mb": 360.0, "parsers": parsers}))
    assert "| CSV to frame, 1.0 GB: speed | 612 MB/s | 580 MB/s (polars) | fastest peer |" in table
    assert "| 900 MB | 2,000 MB (polars) |" in table
    assert "| 321 MB | 850 MB (Arrow) | 0.5 x Arrow, gzip 360 MB |" in table
    assert "Z80, 2 cores; 2026-01-02." in table


def test_models_against_each_table():
    peers = [
        {"table": "28 numeric", "peer": "hydroscope", "s": 2.0, "auc": 0.81},
        {"table": "28 numeric", "peer": "lightgbm", "s": 3.5, "auc": 0.8112},
        {"table": "28 numeric", "peer": "h2o", "s": 12.0, "auc": 0.80},
        {"table": "8 with categories", "peer": "hydroscope", "s": None, "auc": None},
    ]
    table = readme_table(results("gbm", {"rows": 1_000_000, "peers": peers}))
    assert "GBM, 50 trees of depth 6, 1 M x 28 numeric: training | 2.00 s | 3.50 s (lightgbm) |" in table
    assert "| 2.00 s | 12.00 s (h2o) | 3 x faster |" in table
    assert "| 0.8100 | 0.8112 (lightgbm) |" in table
    assert "categories" not in table


def test_loops_against_the_limit_of_memory():
    contenders = {
        "hydroscope": {"of_limit": 2.5, "gb_s_uncompressed": 50.0},
        "numpy": {"of_limit": 0.9, "gb_s_uncompressed": 18.0},
    }
    tasks = [{"data": "int8", "task": task, "contenders": contenders} for task in ("sum", "mean")]
    table = readme_table(results("mapreduce", {"rows": 100_000_000, "tasks": tasks}))
    assert "| sum, 100 M rows, int8 | 50.0 GB/s, 2.5 x memory limit | 0.90 x (numpy) | above 2 x |" in table
    assert "mean" not in table


def test_starting():
    found = {
        "import": {
            "(python -c pass)": {"median_ms": 20.0},
            "hydroscope": {"median_ms": 25.0},
            "numpy": {"median_ms": 90.0},
        },
        "describe": {"hydroscope, second process": {"median_ms": 1_812.0}, "polars": {"median_ms": 600.0}},
    }
    table = readme_table(results("startup", found))
    assert "| `import hydroscope` | 25 ms | 90 ms (numpy) | 150 ms |" in table
    assert "second process | 1.8 s | 0.60 s (polars) | 2 s |" in table


def test_the_store_against_who_shares_and_who_travels():
    found = {
        "keys": 1_000_000,
        "here_ns": {
            "get, 16 keys": {
                "(the loop alone)": {"median": 9.0},
                "hydroscope": {"median": 61.2},
                "dict": {"median": 33.0},
                "dict behind a lock": {"median": 190.0},
                "redis": {"median": 52_000.0},
            }
        },
        "trip_us": {
            "hydroscope": {"median": 90.0},
            "UDP, looked for": {"median": 30.0},
            "UDP, slept for": {"median": 60.0},
            "redis": {"median": 75.0},
        },
        "stream_us": {"hydroscope": {"median": 40.0}, "redis": {"median": 50.0}},
        "bulk_s": {"bytes": 10**9, "hydroscope": {"median": 4.0}, "plain TCP": {"median": 0.5}},
    }
    table = readme_table(results("kv", found))
    assert "| key/value store, get, 16 keys | 61 ns | 190 ns (dict behind a lock) | 100 ns |" in table
    assert "| get from another process | 90 us, 3.0 x UDP there and back | 75 us (redis) | 1.5 x UDP |" in table
    assert "| puts that do not wait | 25,000 a second | 20,000 a second (redis) |" in table
    assert "| 1.0 GB from another process | 0.25 GB/s | 2.00 GB/s (plain TCP) |" in table


def test_the_table_takes_its_place_and_only_that():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert readme_table("") == NONE
    with pytest.raises(ValueError, match="no place"):
        put_into("nothing", "new")
