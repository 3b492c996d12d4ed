"""Choosing the engine: what can be asked for, what is refused, what replaces what."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import hydroscope as hs
from hydroscope.engine import boot
from hydroscope.engine.local import LocalEngine
from hydroscope.engine.ray import RayEngine, connect
from hydroscope.node import ports


@pytest.fixture(autouse=True)
def nothing_chosen(local: LocalEngine) -> Iterator[None]:
    ports.install(None)
    yield
    hs.shutdown()


def test_the_first_use_starts_the_local_engine() -> None:
    engine = ports.current()
    assert (engine.name, engine.n_threads) == ("local", boot.n_cores())
    assert ports.current() is engine


def test_init_chooses_threads() -> None:
    session = hs.init("local", threads=3)
    assert ports.current() is session.engine
    assert session.engine.n_threads == 3
    assert repr(session) == "<hydroscope engine: local, 3 threads>"


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDROSCOPE_THREADS", "5")
    assert ports.current().n_threads == 5
    assert hs.init(threads=4).engine.n_threads == 4
    hs.shutdown()
    monkeypatch.setenv("HYDROSCOPE_THREADS", "many")
    with pytest.raises(hs.UserError, match="HYDROSCOPE_THREADS='many' must be a whole number"):
        ports.current()
    monkeypatch.delenv("HYDROSCOPE_THREADS")
    monkeypatch.setenv("HYDROSCOPE_ENGINE", "locl")
    hs.shutdown()
    with pytest.raises(hs.UserError, match="no engine 'locl' in hydroscope; did you mean 'local'"):
        hs.init()
    with pytest.raises(hs.UserError, match="did you mean 'local'"):
        ports.current()


def test_the_environment_chooses_ray(monkeypatch: pytest.MonkeyPatch, ray_engine: RayEngine) -> None:
    monkeypatch.setenv("HYDROSCOPE_ENGINE", "ray")
    assert ports.current().name == "ray"  # the first use
    hs.shutdown()
    assert hs.init().engine.name == "ray"
    with pytest.warns(UserWarning, match="replaces"):
        assert hs.init("local").engine.name == "local"


def test_a_second_init_replaces_and_says_so() -> None:
    first = hs.init(threads=2)
    with pytest.warns(UserWarning, match=r"init replaces <hydroscope engine: local, 2 threads>"):
        second = hs.init(threads=3)
    assert ports.current() is second.engine is not first.engine


def test_asking_for_the_same_again_changes_nothing() -> None:
    first = hs.init(threads=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hs.init(threads=2) is first


def test_init_after_a_default_start_says_nothing() -> None:
    ports.current()
    assert hs.init(threads=2).engine.n_threads == 2


def test_a_session_ends_with_its_block() -> None:
    with hs.init(threads=2) as session:
        assert ports.current() is session.engine
    assert ports.current() is not session.engine


def test_the_end_of_a_replaced_session_leaves_the_newer_one() -> None:
    with hs.init(threads=2), pytest.warns(UserWarning, match="replaces"):
        newer = hs.init(threads=3)
    assert ports.current() is newer.engine


def test_a_refused_init_leaves_what_was() -> None:
    session = hs.init(threads=2)
    with pytest.raises(hs.UserError):
        hs.init(threads=0)
    assert ports.current() is session.engine


def test_an_engine_that_cannot_start_leaves_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    session = hs.init(threads=2)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(hs.UserError, match="pip install"), pytest.warns(UserWarning, match="replaces"):
        hs.init("ray")
    assert ports.current() is session.engine
    assert hs.init(threads=2) is session


def test_the_size_of_a_ray_in_use_cannot_be_asked_for(ray_engine: RayEngine) -> None:
    with pytest.raises(hs.UserError, match="threads=7: the Ray in use in this process has its own size"):
        hs.init("ray", threads=7)


def test_shutdown_twice_is_harmless() -> None:
    hs.shutdown()
    hs.shutdown()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"engine": "Ray"}, "no engine 'Ray'.*did you mean 'ray'"),
        ({"engine": "spark"}, "no engine 'spark' in hydroscope"),
        ({"engine": "ray://"}, "must look like 'ray://host:port'"),
        ({"engine": "ray://host"}, "must look like 'ray://host:port'"),
        ({"engine": "ray://host:70000"}, "port up to 65535"),
        ({"engine": 3}, "engine=3 must be 'local', 'ray' or"),
        ({"threads": 0}, "threads=0 must be a whole number from 1 to 1024"),
        ({"threads": -2}, "threads=-2 must be"),
        ({"threads": 2.5}, "threads=2.5 must be"),
        ({"threads": True}, "threads=True must be"),
        ({"threads": "two"}, "threads='two' must be"),
        ({"threads": 100_000}, "threads=100000 must be"),
        ({"memory": "4GB"}, "memory='4GB': the local engine .* leave memory out"),
        ({"engine": "ray", "memory": "much"}, "memory='much' must be a number of bytes or a text"),
        ({"engine": "ray", "memory": "4 XB"}, "memory='4 XB' must be"),
        ({"engine": "ray", "memory": -1}, "memory=-1 must be"),
        ({"engine": "ray", "memory": 1000}, "memory=1000 is below the least"),
    ],
)
def test_impossible_values_are_refused(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(hs.UserError, match=text):
        hs.init(**arguments)


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("80MiB", 80 * 2**20), ("1.5 GB", 1_500_000_000), (10**9, 10**9), ("2gib", 2**31)]
)
def test_memory_is_read(text: int | str, n_bytes: int) -> None:
    assert boot._bytes_of(text) == n_bytes


def test_ray_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(hs.UserError, match=r"pip install 'hydroscope\[ray\]'"):
        hs.init("ray")


@pytest.mark.parametrize("address", ["ray://127.0.0.1:9", "127.0.0.1:9"])
def test_a_silent_address_is_told_at_once(address: str) -> None:
    with pytest.raises(hs.EngineError, match=f"no Ray answers at '{address}': .*refused.*; start one with `ray start"):
        connect(address, None, None)


def test_a_second_ray_in_one_process_is_refused(ray_engine: RayEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        address = f"ray://127.0.0.1:{somebody.getsockname()[1]}"
        with pytest.raises(hs.UserError, match=r"attached to a Ray already; call ray.shutdown\(\)"):
            hs.init(address)


def test_sizes_of_a_cluster_that_stands_are_refused() -> None:
    with pytest.raises(hs.UserError, match=r"threads=2: the Ray at 'ray://127.0.0.1:9' has its own size"):
        connect("ray://127.0.0.1:9", 2, None)


def test_a_ray_in_use_is_joined_and_left_running(ray_engine: RayEngine) -> None:
    with hs.init("ray") as session:
        assert session.engine.name == "ray"
        assert session.engine.n_threads == 2
    with pytest.raises(hs.EngineError, match="was shut down"):
        session.engine.put(1)
    assert ray_engine.get(ray_engine.put(1)) == 1


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", 8), ("300000 100000", 3), ("50000 100000", 1), ("1600000 100000", 8), ("?", 8)]
)
def test_a_containers_quota_counts(text: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert boot.n_cores(str(quota)) == cores
    assert boot.n_cores(str(tmp_path / "none")) == 8


def test_progress_is_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HYDROSCOPE_PROGRESS", "1")
    before = ports.install_host(None)
    try:
        assert boot.boot_host().display.enabled
        hs.init(progress=False)
        assert not ports.host().display.enabled
        hs.init(progress=True)
        assert ports.host().display.enabled
    finally:
        ports.install_host(before)
