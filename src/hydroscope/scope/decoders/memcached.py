"""Memcached's text: commands and answers, and where each ends."""

from __future__ import annotations

import re

from hydroscope.scope.decoding import Decoded, Dialect
from hydroscope.wire.framing import MORE, UNFRAMED

__all__ = ["MEMCACHED", "frame", "memcached"]

_STORES = (b"set", b"add", b"replace", b"append", b"prepend", b"cas")
_COMMANDS = (
    *(*_STORES, b"get", b"gets", b"gat", b"gats", b"delete", b"incr", b"decr", b"touch", b"stats", b"flush_all"),
    *(b"version", b"verbosity", b"quit", b"mg", b"ms", b"md", b"ma", b"mn", b"me"),
)
_ANSWERS = (
    *(b"STORED", b"NOT_STORED", b"EXISTS", b"NOT_FOUND", b"END", b"DELETED", b"TOUCHED", b"OK", b"ERROR", b"VALUE"),
    *(b"CLIENT_ERROR", b"SERVER_ERROR", b"STAT", b"VERSION", b"RESET", b"HD", b"VA", b"EN", b"NS", b"EX", b"NF", b"MN"),
)
_LONGEST_LINE = 2**13
_NUMBER = re.compile(rb"\d{1,10}$")


def memcached(data: bytes) -> Decoded | None:
    r"""Decode the first line of a command or an answer.

    Examples
    --------
    >>> memcached(b"set user:7 0 60 5\r\nhello\r\n").kind, memcached(b"NOT_FOUND\r\n").kind, memcached(b"settings")
    ('set', 'NOT_FOUND', None)
    """
    line = data.partition(b"\r\n")[0]
    words = line.split(b" ")
    if words[0] not in (*_COMMANDS, *_ANSWERS):
        return _number(line) if b"\r\n" in data else None
    text = line.decode(errors="replace")
    key = words[1].decode(errors="replace") if len(words) > 1 else ""
    if not text.isprintable():
        return None
    return Decoded(words[0].decode(), {"command": words[0].decode(), "key": key}, text)


def _number(line: bytes) -> Decoded | None:
    return Decoded("number", {"number": int(line)}, line.decode()) if _NUMBER.match(line) else None


def frame(data: bytes) -> int:
    r"""Frame commands and answers; all values of a `get` are one answer.

    Examples
    --------
    >>> frame(b"set a 0 0 2\r\nhi\r\nget a\r\n"), frame(b"VALUE a 0 2\r\nhi\r\nEND\r\n"), frame(b"VALUE a 0")
    (17, 22, 0)
    """
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return MORE if len(data) - at < _LONGEST_LINE else UNFRAMED
        words = data[at:end].split(b" ")
        at = end + 2
        place = {b"VALUE": 3, b"VA": 1, b"ms": 2}.get(words[0], 4 if words[0] in _STORES else 0)
        if place:
            if len(words) <= place or not _NUMBER.match(words[place]):
                return UNFRAMED
            at += int(words[place]) + 2
        if words[0] not in (b"VALUE", b"STAT"):
            return at
        if at > len(data):
            return MORE


MEMCACHED = Dialect("memcached", memcached, bytes({word[0] for word in (*_COMMANDS, *_ANSWERS)}) + b"0123456789")
