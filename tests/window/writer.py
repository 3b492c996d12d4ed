"""A process that writes to a window-log in files until it is killed: `python -m tests.window.writer FOLDER BYTES`.

Says on stdout how far it has come: whatever it said is to be found in the files.
"""

from __future__ import annotations

import sys

from hydroscope.window.log import WindowLog


def main() -> None:
    """Write the count to one of 50 keys after the other, and a key that never changes first."""
    log = WindowLog("writer", seconds=3600, bytes=int(sys.argv[2]), folder=sys.argv[1])
    log["cold"] = "written once"
    n = 0
    while True:
        n += 1
        log[f"key-{n % 50}"] = n
        if n % 100 == 0:
            sys.stdout.write(f"{n}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
