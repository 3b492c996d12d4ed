"""A little of each table on one cluster, for `make test`: python -m tests.deaths."""

from __future__ import annotations

import sys
import warnings

from tests.deaths import members, nodes, presses, workers
from tests.deaths.scene import Scene


def main() -> int:
    """Print the tables; 1 when something was not as it should be."""
    warnings.simplefilter("ignore")
    scene = Scene(1, workers.STOPPED_S, head_cpus=1)  # a node costs seconds to start
    try:
        good = [workers.run(scene, few=True)]
        pids = presses.wardens(scene)
        good += [
            members.run(scene),
            presses.run(pids),
            nodes.run(scene, [("node", 0.5)], ("map/reduce",), changes=False),
        ]
    finally:
        scene.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
