"""Where a message ends in a stream of bytes, for protocols that are not ours.

A file of its own, without I/O, because two use it: taps, which see a stream at either end, and captures of a
network, which see it in between.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Literal

from hydroscope.ground.errors import UserError

__all__ = [
    "MORE",
    "UNFRAMED",
    "Framer",
    "guess",
    "http1",
    "http2",
    "length_prefixed",
    "lines",
    "resp",
    "tls",
]

Framer = Callable[[bytes], int]
"""Return the length of the message that these bytes begin with; `MORE` if that cannot be said yet; `UNFRAMED` if no
message begins here, so that from here on nobody knows where one ends. The message itself need not be there in full."""

MORE = 0
UNFRAMED = -1

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_LONGEST_HEAD = 2**16
"""Of a request or response of HTTP/1, and of a line of RESP."""

_SHORTEST = 12
"""A first line of HTTP/1 is longer than this."""

_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:.*chunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_METHOD = re.compile(rb"[A-Z]{3,11} ")
_NUMBER = re.compile(rb"-?\d{1,18}")
_RESPONSE = re.compile(rb"HTTP/1\.[01] (\d{3})")
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"TRACE ")
_TLS_TYPES = range(20, 25)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def length_prefixed(
    n_bytes: int = 4, order: Literal["big", "little"] = "big", at: int = 0, counts_itself: bool = False
) -> Framer:
    """Return the framer of messages that say how long they are.

    Parameters
    ----------
    n_bytes : {1, 2, 4, 8}
        Of the length.
    order : {"big", "little"}
    at : int
        Bytes before the length.
    counts_itself : bool
        Whether the length is that of all of the message, or of what comes after the length.

    Raises
    ------
    UserError
        The length has another number of bytes, or the place of it is below 0.

    Examples
    --------
    >>> length_prefixed()(b"\\0\\0\\0\\5hello, and more")
    9

    Notes
    -----
    Cost: some 150 ns a message.
    """
    if n_bytes not in _CODES or order not in ("big", "little") or at < 0:
        raise UserError(
            f"a length of {n_bytes!r} bytes, {order!r}, at {at!r}: it has 1, 2, 4 or 8, 'big' or 'little', at 0 or more"
        )
    read = struct.Struct((">" if order == "big" else "<") + _CODES[n_bytes]).unpack_from
    head = at + n_bytes
    extra = 0 if counts_itself else head

    def framer(data: bytes) -> int:
        if len(data) < head:
            return MORE
        n = int(read(data, at)[0]) + extra
        return n if n >= head else UNFRAMED

    return framer


def lines(data: bytes) -> int:
    """Frame text by lines.

    Parameters
    ----------
    data : bytes

    Examples
    --------
    >>> lines(b"one\\ntwo"), lines(b"two")
    (4, 0)

    Notes
    -----
    Cost: one search.
    """
    return data.find(b"\n") + 1


def http1(data: bytes) -> int:
    """Frame requests and responses of HTTP/1, with their bodies.

    Parameters
    ----------
    data : bytes

    Examples
    --------
    >>> http1(b"POST /a HTTP/1.1\\r\\nContent-Length: 3\\r\\n\\r\\nabc...")
    42

    Notes
    -----
    A body that ends where the connection does is not framed, nor is what follows an upgrade; and an answer
    to HEAD, which has a length and no body, is taken to have one. Cost: microseconds a message.
    """
    if len(data) < _SHORTEST:
        return MORE
    found = _RESPONSE.match(data)
    if found is None and _METHOD.match(data) is None:
        return UNFRAMED
    return _http1_length(data, 0 if found is None else int(found.group(1)))


def _http1_length(data: bytes, status: int) -> int:
    """Return the length of a message with its body; a request has the status 0."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return MORE if len(data) < _LONGEST_HEAD else UNFRAMED
    head = data[: end - 2]
    if status == 101:
        return end
    if 100 <= status < 200 or status in (204, 304):
        return end
    if _CHUNKED.search(head):
        return _chunks_end(data, end)
    length = _LENGTH.search(head)
    if length is not None:
        return end + int(length.group(1))
    return UNFRAMED if status else end


def _chunks_end(data: bytes, at: int) -> int:
    """Return where a chunked body ends that begins at `at`."""
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return MORE
        try:
            size = int(data[at:line_end].split(b";")[0], 16)
        except ValueError:
            return UNFRAMED
        if size < 0:
            return UNFRAMED
        at = line_end + 2
        if size == 0:
            break
        at += size + 2
        if at > len(data):
            return MORE
    while True:  # trailers, and the empty line
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return MORE
        if line_end == at:
            return at + 2
        at = line_end + 2


def http2(data: bytes) -> int:
    """Frame HTTP/2, and with it gRPC, by its frames; the client's preface is one more.

    Parameters
    ----------
    data : bytes

    Examples
    --------
    >>> http2(b"\\0\\0\\0\\4\\0\\0\\0\\0\\0")
    9

    Notes
    -----
    Cost: some 200 ns a frame.
    """
    if data[:3] == b"PRI":
        n = min(len(data), len(_PREFACE))
        return UNFRAMED if data[:n] != _PREFACE[:n] else len(_PREFACE) if n == len(_PREFACE) else MORE
    return int.from_bytes(data[:3], "big") + 9 if len(data) >= 3 else MORE


def tls(data: bytes) -> int:
    """Frame TLS by its records: what is in them stays secret, that it arrived does not.

    Parameters
    ----------
    data : bytes

    Examples
    --------
    >>> tls(b"\\x17\\3\\3\\0\\7secret!")
    12

    Notes
    -----
    Cost: some 200 ns a record.
    """
    if (data and data[0] not in _TLS_TYPES) or (len(data) > 1 and data[1] != 3):
        return UNFRAMED
    return int.from_bytes(data[3:5], "big") + 5 if len(data) >= 5 else MORE


def resp(data: bytes) -> int:
    """Frame the protocol of Redis: commands and answers, nested ones whole.

    Parameters
    ----------
    data : bytes

    Examples
    --------
    >>> resp(b"*2\\r\\n$3\\r\\nGET\\r\\n$3\\r\\nkey\\r\\n+OK\\r\\n")
    22

    Notes
    -----
    Versions 2 and 3, and commands that are a line. Cost: some 500 ns a value.
    """
    at, wanted = 0, 1
    while wanted:
        end = data.find(b"\r\n", at)
        if end < 0:
            return MORE if len(data) - at < _LONGEST_HEAD else UNFRAMED
        mark, rest = data[at : at + 1], data[at + 1 : end]
        at, wanted = end + 2, wanted - 1
        if mark not in b"$=!*~>%|":
            continue
        if _NUMBER.fullmatch(rest) is None:
            return UNFRAMED
        n = int(rest)
        if mark in b"$=!":
            at += n + 2 if n >= 0 else 0
            if wanted and at > len(data):
                return MORE
        elif n > 0:
            wanted += n if mark in b"*~>" else 2 * n
        if mark == b"|":  # attributes of the value that follows
            wanted += 1
    return at


def guess(data: bytes) -> Framer | None:
    """Return the framer of a stream that begins so; None where it is none of those that tell themselves by it.

    Parameters
    ----------
    data : bytes
        The first of one direction.

    Examples
    --------
    >>> guess(b"GET / HTTP/1.1\\r\\n") is http1, guess(b"hello")
    (True, None)

    Notes
    -----
    Knows HTTP/1 and 2, TLS, and Redis. Cost: about 1 us.
    """
    if data.startswith(b"HTTP/1.") or data.startswith(_METHODS):
        return http1
    if data.startswith(b"PRI * HTTP/2.0\r\n") or (data[:1] == b"\0" and data[3:9] == b"\4\0\0\0\0\0"):
        return http2
    if data[:1] == b"\x16" and data[1:2] == b"\3" and data[2:3] <= b"\4" and len(data) >= 5:
        return tls
    if re.match(rb"[*]\d+\r\n[$]\d+\r\n", data):
        return resp
    return None
