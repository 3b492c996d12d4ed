"""The button on Ray: pressed while the members of all nodes work, stand still, are stopped, or dead. Prints a table.

python -m tests.deaths.presses
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence

import hydroscope as hs
from hydroscope.ground.processes import state_and_start
from hydroscope.node import ports
from hydroscope.scope.timeline import Timeline
from tests.deaths.members import stop
from tests.deaths.scene import Scene

SPAN_S = 600.0
STANDS_S = 0.5
"""That a write is looked at which ought to wait."""
WAIT_S = 60.0
PAUSE_S = 0.01


def wardens(scene: Scene) -> list[int]:
    """Return the processes of the nodes' members."""
    import ray

    scene.full()
    ports.keys()
    return [ray.get(warden.ready.remote()) for warden in scene.engine._guard.wardens.values()]


class Presses:
    """The button, pressed for some processes; each press is a line of the table."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._names = [f"*-{pid}" for pid in pids]
        self.faults: list[str] = []

    def press(self, what: str, told: dict[int, str], mode: str = "stay") -> Timeline:
        """Press; of the processes that are not well, this must be told, and of the others nothing."""
        began = time.monotonic()
        shown = hs.timeline(nodes=self._names, seconds=SPAN_S, mode=mode)
        seconds = time.monotonic() - began
        read = {node.pid for node, n in zip(shown.events.nodes, shown.events.starts[1:], strict=False) if n}
        names = {name.rpartition("-")[2] for name in self._names}
        self.must(names <= {str(pid) for pid in read}, f"{what}: only {sorted(read)} of {sorted(names)} were read")
        expected = {f"{pid} {how}" for pid, how in told.items()}
        got = {f"{each.name.rpartition('-')[2]} {each.why.partition(':')[0]}" for each in shown.missing}
        self.must(got == expected, f"{what}: told is {sorted(got)}, not {sorted(expected)}")
        print(f"{what:<44} {seconds:>5.1f}s {len(shown):>8,}  {', '.join(sorted(got)) or 'all is well'}", flush=True)
        return shown

    def must(self, holds: bool, fault: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.faults.append(fault)


def begun(work: Callable[[], object]) -> threading.Event:
    """Begin something in a thread; return what is set when it has ended."""
    done = threading.Event()

    def run() -> None:
        work()
        done.set()

    threading.Thread(target=run, daemon=True).start()
    return done


def lives(pid: int) -> bool:
    """Tell whether a process runs, or is stopped."""
    found = state_and_start(pid)
    return found is not None and found[0] != "Z"


def run(pids: Sequence[int]) -> bool:
    """Press in some ways; tell whether all that is wrong with these members was told, and the others go on."""
    presses = Presses([os.getpid(), *pids])
    alive = [pid for pid in pids if lives(pid)]
    told = dict.fromkeys(set(pids) - set(alive), "ended")
    print(f"{'pressed':<44} {'wall':>6} {'records':>8}  told", flush=True)
    presses.press("while all work", told)
    presses.press("and all stand still", told, mode="freeze")
    done = begun(lambda: hs.kv.put("stands", 1, wait=True))
    presses.must(not done.wait(STANDS_S), "a write went through while all stood still")
    presses.must(hs.thaw() == (), "not all were told to go on")
    presses.must(done.wait(WAIT_S), "the write did not go on")
    for pid in alive:
        stop(pid)
    told |= dict.fromkeys(alive, "stopped")
    presses.press("while wardens are stopped", told)
    for pid in alive:
        os.kill(pid, signal.SIGCONT)
    hs.kv.put("goes on", 1, wait=True)
    for fault in presses.faults:
        print(f"FAULT: {fault}", flush=True)
    return not presses.faults


def main() -> int:
    """Print the table; 1 when something was not as it should be."""
    warnings.simplefilter("ignore")
    scene = Scene(2)
    try:
        pids = wardens(scene)
        stop(pids[0])
        os.kill(pids[0], signal.SIGKILL)
        while lives(pids[0]):
            time.sleep(PAUSE_S)
        return 0 if run(pids) else 1
    finally:
        scene.close()


if __name__ == "__main__":
    sys.exit(main())
