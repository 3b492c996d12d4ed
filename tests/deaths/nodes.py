"""A node, its raylet or a worker is killed in the middle of a parse, a map/reduce and a training. Prints a table.

    python -m tests.deaths.nodes      some minutes

The result must have the bits of the undisturbed one.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

import hydroscope as hs
from hydroscope.frame.access import column_values
from hydroscope.ground.limits import ROWS_PER_LEAF
from tests.deaths.scene import Scene, kill_when, timed

N_NODES = 2
N_ROWS = 4 * ROWS_PER_LEAF + 1234
POINTS = (0.25, 0.5, 0.75)
WORKS = ("parse", "map/reduce", "GBM")
KINDS = ("node", "raylet", "worker")
TRIES = 5
"""The work lasts a third of a second: at a given point the nodes may have nothing to do any more."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    work: str
    killed: str
    point: float
    task: str
    n_tasks: int
    n_undisturbed: int
    in_flight: int
    reruns: int
    seconds: float
    undisturbed_s: float
    identical: bool


class Moments(hs.MapReduce):
    """Interpreted on purpose, a chunk at a time: long enough to be interrupted."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    hist = hs.zeros(64, dtype=int)

    def map_chunk(self, x, y, k) -> float:
        z = x * 3.0 + y
        for _ in range(6):
            z = np.sqrt(np.abs(np.sin(z) + x))
        self.n += len(x)
        self.total += float(np.nansum(z))
        self.squares += float(np.nansum(z * z))
        self.hist += np.bincount(k.astype(np.int64) & 63, minlength=64)
        return z


def write_table(path: Path) -> None:
    """Write the file that everything starts from."""
    rng = np.random.default_rng(5)
    columns = {
        "x": np.round(rng.normal(50, 20, N_ROWS), 2),
        "y": rng.normal(size=N_ROWS).round(6),
        "k": rng.integers(0, 300, N_ROWS),
        "c": np.array(["amber", "blue", "coral"])[rng.integers(0, 3, N_ROWS)],
    }
    csv.write_csv(pa.table(columns), path)


def digest(frame: hs.Frame) -> str:
    """Return a checksum of all values of a frame, bit by bit."""
    found = hashlib.sha256()
    for name, vec in frame.vecs.items():
        found.update(f"{name} {vec.type} {vec.domain}".encode())
        values = column_values(vec)
        for part in values if isinstance(values, tuple) else (values,):
            found.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:16]


def parse(path: Path) -> str:
    """Read the file."""
    return digest(hs.read_csv(path))


def map_reduce(path: Path, frame: hs.Frame) -> str:
    """Run a task that merges and makes a column."""
    done = Moments().do_all(frame[["x", "y", "k"]])
    sums = hashlib.sha256(np.array([done.n, done.total, done.squares]).tobytes() + done.hist.tobytes())
    return sums.hexdigest()[:16] + digest(done.frame)


def train(path: Path, frame: hs.Frame) -> str:
    """Train, and predict with what was learnt."""
    model = hs.GBMRegressor(n_estimators=5, max_depth=4, random_state=7, subsample=0.8)
    model.fit(frame, "y", x=["x", "k", "c"])
    saved = path.with_suffix(".model")
    model.save(saved, overwrite=True)
    return digest(model.predict(frame)) + digest(model.scoring_history_.drop("seconds"))


def play(scene: Scene, name: str, work: Callable[[], str], cases: list[tuple[str, float]]) -> list[Row]:
    """Run the work undisturbed, then once for each case."""
    work()  # compiled, and workers started
    before = scene.totals()
    expected, undisturbed_s = timed(work)
    n_tasks, _ = scene.totals().since(before)
    rows = []
    for how, point in cases:
        scene.full()
        for _ in range(TRIES):
            before = scene.totals()
            with kill_when(scene, how, max(int(n_tasks * point), 1)) as known:
                found, seconds = timed(work)
            n_run, reruns = scene.totals().since(before)
            if known["killed"]:
                break
        else:
            raise RuntimeError(f"{name}: {TRIES} times the work ended before {how} could be killed at {point:.0%}")
        row = Row(
            name, how, point, known["task"], n_run, n_tasks, known["in_flight"], reruns, seconds, undisturbed_s,
            found == expected,
        )  # fmt: skip
        rows.append(row)
        print(line(row), flush=True)
    return rows


def change_source(scene: Scene, path: Path) -> bool:
    """Lose a node after the file has changed: what it held is not made from another text."""
    scene.full(1)
    frame = hs.read_csv(path)  # not looked at: no other node has a copy
    with path.open("r+b") as file:
        file.seek(-3, 2)
        last = file.read(1)
        file.seek(-3, 2)
        file.write(bytes([last[0] ^ 1]))
    for node in list(scene.nodes):
        scene.lose("node", node, scene.boxes()[0])
    scene.full(1)
    try:
        digest(frame)
    except hs.DataError as error:
        print(
            f"source changed, then its nodes lost: refused: {str(error).replace(str(path.parent), '...')}", flush=True
        )
        return True
    print("source changed, then its nodes lost: READ ALL THE SAME", flush=True)
    return False


HEAD = (
    f"{'work':<11} {'killed':<7} {'at':>4}  {'tasks':>5} {'run':>5} {'again':>5} {'in flight':>9} {'lineage':>7} "
    f"{'undisturbed':>11} {'disturbed':>9}  result"
)


def line(row: Row) -> str:
    """Return a line of the table."""
    return (
        f"{row.work:<11} {row.killed:<7} {row.point:>4.0%}  {row.n_undisturbed:>5} {row.n_tasks:>5} {row.reruns:>5} "
        f"{row.in_flight:>9} {max(row.reruns - row.in_flight, 0):>7} {row.undisturbed_s:>10.1f}s {row.seconds:>8.1f}s  "
        f"{'identical' if row.identical else 'DIFFERENT'}"
    )


def run(scene: Scene, cases: list[tuple[str, float]], works: tuple[str, ...] = WORKS, changes: bool = True) -> bool:
    """Play cases with works and print the table; tell whether all was as it should be.

    With `changes`, the file is changed at the end, and every node lost that holds what was read of it.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write_table(path)
        print(HEAD, flush=True)
        if "parse" in works:
            rows += play(scene, "parse", lambda: parse(path), cases)
        for name, work in (("map/reduce", map_reduce), ("GBM", train)):
            if name in works:
                frame = hs.read_csv(path)  # its leaves lie on the nodes that are killed
                rows += play(scene, name, lambda work=work, frame=frame: work(path, frame), cases)
        refused = not changes or change_source(scene, path)
    n_same = sum(row.identical for row in rows)
    print(f"{n_same} of {len(rows)} results identical to the undisturbed ones", flush=True)
    return n_same == len(rows) and refused


def main() -> int:
    """Print the whole table; 1 when a result differed."""
    warnings.simplefilter("ignore")
    scene = Scene(N_NODES)
    try:
        return 0 if run(scene, [(how, point) for how in KINDS for point in POINTS]) else 1
    finally:
        scene.close()


if __name__ == "__main__":
    sys.exit(main())
