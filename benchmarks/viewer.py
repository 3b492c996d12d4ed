"""The viewer in a headless Chromium: time to write and to open, frames while zooming and panning, heap.

Simulated histories of five nodes. The browser draws in software, on the cores that others may be using too; with a
graphics card frames come sooner. Of each frame two times are told: how long its drawing kept the page's only thread,
and how long it was from the frame before, which has the browser's own work in it. Scripted: from all time to 50 us in
steps of 7 %, pans of 40 pixels there, all the way back, and pans with an eighth of all in view. Times of cones
and searches are from the call to its end, before the next frame. Needs Chromium (Debian's package `chromium`, or
CHROMIUM=its path); there is no peer.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

from benchmarks._harness import arguments, begin, complain, emit, machine_line, register_child, say, status, table
from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.page import write_html
from tests.scope.histories import Plan, simulate

__all__ = ["main"]

RECORDS: Final = (100_000, 1_000_000)
SECONDS: Final = 60.0
NODES: Final = 5
PATIENCE_S: Final = 240.0
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-precise-memory-info",
    "--window-size=1500,900",
)

SCRIPT: Final = """
<script type="module">
const frame = () => new Promise((done) => requestAnimationFrame(done));
const app = () => document.documentElement.hydroscope;
while (!performance.getEntriesByName("first picture").length) await frame();
const pane = app().panes[0];
const { view, trace } = pane.scene;
const told = { first: performance.getEntriesByName("first picture")[0].startTime };
async function run(name, step, n) {
  pane.frames.length = 0;
  const apart = [];
  for (let i = 0, last = await frame(); i < n; i++) {
    step(i);
    const now = await frame();
    apart.push(now - last);
    last = now;
  }
  told[name] = { drawing: [...pane.frames], apart };
}
const all = Math.ceil(Math.log(view.span / 50e3) / -Math.log(0.93));
await run("zoom in", () => pane.zoom(0.93, view.width * 0.5), all);
await run("pan", () => pane.pan(40), 100);
await run("zoom out", () => pane.zoom(1 / 0.93, view.width * 0.5), all);
view.show(view.low, view.low + view.span / 8);
await run("pan wide", () => pane.pan(20), 100);
const timed = (name, does) => {
  const begun = performance.now();
  does();
  told[name] = performance.now() - begun;
};
timed("cone", () => pane.scene.select(trace.byRank[Math.floor(trace.n / 2)]));
pane.scene.select(-1);
app().finder.search.value = "kind:received peer:n3 took>1ms";
timed("search", () => app().finder.run());
told.heap_end = performance.memory.usedJSHeapSize;
fetch(ADDRESS, { method: "POST", mode: "no-cors", body: JSON.stringify(told) });
</script>
"""


class _Answer:
    """Owner of a server that waits for what the page has measured."""

    def __init__(self) -> None:
        answers: queue.Queue[dict[str, Any]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.answers = answers
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def _measured(page: Path, chromium: str, folder: Path) -> dict[str, Any]:
    """Return what a page says about itself."""
    answer = _Answer()
    text = page.read_text(encoding="utf-8")
    script = SCRIPT.replace("ADDRESS", json.dumps(answer.address))
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)  # which allows no other script
    page.write_text(text.replace("</body>", script + "</body>"), encoding="utf-8")
    profile = tempfile.mkdtemp(dir=folder)
    child = subprocess.Popen(
        [chromium, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", page.as_uri()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    register_child(child)
    try:
        return answer.answers.get(timeout=PATIENCE_S)
    finally:
        child.terminate()
        child.wait(20)
        answer.server.shutdown()


def _spread(values: Sequence[float]) -> list[float]:
    by_size = sorted(values)
    return [by_size[len(by_size) // 2], by_size[int(len(by_size) * 0.95)], by_size[-1]]


def _one(n: int, chromium: str, folder: Path) -> tuple[list[list[Any]], dict[str, Any]]:
    history = simulate(Plan(n_nodes=NODES, n_records=n, seconds=SECONDS, loss=0.01, duplicated=0.005), 1)
    timeline = Timeline(history.events)
    order_s = time.perf_counter()
    _ = timeline.order, timeline.findings
    begun = time.perf_counter()
    order_s = begun - order_s
    path = write_html(timeline, folder / f"{n}.html")
    write_s = time.perf_counter() - begun
    size = path.stat().st_size
    seen = _measured(path, chromium, folder)
    rows: list[list[Any]] = [
        [f"{len(timeline):,} records", "order and findings", f"{order_s:.2f} s"],
        ["", "page written", f"{write_s:.2f} s"],
        ["", "file", f"{size / 1e6:.1f} MB"],
        ["", "first picture after opening", f"{seen['first'] / 1e3:.2f} s"],
        ["", "heap", f"{seen['heap_end'] / 1e6:.0f} MB"],
        ["", "past and future of a record", f"{seen['cone']:.0f} ms"],
        ["", "search of three terms", f"{seen['search']:.0f} ms"],
    ]
    for name in ("zoom in", "pan", "zoom out", "pan wide"):
        for what in ("drawing", "apart"):
            spread = _spread(seen[name][what])
            rows.append(["", f"{name}: {what}", " / ".join(f"{each:.1f}" for each in spread) + " ms"])
            seen[name][what] = spread
    return rows, {"order_s": order_s, "write_s": write_s, "bytes": size, **seen}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when something failed."""
    options = begin(arguments(__doc__ or "", deadline_s=1200), argv)
    chromium = _chromium()
    say(machine_line(["numpy"]))
    if chromium is None:
        complain("there is no Chromium: install Debian's package chromium, or say CHROMIUM=path")
        return status()
    version = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    say(f"{version}, headless, drawing in software; frames as median / 95th percentile / longest")
    say()
    rows, results = [], {}
    with tempfile.TemporaryDirectory(prefix="bench-viewer-", ignore_cleanup_errors=True) as folder:
        for n in RECORDS:
            found, results[f"{n}"] = _one(5_000 if options.quick else int(n * options.scale), chromium, Path(folder))
            rows += found
            if options.quick:
                break
    say(table(["timeline", "what", "figure"], rows))
    emit("viewer", results)
    return status()


if __name__ == "__main__":
    sys.exit(main())
