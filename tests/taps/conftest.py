"""Two recorders, and the check that a test of taps leaves nothing behind."""

from __future__ import annotations

import asyncio
import multiprocessing.connection
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydroscope.ground.record.recorder import Recorder
from tests.taps.rings import recorder

CERTIFICATE = Path(__file__).with_name("localhost.pem")
TAPPED = (
    *(socket.socket, ssl.SSLSocket, multiprocessing.connection.Connection),
    *(asyncio.BaseEventLoop, asyncio.SelectorEventLoop),
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Recorder]:
    """The recorder of one end."""
    rec = recorder(tmp_path, "here")
    yield rec
    rec.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Recorder]:
    """The recorder of the other."""
    rec = recorder(tmp_path, "there")
    yield rec
    rec.close()


@pytest.fixture(scope="session")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server and a client need to encrypt."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    return server, ssl.create_default_context(cafile=CERTIFICATE)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Check that all classes are as they were."""
    before = [dict(vars(each)) for each in TAPPED]
    yield
    assert [dict(vars(each)) for each in TAPPED] == before
