"""What is done to real processes, and what comes of it: `python -m tests.sockets.scenarios` prints the table.

Each scenario has one outcome and a deadline; none of them hangs or depends on luck. Those that
need several hosts make them of network namespaces, and are reported as not run where that is
not possible.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.sockets.conductor import DETECT_S, Cluster, Refused, Worker, until
from tests.sockets.faults import Relay
from tests.sockets.hosts import Hosts, why_not
from tests.sockets.silent_loss import carried_by_a_member, sent_by_plain_tcp
from tests.sockets.worker import blob

MB = 10**6
LOST_WITHIN_S = DETECT_S + 3.0
"""Seconds after which whoever waits for a lost member has been told, also on a busy machine."""


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    run: Callable[[], str]
    place: str
    is_fast: bool


SCENARIOS: list[Scenario] = []


def scenario(name: str, place: str = "one machine", fast: bool = False) -> Callable[[Callable[[], str]], object]:
    """Put a function into the table; it returns its outcome in words, and asserts that it is the right one."""

    def put(run: Callable[[], str]) -> Callable[[], str]:
        SCENARIOS.append(Scenario(name, run, place, fast))
        return run

    return put


# --- what is asked of a cluster that is treated badly -----------------------------------------------------------------


def count_and_agree(cluster: Cluster, n: int, threads: int = 2) -> str:
    """Let all members count on one key and see each other's values; every increment counts once."""
    calls = [
        member.begin("count", "@1/counter", n, thread=f"count {t}")
        for member in cluster.members
        for t in range(threads)
    ]
    for member in cluster.members:
        member.do("put", f"@0/of {member.number}", [member.number, "value"], True)
    seen = [call.result() for call in calls]
    total = n * len(calls)
    assert sorted(x for each in seen for x in each) == list(range(1, total + 1)), "an increment was lost or done twice"
    assert all(each == sorted(each) for each in seen), "a thread saw the counter go back"
    for member in cluster.members:
        assert member.do("get", "@1/counter") == total
        for other in cluster.members:
            assert member.do("get", f"@0/of {other.number}") == [other.number, "value"]
        member.do("check")
    return f"{total} increments counted once each, all {len(cluster.members)} members agree"


def faults_of(cluster: Cluster, *names: str) -> str:
    """Say how many of these faults there were; there must have been some of each."""
    counts = [member.look("counters") for member in cluster.members]
    totals = {name: sum(count.get(name, 0) for count in counts) for name in names}
    assert all(totals.values()), totals
    return ", ".join(f"{n} {name}" for name, n in totals.items())


def lost(error: Refused, *keys: str) -> None:
    """Check that an operation ended as lost, with the keys named, and in time."""
    assert error.kind == "NodeLost", f"{error.kind}: {error.text}"
    assert set(keys) <= set(error.keys), f"{error.keys} instead of {keys}: {error.text}"


def given_up(members: list[Worker], *numbers: int) -> None:
    """Wait until the rest has given these members up."""
    for member in members:
        until(lambda member=member: not set(numbers) & set(member.look("members")), 4 * LOST_WITHIN_S)


# --- weather ----------------------------------------------------------------------------------------------------------


@scenario("60 % of all datagrams lost")
def loss() -> str:
    with Cluster(3, weather={"loss": 0.6}, detect_s=10.0) as cluster:
        return f"{count_and_agree(cluster, 5)}; {faults_of(cluster, 'lost')}"


@scenario("half of all datagrams doubled", fast=True)
def doubles() -> str:
    with Cluster(3, weather={"double": 0.5}, detect_s=10.0) as cluster:
        return f"{count_and_agree(cluster, 40)}; {faults_of(cluster, 'doubled')}"


@scenario("half of all datagrams up to 30 ms late: out of order")
def reordering() -> str:
    with Cluster(3, weather={"late": 0.5}, detect_s=10.0) as cluster:
        return f"{count_and_agree(cluster, 20)}; {faults_of(cluster, 'late')}"


@scenario("20 % lost, a third doubled, half late", fast=True)
def some_weather() -> str:
    with Cluster(3, weather={"loss": 0.2, "double": 0.33, "late": 0.5}, detect_s=10.0) as cluster:
        return f"{count_and_agree(cluster, 6)}; {faults_of(cluster, 'lost', 'doubled', 'late')}"


@scenario("60 % lost, a third doubled, half late, all at once")
def all_weather() -> str:
    with Cluster(3, weather={"loss": 0.6, "double": 0.33, "late": 0.5}, detect_s=10.0) as cluster:
        return f"{count_and_agree(cluster, 8)}; {faults_of(cluster, 'lost', 'doubled', 'late')}"


@scenario("60 % lost in one direction between two members only")
def one_way() -> str:
    with Cluster(3, detect_s=10.0) as cluster:
        cluster[2].do("weather", {"loss": 0.6, "ports": [cluster[1].udp_port]})
        return f"{count_and_agree(cluster, 8)}; {faults_of(cluster, 'lost')}"


@scenario("send buffers of 4 kB: most sends find no room")
def full_buffers() -> str:
    with Cluster(3, weather={"room_bytes": 4096}, detect_s=10.0) as cluster:
        n = 3000
        calls = [member.begin("stream", f"@0/from {member.number}/", n) for member in cluster.members[1:]]
        for call in calls:
            call.result()
        assert len(cluster[0].do("names", "@0/from ")) == 2 * n
        return f"{2 * n} plain puts all arrived; {faults_of(cluster, 'no room to send')}"


@scenario("a member that never reads its streams (back-pressure)")
def deaf() -> str:
    relay = Relay("deaf")
    try:
        with Cluster(3, detect_s=10.0, each={1: {"advertised_tcp_port": relay.port}}) as cluster:
            relay.target = ("127.0.0.1", cluster[1].tcp_port)
            before = cluster[2].look("memory")
            put = cluster[2].begin("put_blob", "@1/large", 7, 64 * MB, thread="large")
            until(lambda: relay.n_connections > 0)
            words = count_and_agree(cluster, 20)
            grown = cluster[2].look("memory") - before
            assert grown < 6 * 64 * MB, f"{grown / MB:.0f} MB for a value of 64 MB"
            relay.heal()
            put.result()
            size, sha = cluster[0].do("sha_of", "@1/large")
            assert (size, sha) == (64 * MB, hashlib.sha256(blob(7, 64 * MB)).hexdigest())
            return f"meanwhile {words}; when it reads again the 64 MB arrive; memory grew by {grown / MB:.0f} MB"
    finally:
        relay.close()


# --- processes that stop, die and come back ---------------------------------------------------------------------------


@scenario("SIGSTOP for less than the lease, then SIGCONT")
def stopped_briefly() -> str:
    with Cluster(3, detect_s=6.0) as cluster:
        calls = [member.begin("count", "@1/n", 60, 0.01) for member in cluster.members]
        cluster[1].signal(signal.SIGSTOP)
        time.sleep(1.0)  # what is done to it, not a way to wait
        cluster[1].signal(signal.SIGCONT)
        seen = sorted(x for call in calls for x in call.result())
        assert seen == list(range(1, 181))
        assert cluster[0].look("members") == [0, 1, 2]
        return "nobody was given up, 180 increments counted once each"


@scenario("SIGSTOP for longer than the detection, then SIGCONT: a zombie", fast=True)
def zombie() -> str:
    with Cluster(3) as cluster:
        cluster[0].do("put", "@0/x", "old", True)
        cluster[2].do("put", "@2/mine", 1, True)
        assert cluster[2].do("get", "@0/x") == "old"
        assert cluster[2].do("is_held", "@0/x")
        cluster[2].signal(signal.SIGSTOP)
        given_up([cluster[0], cluster[1]], 2)
        cluster[1].do("put", "@0/x", "new", True)
        lost(cluster[1].begin("get", "@2/mine").error(), "@2/mine")
        cluster[2].signal(signal.SIGCONT)
        read = cluster[2].begin("get", "@0/x").either()
        write = cluster[2].begin("put", "@0/x", "from the dead", True).either()
        for each in (read, write):
            assert isinstance(each, Refused), f"the zombie was answered: {each!r}"
            assert each.kind == "NodeLost"
        assert cluster[0].do("get", "@0/x") == cluster[1].do("get", "@0/x") == "new"
        return "its replica is not read, its write is refused: NodeLost; the others go on with the new value"


@scenario("kill -9 of a home while others read, write and count", fast=True)
def home_killed() -> str:
    with Cluster(3) as cluster:
        cluster[2].do("put", "@1/a", "value", True)
        cluster[2].do("put", "@1/safe", "kept", True, True)
        calls = [cluster[place].begin("count_until_stopped", "@1/n", thread="count") for place in (0, 2)]
        until(lambda: cluster[2].progress > 20)
        cluster[1].kill()
        for call in calls:
            lost(call.error(LOST_WITHIN_S), "@1/n")
        lost(cluster[0].begin("get", "@1/a").error(), "@1/a")
        assert cluster[0].do("get", "@1/safe") == "kept"
        cluster[0].do("put", "@1/a", "again", True)
        assert cluster[2].do("get", "@1/a") == "again"
        return "all who waited got NodeLost with the key, what was durable is there, and the key can be put anew"


@scenario("kill -9 of a member that holds a replica, while it is written")
def replica_killed() -> str:
    with Cluster(3) as cluster:
        cluster[0].do("put", "@0/r", 1, True)
        assert cluster[2].do("get", "@0/r") == 1
        assert cluster[2].do("is_held", "@0/r")
        cluster[2].kill()
        write = cluster[1].begin("put", "@0/r", 2, True)
        write.result(LOST_WITHIN_S)
        assert cluster[0].do("get", "@0/r") == cluster[1].do("get", "@0/r") == 2
        return f"the write waited {write.seconds:.1f} s until the replica could not be read any more, and then happened"


@scenario("kill -9 of a writer in the middle of put(wait=True)")
def writer_killed() -> str:
    with Cluster(3) as cluster:
        cluster[2].begin("write_until_stopped", "@1/w")
        until(lambda: cluster[2].progress > 50)
        cluster[2].kill()
        confirmed = cluster[2].progress
        given_up([cluster[0], cluster[1]], 2)
        values = {cluster[place].do("get", "@1/w") for place in (0, 1)}
        assert len(values) == 1
        assert values <= {confirmed, confirmed + 1}, f"{values}, confirmed {confirmed}"
        return "the value is the last confirmed one, or the one under way; the others agree on it"


@scenario("kill -9 of a member in the middle of atomic", fast=True)
def counter_killed() -> str:
    with Cluster(3) as cluster:
        cluster[2].begin("count_until_stopped", "@1/n")
        until(lambda: cluster[2].progress > 50)
        cluster[2].kill()
        confirmed = cluster[2].progress
        given_up([cluster[0], cluster[1]], 2)
        value = cluster[0].do("get", "@1/n")
        assert value in (confirmed, confirmed + 1), f"{value}, confirmed {confirmed}"
        assert cluster[1].do("atomic", "@1/n", "add", 1) == value + 1
        return "each confirmed increment counted once, the one under way at most once"


@scenario("kill -9 of a home in the middle of a bulk transfer from it")
def source_killed() -> str:
    relay = Relay()
    try:
        with Cluster(3, detect_s=4.0, each={2: {"advertised_tcp_port": relay.port}}) as cluster:
            relay.target = ("127.0.0.1", cluster[2].tcp_port)
            cluster[1].do("put_blob", "@1/large", 3, 100 * MB)
            read = cluster[2].begin("sha_of", "@1/large")
            until(lambda: relay.n_bytes > 5 * MB)
            cluster[1].kill()
            lost(read.error(4.0 + LOST_WITHIN_S), "@1/large")
            assert not cluster[2].do("is_held", "@1/large")
            cluster[2].do("put", "@0/x", 1, True)
            return f"the reader got NodeLost with the key after {relay.n_bytes / MB:.0f} of 100 MB, and goes on"
    finally:
        relay.close()


@scenario("kill -9 of a writer in the middle of a bulk transfer from it")
def sender_killed() -> str:
    relay = Relay()
    try:
        with Cluster(3, detect_s=4.0, each={1: {"advertised_tcp_port": relay.port}}) as cluster:
            relay.target = ("127.0.0.1", cluster[1].tcp_port)
            cluster[0].do("put", "@1/large", "before", True)
            cluster[2].begin("put_blob", "@1/large", 3, 100 * MB)
            until(lambda: relay.n_bytes > 5 * MB)
            cluster[2].kill()
            given_up([cluster[0], cluster[1]], 2)
            assert cluster[0].do("get", "@1/large") == "before"
            return f"after {relay.n_bytes / MB:.0f} of 100 MB: the value before is still there, nothing of the new one"
    finally:
        relay.close()


@scenario("kill -9 of the authority")
def authority_killed() -> str:
    with Cluster(3) as cluster:
        cluster[1].do("put", "@1/x", 1, True)
        calls = [cluster[place].begin("count_until_stopped", "@1/n", thread="count") for place in (1, 2)]
        until(lambda: cluster[2].progress > 5)
        cluster[0].kill()
        for call in calls:
            lost(call.error(3 * DETECT_S + 3.0))
        for place in (1, 2):
            assert cluster[place].begin("get", "@1/x").error().kind == "NodeLost"
            assert cluster[place].look("out")
        return "every operation ended as NodeLost, which says that the cluster has to be joined again"


@scenario("restart with a new life; packets of the old one sent again")
def new_life() -> str:
    with Cluster(3) as cluster:
        old = cluster[2]
        old.do("count", "@1/n", 30)
        old.do("put", "@0/x", "old", True)
        packets = old.look("recorded")
        old.kill()
        given_up([cluster[0], cluster[1]], 2)
        cluster[1].do("put", "@0/x", "newer", True)
        new = cluster.add(port=old.udp_port)
        new.wait()
        assert new.number == 3
        reason = "from a life that does not belong"
        before = [cluster[place].look("counters").get(reason, 0) for place in (0, 1)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for data, host, port in packets:
                sender.sendto(base64.b64decode(data), (host, port))
        assert len(packets) > 60
        for place in (0, 1):
            until(lambda place=place: cluster[place].look("counters").get(reason, 0) > before[place])
        assert new.do("count", "@1/n", 5) == [31, 32, 33, 34, 35]
        assert {member.do("get", "@0/x") for member in (cluster[0], cluster[1], new)} == {"newer"}
        assert cluster[0].look("members") == [0, 1, 3]
        return f"{len(packets)} old packets refused, nothing happened twice; it is member 3 now, at the same port"


@scenario("two of four members killed at once")
def two_killed() -> str:
    with Cluster(4) as cluster:
        cluster[0].do("put", "@1/a", 1, True)
        cluster[0].do("put", "@2/b", 2, True)
        calls = {1: cluster[3].begin("count_until_stopped", "@1/n"), 2: cluster[0].begin("count_until_stopped", "@2/n")}
        until(lambda: cluster[3].progress > 5 and cluster[0].progress > 5)
        for place in (1, 2):
            cluster[place].signal(signal.SIGKILL)
        for number, call in calls.items():
            lost(call.error(2 * LOST_WITHIN_S), f"@{number}/n")
        lost(cluster[3].begin("get", "@1/a").error(), "@1/a")
        lost(cluster[0].begin("get", "@2/b").error(), "@2/b")
        cluster[0].do("put", "@3/c", 3, True)
        assert cluster[3].do("get", "@3/c") == 3
        return "NodeLost with the keys of both; the two that are left work on"


@scenario("a member that leaves in an orderly way", fast=True)
def left() -> str:
    with Cluster(3, detect_s=10.0) as cluster:
        cluster[2].do("put", "@2/x", 1, True)
        cluster[2].do("shutdown")
        given_up([cluster[0], cluster[1]], 2)
        lost(cluster[0].begin("get", "@2/x").error(), "@2/x")
        return count_of_rest(cluster)


def count_of_rest(cluster: Cluster) -> str:
    """Let the first two go on."""
    seen = [cluster[place].do("count", "@1/n", 5) for place in (0, 1)]
    assert seen == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    return "the others knew at once (detection would have taken 10 s), and go on"


# --- addresses and clocks ---------------------------------------------------------------------------------------------


@scenario("IPv6", fast=True)
def ipv6() -> str:
    with Cluster(3, host="::1", detect_s=10.0) as cluster:
        words = count_and_agree(cluster, 20)
        cluster[2].do("put_blob", "@1/large", 5, 4 * MB)
        assert cluster[0].do("sha_of", "@1/large")[1] == hashlib.sha256(blob(5, 4 * MB)).hexdigest()
        return f"{words}, and 4 MB over a stream"


@scenario("clocks on the wall 30 s apart")
def skew() -> str:
    with Cluster(3, each={1: {"skew_s": 15.0}, 2: {"skew_s": -15.0}}, detect_s=10.0) as cluster:
        return count_and_agree(cluster, 20)


@scenario("a clock on the wall that is an hour ahead")
def far_skew() -> str:
    with Cluster(2, detect_s=10.0) as cluster:
        late = cluster.add(skew_s=3600.0, join_s=2.0)
        error = late.ready.error()
        assert error.kind == "EngineError", error
        cluster.members.remove(late)
        late.close()
        until(lambda: cluster[0].look("counters").get("stamp from the future", 0) > 0)
        return f"it cannot join, its stamps are refused; the others: {count_and_agree(cluster, 20)}"


# --- large values -----------------------------------------------------------------------------------------------------


@scenario("TCP that loses silently: plain TCP and ours before the same receiver", fast=True)
def silent_loss() -> str:
    plain = sent_by_plain_tcp(n_messages=8)
    assert plain.n_believed > plain.n_arrived, plain
    ours = carried_by_a_member(size_bytes=3 * MB)
    return f"plain TCP: {plain.n_believed} messages sent without an error, {plain.n_arrived} arrived; ours: {ours}"


@scenario("500 MB while connections are reset every 60 MB and 20 % of datagrams are lost")
def half_a_gigabyte() -> str:
    relay = Relay(reset_bytes=60 * MB, swallow=True)
    size = 500 * MB
    try:
        weather = {"loss": 0.2, "double": 0.1, "late": 0.1}
        each = {1: {"advertised_tcp_port": relay.port}}
        with Cluster(3, each=each, weather=weather, detect_s=10.0) as cluster:
            relay.target = ("127.0.0.1", cluster[1].tcp_port)
            put = cluster[2].begin("put_blob", "@1/large", 11, size)
            put.result(300)
            began = time.monotonic()
            told = cluster[0].do("sha_of", "@1/large", within_s=300)
            assert told == [size, hashlib.sha256(blob(11, size)).hexdigest()]
            assert relay.n_resets >= 5
            return (
                f"identical (sha256) at its home and at a reader; put {put.seconds:.0f} s with {relay.n_resets} "
                f"resets, get {time.monotonic() - began:.0f} s"
            )
    finally:
        relay.close()


# --- several hosts ----------------------------------------------------------------------------------------------------

HOSTS = "three hosts (network namespaces)"


@scenario("a cable pulled for less than the lease", HOSTS, fast=True)
def pulled_briefly() -> str:
    with Hosts(3) as hosts, Cluster(3, detect_s=4.0, host=hosts.address, prefix=hosts.prefix) as cluster:
        calls = [member.begin("count", "@1/n", 60, 0.01) for member in cluster.members]
        hosts.pull(cluster[1].place)
        time.sleep(1.0)  # how long it is pulled
        hosts.plug(cluster[1].place)
        seen = sorted(x for call in calls for x in call.result())
        assert seen == list(range(1, 181))
        assert cluster[0].look("members") == [0, 1, 2]
        return "nobody was given up, 180 increments counted once each"


@scenario("a cable pulled for longer than the detection, put back, and joined again", HOSTS)
def pulled_long() -> str:
    with Hosts(3) as hosts, Cluster(3, host=hosts.address, prefix=hosts.prefix) as cluster:
        cluster[0].do("put", "@0/x", "old", True)
        cluster[1].do("put", "@1/y", 1, True)
        assert cluster[1].do("get", "@0/x") == "old"
        hosts.pull(cluster[1].place)
        cut_off = cluster[1].begin("count_until_stopped", "@0/n")
        given_up([cluster[0], cluster[2]], 1)
        lost(cluster[2].begin("get", "@1/y").error(), "@1/y")
        cluster[2].do("put", "@0/x", "new", True)
        lost(cut_off.error(3 * DETECT_S + 3.0))
        hosts.plug(cluster[1].place)
        assert isinstance(stale := cluster[1].begin("get", "@0/x").either(), Refused), f"read {stale!r}"
        assert isinstance(cluster[1].begin("put", "@0/x", "from the dead", True).either(), Refused)
        new = cluster.add(place=cluster[1].place)
        new.wait()
        assert {each.do("get", "@0/x") for each in (cluster[0], cluster[2], new)} == {"new"}
        return f"both sides know: NodeLost here and there; who was cut off stays out, or joins as member {new.number}"


@scenario("the authority's cable pulled for longer than the detection", HOSTS)
def authority_pulled() -> str:
    with Hosts(3) as hosts, Cluster(3, host=hosts.address, prefix=hosts.prefix) as cluster:
        cluster[0].do("put", "@0/x", 1, True)
        hosts.pull(cluster[0].place)
        for place in (1, 2):
            lost(cluster[place].begin("put", "@0/x", 2, True).error(3 * DETECT_S + 3.0))
        hosts.plug(cluster[0].place)
        given_up([cluster[0]], 1, 2)
        assert cluster[0].do("get", "@0/x") == 1
        return "the others stopped with NodeLost, the authority goes on alone: no two sides of one cluster"


@scenario("the way between two hosts broken, both still reach the authority", HOSTS)
def way_cut() -> str:
    with Hosts(3) as hosts, Cluster(3, host=hosts.address, prefix=hosts.prefix) as cluster:
        hosts.cut(cluster[1].place, cluster[2].place)
        write = cluster[2].begin("put", "@1/x", 1, True)
        outcome = write.either(4 * LOST_WITHIN_S)
        assert isinstance(outcome, Refused), outcome
        assert outcome.kind == "NodeLost"
        until(lambda: len(cluster[0].look("members")) == 2)
        rest = cluster[0].look("members")
        other = next(number for number in rest if number)
        cluster[0].do("put", f"@{other}/z", 3, True)
        assert cluster[other].do("get", f"@{other}/z") == 3
        return f"one of the two (member {3 - other}) was given up, the write ended as NodeLost, the rest works"


@scenario("three hosts over IPv6 in all weather, and one killed", HOSTS)
def hosts_weather() -> str:
    weather = {"loss": 0.6, "double": 0.33, "late": 0.5}
    with (
        Hosts(3) as hosts,
        Cluster(3, host=hosts.address6, prefix=hosts.prefix, weather=weather, detect_s=8.0) as cluster,
    ):
        words = count_and_agree(cluster, 8)
        call = cluster[2].begin("count_until_stopped", "@1/m")
        cluster[1].kill()
        lost(call.error(30.0), "@1/m")
        return f"{words}; then NodeLost with the key"


@scenario("SIGSTOP of a host's member while its cable is pulled, then both back", HOSTS)
def stopped_and_pulled() -> str:
    with Hosts(3) as hosts, Cluster(3, host=hosts.address, prefix=hosts.prefix) as cluster:
        cluster[1].do("put", "@0/x", "old", True)
        cluster[1].signal(signal.SIGSTOP)
        hosts.pull(cluster[1].place)
        given_up([cluster[0], cluster[2]], 1)
        cluster[2].do("put", "@0/x", "new", True)
        hosts.plug(cluster[1].place)
        cluster[1].signal(signal.SIGCONT)
        read = cluster[1].begin("get", "@0/x").either()
        assert isinstance(read, Refused), read
        assert cluster[0].do("get", "@0/x") == "new"
        return "fenced"


# --- the table --------------------------------------------------------------------------------------------------------


def run(chosen: list[Scenario]) -> int:
    """Run and print; return how many did not end as they must."""
    without_hosts = why_not()
    n_failed = n_not_run = 0
    print("| # | where | what was done | outcome | s |\n|---|---|---|---|---|")
    for i, each in enumerate(chosen, 1):
        began = time.monotonic()
        if each.place == HOSTS and without_hosts is not None:
            outcome = f"NOT RUN: {without_hosts}"
            n_not_run += 1
        else:
            try:
                outcome = each.run()
            except Exception as error:
                outcome = f"**FAILED** {type(error).__name__}: {error}".replace("\n", " ")
                n_failed += 1
        print(f"| {i} | {each.place} | {each.name} | {outcome} | {time.monotonic() - began:.1f} |", flush=True)
    print(f"\n{len(chosen) - n_failed - n_not_run} passed, {n_failed} failed, {n_not_run} not run")
    return n_failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", help="only scenarios whose function or name has one of these words")
    parser.add_argument("--fast", action="store_true", help="only those that `make test` runs")
    asked = parser.parse_args()
    chosen = [
        each
        for each in SCENARIOS
        if (each.is_fast or not asked.fast)
        and (not asked.words or any(word in f"{each.name} {each.run.__name__}" for word in asked.words))
    ]
    sys.exit(run(chosen) > 0)


if __name__ == "__main__":
    main()
