"""Tables and commentary, in a terminal and elsewhere."""

from __future__ import annotations

import io

from hydroscope.cli.screen import Screen, plain_table, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


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
