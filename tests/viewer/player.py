"""Playing with the page as somebody at a browser does, under Node with a stand-in for the browser (`standin.mjs`)."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.viewer.node import NODE, QUIET

__all__ = ["Page", "Player"]

SECONDS = 20
"""For one answer, which takes milliseconds on an idle machine."""


class Player:
    """Owner of a process of Node that opens pages one after the other, for as many tests as there are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[bytes, str] = {}
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [NODE, QUIET, str(Path(__file__).with_name("play.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, args=(self.process, self.lines), daemon=True)
        self.listener.start()

    @staticmethod
    def _listen(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def ask(self, *command: Any) -> Any:
        """Return what a command of `play.mjs` answers."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=SECONDS)
        except (queue.Empty, BrokenPipeError):
            line = ""
        if not line:
            self.close()
            self._start()
            raise AssertionError(f"no answer to {command[0]} in {SECONDS} s, or Node has ended")
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def open(self, *boxes: bytes, **options: Any) -> Page:
        """Open a page of one timeline or two: `width`, `height`, `dark`; `still`: what moves, moves at once."""
        self.ask("open", [self._file(box) for box in boxes], options)
        return Page(self)

    def answers(self, boxes: list[bytes], *questions: list[Any]) -> list[Any]:
        """Return what `answers.mjs` says about one timeline or two as the viewer reads them."""
        answers: list[Any] = self.ask("answers", [self._file(box) for box in boxes], questions)
        return answers

    def _file(self, box: bytes) -> str:
        if box not in self.files:
            file = self.folder / f"{len(self.files)}.played"
            file.write_bytes(box)
            self.files[box] = str(file)
        return self.files[box]

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait(SECONDS)
        self.listener.join(SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Page:
    """The page that is open."""

    def __init__(self, player: Player) -> None:
        self.player = player

    def __getattr__(self, name: str) -> Any:
        """Return a command of `play.mjs`."""
        return lambda *given: self.player.ask(name, *given)

    def keys_pressed(self, *keys: str) -> dict[str, Any]:
        """Press some keys and return what the first pane is then."""
        for key in keys:
            self.player.ask("key", key)
        return self.pane()

    def pane(self, k: int = 0) -> dict[str, Any]:
        """Return what a pane is."""
        pane: dict[str, Any] = self.player.ask("state")["panes"][k]
        return pane
