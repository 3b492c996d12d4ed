"""H2O-3 as a peer: one Java server a run, with a deadline to start and an end that is certain."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import THREADS
from benchmarks._harness import peak_rss_mb, register_child

__all__ = ["Server"]

START_S = 90
POLL_S = 0.01


def _free_port() -> int:
    """Return a port that is free together with the next one (H2O takes both)."""
    for port in range(54_421, 54_921, 2):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no free pair of ports between 54421 and 54921")


def _poll(self: Any, poll_updates: object = None) -> Any:
    """Wait for a job, asking every 10 ms.

    The client's own loop asks as seldom as every 5 s once a job runs long; its users wait
    for that, but it would be unfair to count it as the server's time.
    """
    import h2o

    while True:
        job = h2o.api(f"GET /3/Jobs/{self.job_key}")["jobs"][0]
        if job["status"] in {"DONE", "FAILED", "CANCELLED"}:
            break
        time.sleep(POLL_S)
    self.job, self.status, self.progress, self.exception = job, job["status"], job["progress"], job["exception"]
    self.warnings = job.get("warnings")
    if job["status"] != "DONE":
        raise RuntimeError(f"H2O job {job['status']}: {job['exception']}")
    return self


class Server:
    """A running H2O-3 with `THREADS` threads; a context manager."""

    def __init__(self, memory: str = "6G") -> None:
        if shutil.which("java") is None:
            raise RuntimeError("no java on the path")
        import h2o
        from h2o.job import H2OJob

        H2OJob.poll = _poll
        self._folder = tempfile.TemporaryDirectory(prefix="bench-h2o-", ignore_cleanup_errors=True)
        port = _free_port()
        jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
        command = ["java", f"-Xmx{memory}", "-jar", str(jar), "-nthreads", str(THREADS), "-port", str(port)]
        command += ["-ip", "127.0.0.1", "-name", f"bench{port}", "-ice_root", self._folder.name, "-log_level", "ERRR"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder.name
        )
        register_child(self.process)
        until = time.monotonic() + START_S
        while True:
            try:
                with contextlib.redirect_stdout(None):  # it prints that a newer version exists
                    h2o.connect(url=f"http://127.0.0.1:{port}", verbose=False)
                break
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise RuntimeError(f"H2O did not start within {START_S} s: {error}") from None
                time.sleep(0.5)
        h2o.no_progress()

    @property
    def peak_rss_mb(self) -> float:
        """Largest resident set of the Java process so far, MB."""
        return peak_rss_mb(self.process.pid)

    def stop(self) -> None:
        """End the server; safe to call twice."""
        import h2o

        with contextlib.redirect_stdout(None), contextlib.suppress(Exception):
            h2o.connection().close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
