"""A Ray cluster of two nodes on this machine: attach to it, lose one, attach from outside. Run as a script.

Prints a line a step, which `test_cluster.py` compares.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys

import numpy as np
import ray
from ray.cluster_utils import Cluster

import hydroscope as hs
from hydroscope.node import ports
from tests.engine import places

STORE_BYTES = 100 * 2**20
TOTALS = [(300_000 + i,) for i in range(6)]


def free_port() -> int:
    """Return a free port below those the system hands out: Ray's own processes cannot be given it meanwhile."""
    for port in range(11_000, 19_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no port from 11000 to 18999 is free")


def work() -> str:
    """Make leaves, read them, merge."""
    engine = ports.current()
    made = engine.map(places.ones, TOTALS)
    merged = engine.reduce(places.add, engine.map(places.total, [(each,) for each in made]))
    return f"{merged} {places.Total().do_all(hs.Frame({'x': np.arange(300_000)})).sum}"


def lose_a_node(cluster: Cluster) -> None:
    """Make leaves on one node, lose it, and read them all the same."""
    node = cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    with hs.init("ray") as session:
        engine = session.engine
        made = engine.map(places.ones, TOTALS)
        frame = hs.Frame({"x": np.arange(600_000), "k": np.arange(600_000) % 7}, types={"k": "enum"})
        frame["twice"] = frame["x"] * 2
        kept = frame[frame["x"] % 3 == 0]
        print("made on a node", len(made), kept.shape, flush=True)
        cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
        cluster.remove_node(node, allow_graceful=False)
        sums = engine.get(engine.map(places.total, [(each,) for each in made]))
        print("lost it", sum(sums), flush=True)
        print("and a frame", frame["twice"].sum(), kept["twice"].sum(), kept["k"].value_counts().n_rows, flush=True)


def main() -> None:
    port = free_port()
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "ray_client_server_port": port,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        lose_a_node(cluster)
        address = f"ray://127.0.0.1:{port}"
        outside = subprocess.run([sys.executable, __file__, address], capture_output=True, text=True, check=False)
        print("from outside", outside.stdout.strip() or outside.stderr, flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    logging.getLogger("ray").setLevel(logging.ERROR)
    if len(sys.argv) > 1:
        with hs.init(sys.argv[1]) as chosen:
            print(chosen, work(), flush=True)
    else:
        main()
