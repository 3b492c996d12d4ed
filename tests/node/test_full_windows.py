"""Members that write faster than their windows allow do not wait for each other in a circle."""

from __future__ import annotations

from hydroscope.kv import effects as kv
from hydroscope.kv.homes import home_of
from hydroscope.rpc.link import Window
from tests.node.test_member import Net


def test_three_members_with_full_windows_that_wait_for_invalidations_of_the_third():
    """Member i puts keys of member i + 1 that member i + 2 holds replicas of.

    Home i + 1 has to invalidate at i + 2, to which its window is full of puts that wait for the same in turn.
    """
    net = Net(3)
    net.run(3)
    n_keys = Window().calls + 20
    view = net.members[0].standing.view
    homes = {}
    for name in map(str, range(100_000)):
        keys = homes.setdefault(home_of(name, view), [])
        if len(keys) < n_keys:
            keys.append(name)
        elif all(len(keys) == n_keys for keys in homes.values()) and len(homes) == 3:
            break
    for i in range(3):
        for key in homes[i]:
            net.do(i, net.members[i].put(("first", key), 0, key, 1, net.now, wait=True))
            net.do((i + 1) % 3, net.members[(i + 1) % 3].get(("get", key), 0, key, net.now))
        net.settle()
    for i in range(3):
        for key in homes[(i + 1) % 3]:
            net.do(i, net.members[i].put(("second", key), 0, key, 2, net.now))
    net.run(2)
    ended = [op for op, outcome in net.outcomes.items() if op[0] == "second" and isinstance(outcome, kv.Wrote)]
    assert len(ended) == 3 * n_keys
    for member in net.members:
        member.check()
