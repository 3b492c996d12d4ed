"""How a process ended: what the kernel, Ray and the process itself left behind, and the cause that follows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Traces", "killed_by_kernel", "memory_in_use", "oom_counter", "oom_kills", "state_of", "status_of"]

STATUS_LOOKS, STATUS_WAIT_S = 100, 0.002
"""Looks at the status of a process that has just ended, and seconds between them."""

_INFO_BYTES = 72
_GET_INFO = (3 << 30) | (_INFO_BYTES << 16) | (0xFF << 8) | 11  # PIDFD_GET_INFO
_EXIT = 1 << 3
_EXIT_CODE_AT = 60

MEMORY_WORDS = re.compile(
    r"low on memory|out of memory|memory pressure|OutOfMemory|memory usage threshold", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Traces:
    """All that was found of one end.

    Attributes
    ----------
    status : int or None
        The wait status.
    left_code : int or None
        What os._exit was called with.
    oom_kills : int
        Processes that the kernel killed for memory in the same group since the last look before.
    kernel : str
        The kernel's line about this process.
    ray : str
        What Ray says.
    stopped_s : float
        How long it had been stopped when it was killed for that; 0: it was not.
    crowded : float
        Which share of the machine's memory was in use when it was killed for that; 0: it was not.
    stack : str
        What the fault handler wrote.
    """

    status: int | None = None
    left_code: int | None = None
    oom_kills: int = 0
    kernel: str = ""
    ray: str = ""
    stopped_s: float = 0.0
    crowded: float = 0.0
    stack: str = ""

    def conclude(self) -> tuple[str, str, int | None, tuple[str, ...]]:
        """Return cause, name of the signal, exit code, and the evidence in words."""
        name, code, evidence = self._exit()
        faulted = re.search(r"Fatal Python error: (\w[\w ]*)", self.stack)
        if faulted is not None:
            evidence.append(f"fault handler: {faulted[1]}")
            name = name or _FAULTS.get(faulted[1].strip(), "")
        if self.kernel:
            evidence.append(f"kernel: {self.kernel}")
        if self.oom_kills:
            evidence.append(f"the kernel killed {self.oom_kills} for memory in its group at that time")
        of_ray = MEMORY_WORDS.search(self.ray) is not None and "some potential root causes" not in self.ray
        of_ray = of_ray and "common causes include" not in self.ray
        if self.ray:
            evidence.append(f"Ray: {self.ray.splitlines()[0][:160]}")
        if self.crowded:
            evidence.append(f"{self.crowded:.0%} of the machine's memory was in use, and it was killed for that")
            return "out of memory", name, code, tuple(evidence)
        if self.stopped_s:
            evidence.append(f"it had been stopped for {self.stopped_s:.0f} s, and was killed for that")
            return "stopped", name, code, tuple(evidence)
        if of_ray or (name in ("SIGKILL", "") and code is None and (self.kernel or self.oom_kills)):
            return "out of memory", name, code, tuple(evidence)
        if name:
            return name, name, code, tuple(evidence)
        if code is not None:
            return f"exit code {code}", "", code, tuple(evidence)
        evidence.append("no wait status to be had; neither the fault handler nor os._exit left a trace")
        return "unknown", "", None, tuple(evidence)

    def _exit(self) -> tuple[str, int | None, list[str]]:
        if self.status is not None:
            if os.WIFSIGNALED(self.status):
                number = os.WTERMSIG(self.status)
                return _signal_name(number), None, [f"wait status: signal {number}"]
            code = os.waitstatus_to_exitcode(self.status)
            return "", code, [f"wait status: exit code {code}"]
        if self.left_code is not None:
            return "", self.left_code, [f"it called os._exit({self.left_code})"]
        return "", None, []


_FAULTS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def status_of(pid: int, pidfd: int) -> int | None:
    """Return the wait status of a process that ended, whoever its parent is; None when it is not to be had.

    Of one that its parent has not asked about yet, /proc has it. Of others Linux tells it from
    6.15 on, to who opened the descriptor while the process lived; a moment after it wakes who
    waits, and a busy machine makes that moment long.
    """
    for _ in range(STATUS_LOOKS):
        status = _status_behind(pidfd)
        if status is None:
            status = _status_of_zombie(pid)
        if status is not None:
            return status
        time.sleep(STATUS_WAIT_S)
    return None


def _status_of_zombie(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[49]) if fields[0] in ("Z", "X") else None


def _status_behind(pidfd: int) -> int | None:
    info = bytearray(_INFO_BYTES)
    struct.pack_into("<Q", info, 0, _EXIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info, True)
    except OSError:
        return None
    (found,) = struct.unpack_from("<Q", info, 0)
    return int(struct.unpack_from("<i", info, _EXIT_CODE_AT)[0]) if found & _EXIT else None


def state_of(pid: int) -> str:
    """Return the state letter of a process ("T": stopped, "Z": ended), "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def memory_in_use() -> float:
    """Return the share of this machine's memory that is in use, 0 when that is not to be had."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return 1.0 - sizes["MemAvailable"] / sizes["MemTotal"]
    return 0.0


def oom_counter(pid: int) -> str:
    """Return the file in which the kernel counts what it killed for memory in a process's group; "": none."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            places = (
                [f"/sys/fs/cgroup{path}/memory.events", f"/sys/fs/cgroup/unified{path}/memory.events"]
                if controllers == ""
                else [f"/sys/fs/cgroup/memory{path}/memory.oom_control"]
                if "memory" in controllers.split(",")
                else []
            )
            for place in places:
                if os.path.exists(place):
                    return place
    return ""


def oom_kills(counter: str) -> int:
    """Return how many processes the kernel has killed for memory, by one of its counters."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(counter or "/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def killed_by_kernel(pid: int, since_s: float) -> str:
    """Return the kernel's line about having killed a process for memory, "" if there is none or it may not be read.

    `since_s`: when the process started, in seconds since the machine did; pids are used again.
    """
    found = ""
    with contextlib.suppress(OSError):
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        try:
            while True:
                try:
                    line = os.read(log, 8192).decode("utf-8", "replace")
                except BrokenPipeError:  # overwritten while it was read
                    continue
                fields = line.partition(";")[0].split(",")
                if f"Killed process {pid} " in line and int(fields[2]) >= since_s * 1e6:
                    found = line.partition(";")[2].splitlines()[0].strip()
        except BlockingIOError:
            pass
        finally:
            os.close(log)
    return found
