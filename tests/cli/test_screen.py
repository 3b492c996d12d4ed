"""Tables and commentary, in a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest

from hydroscope.cli.screen import Screen, plain_table, size, width_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_plain_tables_align():
    text = plain_table(["name", "n"], [["a", "1"], ["long name", "1,000"]], left=["name"])
    assert text.splitlines() == ["name           n", "a              1", "long name  1,000"]


def test_quiet_keeps_results_only():
    out = io.StringIO()
    screen = Screen(quiet=True, out=out)
    screen.say("reading")
    screen.heading("Step")
    screen.result("42")
    screen.table(["a"], [["1"]])
    assert out.getvalue() == "42\na\n1\n"


def test_a_terminal_gets_rules_and_text_as_it_is():
    out = Terminal()
    screen = Screen(out=out)
    screen.heading("Step [bold]")
    screen.table(["a[red]", "b"], [["[x]", "1"]], title="Table", left=["a[red]"])
    text = out.getvalue()
    assert "[x]" in text
    assert "a[red]" in text
    assert "Step [bold]" in text
    assert "─" in text


def test_sizes():
    assert [size(n) for n in (0, 999, 1000, 1_500_000, 3e12)] == ["0 B", "999 B", "1.0 kB", "1.5 MB", "3.0 TB"]


def test_a_narrow_terminal_cuts_the_widest_texts_and_no_number(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    rows = [["carrier", "16 levels: " + ", ".join("ABCDEFGHIJKLMNOP"), "1,234,567"]]
    Screen(out=out).table(["column", "values", "n"], rows, left=["column", "values"])
    lines = without_colour(out.getvalue()).splitlines()
    assert max(map(len, lines)) <= 40
    (row,) = (line for line in lines if "carrier" in line)
    assert row.rstrip().endswith("…  1,234,567")


@pytest.mark.parametrize("n_columns", [10, 80, 300])
def test_a_table_that_fits_is_shown_whole(monkeypatch, n_columns):
    columns, rows = ["name", "n"], [["a" * 30, "1"], ["b", "22"]]
    monkeypatch.setenv("COLUMNS", str(max(n_columns, width_of(columns, rows))))
    out = Terminal()
    Screen(out=out).table(columns, rows, left=["name"])
    assert "a" * 30 in out.getvalue()
    assert "…" not in out.getvalue()
