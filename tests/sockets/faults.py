"""Bad weather for real sockets: datagrams that are lost, doubled, delayed; connections that break or are never read."""

from __future__ import annotations

import heapq
import random
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

import msgspec

from hydroscope.engine.sockets.address import family_of
from hydroscope.engine.sockets.datagrams import UdpSocket
from hydroscope.wire.frame import HEADER_BYTES, MAC_BYTES

RECORDED = 500


@dataclass
class Weather:
    """What happens to datagrams that are sent. `ports`: only to these (empty: to all)."""

    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0
    late_s: float = 0.03
    ports: tuple[int, ...] = ()
    room_bytes: int = 0
    """Of the send buffer (0: enough), which the card empties `room_bytes` in 10 ms."""
    types: tuple[int, ...] = ()
    """All datagrams with messages of these types are lost."""


class FaultyDatagrams(UdpSocket):
    """A UDP socket in bad weather: seeded, and every fault counted."""

    def __init__(self, host: str, port: int, seed: int, weather: Weather) -> None:
        super().__init__(host, port)
        self.weather = weather
        self._room = 0.0
        self._room_since = time.monotonic()
        self.recorded: deque[tuple[bytes, str, int]] = deque(maxlen=RECORDED)
        self._random = random.Random(seed)
        self._later: list[tuple[float, int, bytes, str, int]] = []
        self._ready = threading.Condition()
        threading.Thread(target=self._send_later, daemon=True).start()

    def send(self, data: bytes, host: str, port: int) -> None:
        weather, rng = self.weather, self._random
        self.recorded.append((data, host, port))
        if weather.ports and port not in weather.ports:
            super().send(data, host, port)
            return
        if weather.room_bytes and not self._has_room(len(data)):
            self.counters["no room to send"] += 1
            return
        if rng.random() < weather.loss or (weather.types and not types_of(data).isdisjoint(weather.types)):
            self.counters["lost"] += 1
            return
        copies = 1 + (rng.random() < weather.double)
        self.counters["doubled"] += copies - 1
        for _ in range(copies):
            if rng.random() < weather.late:
                self.counters["late"] += 1
                with self._ready:
                    when = time.monotonic() + rng.random() * weather.late_s
                    heapq.heappush(self._later, (when, self.counters["late"], data, host, port))
                    self._ready.notify()
            else:
                super().send(data, host, port)

    def _has_room(self, n_bytes: int) -> bool:
        """Say whether the kernel would take it (loopback's never fills, so it cannot be asked)."""
        now, room_bytes = time.monotonic(), self.weather.room_bytes
        self._room = min(room_bytes, self._room + (now - self._room_since) / 0.01 * room_bytes)
        self._room_since = now
        if self._room < n_bytes:
            return False
        self._room -= n_bytes
        return True

    def _send_later(self) -> None:
        while True:
            with self._ready:
                while not self._later:
                    self._ready.wait()
                wait = self._later[0][0] - time.monotonic()
                if wait > 0:
                    self._ready.wait(wait)
                    continue
                _, _, data, host, port = heapq.heappop(self._later)
            if self._socket.fileno() < 0:
                return
            super().send(data, host, port)


def types_of(frame: bytes) -> set[int]:
    """Return the types of the messages in a frame."""
    return {message[0] for message in msgspec.msgpack.decode(frame[HEADER_BYTES:-MAC_BYTES])}


class Relay:
    """Stands before a member's port of streams, and treats connections as it is told.

    `mode`: "pass"; "reset after n bytes" (`reset_bytes`); "deaf": accepts and reads nothing;
    "overloaded": does not accept, and resets what waits whenever `drop_waiting` is called.
    """

    def __init__(
        self, mode: str = "pass", reset_bytes: int = 0, swallow: bool = False, host: str = "127.0.0.1"
    ) -> None:
        self.mode = mode
        self.reset_bytes = reset_bytes
        self.swallow = swallow
        self.target: tuple[str, int] | None = None
        self.n_connections = 0
        self.n_resets = 0
        self.n_bytes = 0
        self._host = host
        self._closing = False
        self._held: list[socket.socket] = []
        self._listener = self._listen(0, 0 if mode == "overloaded" else 16)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def drop_waiting(self) -> None:
        """As an overloaded receiver that restarts: reset all that was accepted by the kernel only; then pass."""
        self._listener.close()
        self._listener = self._listen(self.port, 16)
        self.mode = "pass"

    def heal(self) -> None:
        """From now on connections pass; those that were held are reset."""
        self.mode = "pass"
        for held in self._held:
            reset(held)
        self._held.clear()

    def close(self) -> None:
        """Stop."""
        self._closing = True
        self._listener.close()
        for held in self._held:
            held.close()

    def _listen(self, port: int, backlog: int) -> socket.socket:
        listener = socket.socket(family_of(self._host), socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.mode == "deaf":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((self._host, port))
        listener.listen(backlog)
        listener.settimeout(0.05)
        return listener

    def _accept(self) -> None:
        while not self._closing:
            if self.mode == "overloaded":
                time.sleep(0.02)
                continue
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.n_connections += 1
            if self.mode == "deaf":
                self._held.append(connection)
            else:
                threading.Thread(target=self._pump, args=(connection,), daemon=True).start()

    def _pump(self, connection: socket.socket) -> None:
        """Carry bytes one way (streams have only one) until the end, or until it is time for a reset."""
        left = self.reset_bytes or None
        with socket.create_connection(self.target) as onward:
            while True:
                try:
                    data = connection.recv(65_536 if left is None else min(65_536, left))
                except OSError:
                    break
                if not data:
                    break
                self.n_bytes += len(data)
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        if not self.swallow:
                            onward.sendall(data)
                        self.n_resets += 1
                        reset(connection)
                        return
                try:
                    onward.sendall(data)
                except OSError:
                    break
            connection.close()


def reset(connection: socket.socket) -> None:
    """Close with a RST instead of a FIN: what was not read is thrown away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
