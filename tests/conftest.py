"""Fixtures of all rooms: a small local engine for every test, and `engine` for what must hold on each.

A behaviour that an engine does not have yet is declared in `tests/conformance/gaps.py` and
then expected to fail, strictly: a gap that closed makes the run fail until its row is gone.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hydroscope.engine import boot
from hydroscope.engine.local import LocalEngine
from hydroscope.node import ports
from tests.conformance.gaps import GAPS

if TYPE_CHECKING:
    from hydroscope.engine.ray import RayEngine

ENGINES = ("local", "ray")
COLUMNS = (*ENGINES, "simulated", "sockets")
"""Of the conformance table: the engines, and the stores of keys (which a Ray has too)."""
RAY_STORE_BYTES = 256 * 2**20

_outcomes: dict[str, dict[str, str]] = defaultdict(dict)


def pytest_configure() -> None:
    """Make the run independent of what the shell says."""
    for name in ("HYDROSCOPE_ENGINE", "HYDROSCOPE_THREADS", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    os.environ["HYDROSCOPE_PROGRESS"] = "0"


@pytest.fixture(scope="session")
def two_threads() -> Iterator[LocalEngine]:
    """The local engine of the whole run."""
    engine = LocalEngine(2)
    yield engine
    engine.shutdown()


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[RayEngine]:
    """The Ray engine of the whole run, started when first asked for."""
    from hydroscope.engine.ray import connect

    engine = connect(None, 2, RAY_STORE_BYTES, 2)
    yield engine
    engine.shutdown()


@pytest.fixture(autouse=True)
def local(two_threads: LocalEngine) -> Iterator[LocalEngine]:
    """Run the test on two threads, however many cores there are, and put back what was."""
    before = ports.install(two_threads)
    yield two_threads
    ports.restore(before)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without keys and values, and put back what was."""
    monkeypatch.setattr(boot, "_local_keys", None)
    before = ports.install_keys(None)
    yield
    ports.install_keys(before)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, local: LocalEngine) -> Iterator[ports.Engine]:
    """Run the test once on each engine."""
    chosen: ports.Engine = local if request.param == "local" else request.getfixturevalue("ray_engine")
    before = ports.install(chosen)
    yield chosen
    ports.restore(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the declared gaps to fail."""
    for item in items:
        reason = GAPS.get(_behaviour_and_engine(item.nodeid))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the rows of the conformance table."""
    if "tests/conformance/" not in report.nodeid or "[" not in report.nodeid:
        return
    behaviour, engine_name = _behaviour_and_engine(report.nodeid)
    if engine_name not in COLUMNS:
        return
    if report.failed:
        _outcomes[behaviour][engine_name] = "FAILS"
    elif report.when == "call" and _outcomes[behaviour].get(engine_name) != "FAILS":
        _outcomes[behaviour][engine_name] = "gap" if report.skipped else "yes"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print behaviours against engines."""
    if not _outcomes:
        return
    width = max(len(behaviour) for behaviour in _outcomes)
    terminalreporter.section("conformance")
    terminalreporter.write_line(f"{'behaviour':<{width}}  " + "  ".join(f"{name:>9}" for name in COLUMNS))
    for behaviour, row in sorted(_outcomes.items()):
        cells = "  ".join(f"{row.get(name, '-'):>9}" for name in COLUMNS)
        terminalreporter.write_line(f"{behaviour:<{width}}  {cells}")
    for name in COLUMNS:
        tried = [row[name] for row in _outcomes.values() if name in row]
        terminalreporter.write_line(f"{name}: {tried.count('yes')} of {len(tried)} behaviours")


def _behaviour_and_engine(nodeid: str) -> tuple[str, str]:
    """Split `tests/x/test_y.py::test_it[ray-3]` into its behaviour, "y: it", and its engine."""
    path, _, test = nodeid.partition("::")
    name, _, parameters = test.removesuffix("]").partition("[")
    room = path.rsplit("/", 1)[-1].removeprefix("test_").removesuffix(".py")
    return f"{room}: {name.removeprefix('test_').replace('_', ' ')}", parameters.split("-")[0]
