"""The other process of `test_two_processes`: joins the cluster it is given and does as keys tell it."""

from __future__ import annotations

import sys

import hydroscope as hs

WAIT_S = 60.0


def main(address: str, secret: str) -> None:
    with hs.join_cluster(address, bytes.fromhex(secret)), hs.kv.watch("to do/") as orders:
        hs.kv.put("ready", True)
        for key, order in orders:
            if order is None:
                continue
            if order == "leave":
                return
            hs.kv.put(key.replace("to do/", "done/"), ORDERS[order](), wait=True)


def train() -> str:
    frame = hs.Frame({"x": [float(k) for k in range(400)], "y": [k % 7 for k in range(400)]})
    model = hs.GBMRegressor(n_estimators=2, max_depth=2, random_state=1).fit(frame, "y")
    hs.assign(model, "sevens")
    hs.leaderboard("board", "rmse").add("theirs", model.metrics(frame))
    return repr(model.predict(frame).to_dict()["predict"][:5])


def cancel() -> str:
    [record] = [each for each in hs.jobs(running=True) if each.description == "to be cancelled"]
    assert record.cancel()
    return record.owner


def begin() -> str:
    from hydroscope.engine.latch import Latch

    job = hs.node.jobs.start(Latch().wait, WAIT_S, description="theirs for ever")
    return str(job.id)


ORDERS = {"train": train, "cancel": cancel, "begin": begin}

if __name__ == "__main__":
    main(*sys.argv[1:])
