"""The button as users press it: in a program, from a shell, by a signal; what is refused, and how."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hydroscope as hs
from hydroscope.cli.main import run
from hydroscope.engine.dump import gather, signals
from hydroscope.engine.dump.post import DIED
from hydroscope.scope import button
from hydroscope.scope.decoding import Decoded
from tests.dump.machines import WAIT_S, post_at, processes

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
    assert "nothing was recorded under nobody-is-called-so" in capsys.readouterr().out
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


def test_a_handler_that_python_does_not_know_of_is_left_alone():
    if not os.path.exists("/proc/self/status"):
        return
    program = (
        "import faulthandler, signal, hydroscope as hs\n"
        "faulthandler.register(signal.SIGUSR1)\n"
        "try: hs.timeline_on_signal()\n"
        "except hs.UserError: signal.raise_signal(signal.SIGUSR1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert "most recent call first" in done.stderr


def test_a_signal_in_a_thread_and_one_while_a_timeline_is_written(monkeypatch):
    listens: list[bool] = []
    thread = threading.Thread(target=lambda: listens.append(signals.listen()))
    thread.start()
    thread.join()
    assert listens == [False]
    said: list[str] = []
    monkeypatch.setattr(signals, "_say", said.append)
    monkeypatch.setattr(signals, "_write", lambda: signals._press() or "written")
    signals._press()
    assert said == ["a timeline is being written already", "written"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.timeline", "10.0.0.7:4711"], "'x.timeline' is a file and '10.0.0.7:4711' an address"),
        (["x.timeline", "--mode", "die"], "--mode has no meaning for files"),
        (["x.timeline", "--node", "a"], "--node has no meaning for files"),
        (["--thaw", "--output", "x.html"], "--output has no meaning for --thaw"),
        (["--serve", "127.0.0.1:0", "--freeze-s", "5"], "--freeze-s has no meaning for an agent"),
        (["10.0.0.7:4711", "--serve", "127.0.0.1:0"], "'10.0.0.7:4711' has no meaning for an agent"),
        (["10.0.0.7:4711"], "set HYDROSCOPE_SECRET"),
        (["--deadline", "1e9"], "--deadline 1000000000.0 must be seconds, more than 0 and at most 3600"),
        (["--mode", "freeze", "--freeze-s", "1e9"], "--freeze-s 1000000000.0 must be seconds"),
        (["--mode", "die", "--rules", "none.rules"], "none.rules: No such file"),
        (["--mode", "die", "--rules", "bytes.rules"], "the rules in 'bytes.rules' must be text in UTF-8"),
        (["--mode", "die", "--rules", "bad.rules"], "line 1 of the rules, 'nonsense here'"),
    ],
)
def test_a_shell_is_told_what_makes_no_sense_before_anything_is_done(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HYDROSCOPE_SECRET", raising=False)
    monkeypatch.setattr(button, "gather", None)
    monkeypatch.chdir(tmp_path)
    Path("bytes.rules").write_bytes(b"\xff\xfe")
    Path("bad.rules").write_text("nonsense here\n")
    assert run(["timeline", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_where_nothing_can_be_had_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HYDROSCOPE_SECRET", "ab" * 32)
    assert run(["timeline", "127.0.0.1:1", "--node", "none", "-o", str(tmp_path / "x.timeline")]) == 2
    told = capsys.readouterr()
    assert "127.0.0.1:1 cannot be reached: Connection refused" in told.out
    assert "nobody's recording could be had" in told.err
    assert list(tmp_path.iterdir()) == []


def test_who_has_another_secret_is_told_so(tmp_path):
    with post_at(tmp_path) as post:
        shown = hs.timeline(nodes="none", addresses=post.address, secret=bytes(32))
    assert [each.why for each in shown.missing] == [
        "the other end hung up at once (is its secret the same?); its recording could not be had"
    ]


def test_ctrl_c_during_a_freeze_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(button, "gather", interrupted)
    assert run(["timeline", "--mode", "freeze"]) == 130
    assert "--thaw" in capsys.readouterr().err


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
            assert hs.timeline(nodes=NAME).missing == ()  # an agent here has no recording that could be missing
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
