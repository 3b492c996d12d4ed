"""What people see of a job, on a screen that is a string and with a clock that is a list of answers."""

from __future__ import annotations

import io
import sys
import types

import pytest

from hydroscope.engine import display as module
from hydroscope.engine.display import Display, style_of
from hydroscope.engine.latch import Latch
from hydroscope.node import jobs


class Screen(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Countdown(Latch):
    """A latch that opens at the n-th look."""

    def __init__(self, n_looks: int) -> None:
        super().__init__()
        self.n_looks = n_looks

    def wait(self, timeout_s: float | None = None) -> bool:
        self.n_looks -= 1
        return self.n_looks < 0


class Work:
    """A job at 40 % that ends after some looks."""

    description = "training"
    progress = 0.4
    message = "tree 20 of 50"

    def __init__(self, n_looks: int) -> None:
        self.ended = Countdown(n_looks)

    def cancel(self) -> bool:
        return False


def show(work: Work, screen: Screen, enabled: bool = True) -> str:
    display = Display(enabled=enabled, after_s=0.0, stream=screen)
    hide = display.show(work)
    while display.enabled and work.ended.n_looks >= 0:
        pass
    hide()
    return screen.getvalue()


def test_quick_work_is_not_shown() -> None:
    assert show(Work(0), Screen(True)) == ""
    assert show(Work(1), Screen(False)) == ""


def test_nothing_is_shown_when_told() -> None:
    assert show(Work(9), Screen(True), enabled=False) == ""


def test_a_terminal_gets_a_bar() -> None:
    text = show(Work(5), Screen(True))
    assert "training" in text
    assert "40%" in text
    assert "tree 20 of 50" in text


def test_a_file_gets_plain_lines() -> None:
    lines = show(Work(4), Screen(False)).splitlines()
    assert lines == ["training: 40% after 0 s, tree 20 of 50"] * 2 + ["training: 40% after 0 s, ended"]


def test_a_notebook_gets_one_rewritten_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    text = show(Work(4), Screen(False))
    line = "training: 40% after 0 s, tree 20 of 50"
    assert text == f"\r{line}\r{line}\r{' ' * len(line)}\r"


def test_a_closed_screen_is_no_terminal() -> None:
    screen = io.StringIO()
    screen.close()
    assert style_of(screen) == "lines"


def test_a_broken_screen_turns_the_display_off_and_harms_nobody() -> None:
    class Broken(Screen):
        def write(self, text: str) -> int:
            raise OSError("gone")

    display = Display(after_s=0.0, stream=Broken(False))
    work = Work(9)
    display.show(work)()
    while display.enabled:
        pass
    assert display.show(work) is module._nothing


def test_the_block_goes_on_once_the_screen_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that is on the screen is wiped before the caller's next line is printed."""
    screen = Screen(False)
    display = Display(after_s=0.0, stream=screen)
    monkeypatch.setattr(module, "LINES_EVERY_S", 0.0)
    monkeypatch.setattr(
        "hydroscope.node.ports.host",
        lambda: types.SimpleNamespace(latch=Latch, seconds=lambda: 0.0, show=display.show, note=lambda *_: None),
    )
    with jobs.running("slow"):
        while not screen.getvalue():
            pass
    assert screen.getvalue().endswith("ended\n")
