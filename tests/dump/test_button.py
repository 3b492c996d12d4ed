"""The button as users press it: in a program, from a shell, by a signal; what is refused, and how."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hydroscope as hs
from hydroscope.cli.main import run
from hydroscope.engine.dump import gather
from hydroscope.engine.dump.post import DIED
from hydroscope.scope import button
from hydroscope.scope.decoding import Decoded
from tests.dump.machines import WAIT_S, processes

NAME = f"button-{os.getpid()}"

MEMBER = """
import sys
import hydroscope as hs
with hs.start_cluster() as cluster:
    hs.kv.put("k", 1, wait=True)
    print(cluster.post, cluster.secret.hex(), flush=True)
    for line in sys.stdin:
        if line.startswith("put"):
            hs.kv.put("k", 2, wait=True)
            print("put", flush=True)
"""


@contextmanager
def member(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Within the block, a cluster of one process runs: it, its post, its secret."""
    process = subprocess.Popen(
        [sys.executable, "-c", MEMBER], cwd=folder,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        post, secret = process.stdout.readline().split()
        yield process, post, secret
    finally:
        process.kill()
        process.communicate()


@contextmanager
def recorded() -> Iterator[hs.Recorder]:
    """Within the block, this process has recorded something."""
    rec = hs.Recorder(NAME, seconds=0.1)
    rec.sent("peer", 1, b"PREPARE 9")
    rec.note("a remark")
    try:
        yield rec
    finally:
        rec.close(remove=True)


def test_a_program_sees_what_it_recorded():
    with recorded():
        shown = hs.timeline(nodes=NAME)
    assert [node.name for node in shown.events.nodes][:1] == [NAME]
    assert shown.missing == ()
    assert {"a remark"} <= set(shown.to_frame().to_dict()["text"])


def test_rules_and_decoders_are_the_timeline_s_own():
    def decode(data: bytes) -> Decoded | None:
        return Decoded("prep", {}, "prepared") if data.startswith(b"PREPARE") else None

    with recorded():
        shown = hs.timeline(nodes=NAME, decoders=[decode])
    assert "prepared" in shown.to_frame().to_dict()["text"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "explode"}, "no mode 'explode' in timeline"),
        ({"deadline_s": 0}, "deadline_s=0 must be seconds"),
        ({"deadline_s": "5"}, "deadline_s='5' must be seconds"),
        ({"seconds": -1}, "seconds=-1 must be seconds"),
        ({"freeze_s": 1e9}, "freeze_s=1000000000.0 must be seconds"),
        ({"addresses": "10.0.0.7:4711"}, "set HYDROSCOPE_SECRET"),
        ({"addresses": "10.0.0.7", "secret": bytes(16)}, "address '10.0.0.7' must look like"),
        ({"addresses": ["10.0.0.7:99999"], "secret": bytes(16)}, "must look like"),
        ({"addresses": "127.0.0.1:1", "secret": "xyz"}, "hexadecimal"),
        ({"addresses": [], "secret": bytes(16)}, "addresses=[] must be a text or a list of texts"),
        ({"nodes": 7}, "nodes=7 must be a text or a list of texts"),
        ({"nodes": ["a", 7]}, "must be a text or a list of texts"),
        ({"deadline_s": True}, "deadline_s=True must be seconds"),
        ({"rules": 3}, "rules=3 must be a text"),
        ({"rules": "what is this"}, "line 1 of the rules"),
        ({"decoders": ["dnss"]}, "no decoder 'dnss'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(arguments, said, monkeypatch):
    monkeypatch.delenv("HYDROSCOPE_SECRET", raising=False)
    monkeypatch.setattr(button, "gather", None)
    with pytest.raises(hs.UserError, match=re.escape(said)):
        hs.timeline(**arguments)


def test_a_shell_gathers_writes_and_shows(tmp_path, capsys):
    written = tmp_path / "seen.timeline"
    with recorded():
        assert run(["timeline", "--node", NAME, "-o", str(written)]) == 0
        assert NAME in capsys.readouterr().out
        assert run(["timeline", "--node", NAME, "-o", str(written)]) == 2
        assert "exists already" in capsys.readouterr().err
        assert run(["timeline", "--node", NAME, "-o", str(tmp_path / "x.unknown")]) == 2
        assert run(["timeline", "--node", NAME, "--table", "5"]) == 0
        assert "a remark" in capsys.readouterr().out
    assert run(["timeline", str(written)]) == 0
    assert NAME in capsys.readouterr().out
    assert run(["timeline", "--node", "nobody-is-called-so"]) == 0
    assert "nothing was recorded here" in capsys.readouterr().out
    assert run(["timeline", str(tmp_path / "away.timeline")]) == 2


def test_one_post_and_the_secret_are_enough_from_elsewhere(tmp_path, monkeypatch):
    with member(tmp_path) as (process, post, secret):
        pid = process.pid
        shown = hs.timeline(nodes=f"*-{pid}", addresses=post, secret=secret)
        assert [node.name for node in shown.events.nodes if node.pid == pid] == [f"authority-{pid}"]
        wrong = hs.timeline(nodes=post, addresses=post, secret=bytes(32))
        assert [each.name for each in wrong.missing] == [post]


def test_a_cluster_on_this_machine_is_found_frozen_and_thawed_without_an_address(tmp_path, capsys):
    with member(tmp_path) as (process, _, _):
        assert process.stdin is not None
        assert process.stdout is not None
        assert run(["timeline", "--mode", "freeze", "--freeze-s", "100", "--node", f"*-{process.pid}"]) == 0
        process.stdin.write("put\n")
        process.stdin.flush()
        os.set_blocking(process.stdout.fileno(), False)
        assert process.stdout.readline() == ""
        assert run(["timeline", "--thaw"]) == 0
        os.set_blocking(process.stdout.fileno(), True)
        assert process.stdout.readline() == "put\n"


def test_where_nobody_can_stand_still_nobody_is_thawed(capsys, monkeypatch):
    monkeypatch.setattr(gather, "doors", list)
    assert run(["timeline", "--thaw"]) == 2
    assert "no process of a cluster was found" in capsys.readouterr().err


def test_who_is_to_die_dies_once_its_recording_is_here(tmp_path):
    with member(tmp_path) as (process, post, secret):
        shown = hs.timeline(nodes=f"*-{process.pid}", addresses=post, secret=secret, mode="die")
        assert process.wait(WAIT_S) == DIED
        assert len(shown) > 0
        again = hs.timeline(nodes=f"*-{process.pid}", seconds=600)
        assert [each.why for each in again.missing] == [
            f"ended: process {process.pid} is gone, and had not closed its recording; its recording was read from disk"
        ]
        assert "ends, as was asked for" in again.to_frame().to_dict()["text"]


def test_a_signal_has_a_timeline_written(tmp_path):
    with member(tmp_path) as (process, _, _):
        process.send_signal(signal.SIGUSR1)
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.fullmatch(r"hydroscope: a timeline was written: hydroscope timeline (\S+) --open\n", said)
        assert found is not None, said
        assert Path(found[1]).parent == tmp_path
        assert process.pid in [node.pid for node in hs.read_timeline(found[1]).events.nodes]
        assert process.poll() is None


def test_a_handler_of_somebody_else_s_is_left_alone():
    def handler(number: int, frame: object) -> None:
        """Do nothing."""

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(hs.UserError, match="it has a handler"):
            hs.timeline_on_signal()
        assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_agent_ships_what_lies_on_its_machine(tmp_path):
    environment = os.environ | {"HYDROSCOPE_SECRET": "ab" * 32}
    agent = subprocess.Popen(
        [sys.executable, "-m", "hydroscope.cli", "timeline", "--serve", "127.0.0.1:0"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert agent.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", agent.stdout.readline())
        assert found is not None
        with recorded():
            shown = hs.timeline(nodes=NAME, addresses=found[0], secret="ab" * 32)
            assert [node.name for node in shown.events.nodes][:1] == [NAME]
    finally:
        agent.send_signal(signal.SIGINT)
        agent.communicate(timeout=WAIT_S)
    assert agent.returncode == 130


def test_an_agent_needs_a_secret(capsys, monkeypatch):
    monkeypatch.delenv("HYDROSCOPE_SECRET", raising=False)
    assert run(["timeline", "--serve", "127.0.0.1:0"]) == 2
    assert "HYDROSCOPE_SECRET" in capsys.readouterr().err


def test_a_stopped_process_here_is_read_and_told(tmp_path):
    from hydroscope.ground.record.folder import default_folders

    with processes(default_folders()[0], f"{NAME}-stopped") as (stopped,):
        stopped.stop()
        shown = hs.timeline(nodes=f"{NAME}-stopped")
        assert [(each.name, each.why) for each in shown.missing] == [
            (f"{NAME}-stopped", f"stopped: process {stopped.pid} is in state T; its recording was read from disk")
        ]
        assert len(shown) >= 100
