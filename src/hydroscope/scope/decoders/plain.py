"""Messages that say in text what they are: HTTP, Redis, JSON.

All work on the first bytes alone, which may end anywhere.
"""

from __future__ import annotations

import re

from hydroscope.scope.decoding import Decoded, Dialect, shown

__all__ = ["HTTP", "JSON", "RESP", "http", "json", "resp"]

_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT|TRACE) ([^ \r\n]*)")
_ANSWER = re.compile(rb"HTTP/(\d(?:\.\d)?) (\d{3})")
_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z.]+)(?:\r\n(?:\$\d+\r\n([^\r]*))?)?")
_FIRST_OF_JSON = re.compile(r'[{\[]\s*"([^"]{1,40})"')
_SORT_OF_JSON = re.compile(
    r'"(?:type|kind|method|op|cmd|command|action|event|msg|message|msg_type|message_type)"\s*:\s*"([^"]+)"'
)
_NUMBERS = re.compile(r"(?<![A-Za-z\d])\d+")
_FRAME_BYTES = (8, 4, 2)


def _text(data: bytes) -> str:
    return shown(data, len(data))


def http(data: bytes) -> Decoded | None:
    """Decode the first line of a request or an answer of HTTP/1.

    Examples
    --------
    >>> http(b"GET /items/17 HTTP/1.1").kind, http(b"HTTP/1.1 404 Not Found").kind, http(b"GETTING")
    ('GET /items/#', 'HTTP 404', None)
    """
    if found := _REQUEST.match(data):
        method, target = (part.decode("latin-1") for part in found.groups())
        path = target.partition("?")[0]
        return Decoded(
            f"{method} {_NUMBERS.sub('#', path)}".rstrip(), {"method": method, "target": target}, _text(data)
        )
    if found := _ANSWER.match(data):
        return Decoded(f"HTTP {found[2].decode()}", {"status": int(found[2])}, _text(data))
    return None


def resp(data: bytes) -> Decoded | None:
    r"""Decode a command or an answer of the protocol of Redis.

    Examples
    --------
    >>> resp(b"*2\r\n$3\r\nGET\r\n$5\r\nuser7\r\n").text, resp(b"-ERR no such key\r\n").kind, resp(b"*hello")
    ('GET user7', 'error ERR', None)
    """
    if found := _COMMAND.match(data):
        command = found[1].decode().upper()
        key = (found[2] or b"").decode(errors="replace")
        return Decoded(command, {"command": command, "key": key}, f"{command} {key}".rstrip())
    first, line = data[:1], data[1:].partition(b"\r")[0].decode(errors="replace")
    if (b"\r" not in data and len(data) < 16) or not line.isprintable():
        return None
    if first == b"+":
        return Decoded(line, {"status": line}, line)
    if first == b"-" and (code := line.partition(" ")[0]).isupper():
        return Decoded(f"error {code}", {"error": line}, line)
    if first in b":$*" and re.fullmatch(r"-?\d+", line):
        what = {b":": "number", b"$": "value", b"*": "list"}[first]
        return Decoded(what, {what: int(line)}, _text(data))
    return None


def json(data: bytes) -> Decoded | None:
    r"""Decode JSON by the field that says what it is (type, method, op, ...), else by its first key or element.

    A length of 2, 4 or 8 bytes in front is passed over.

    Examples
    --------
    >>> json(b'{"term": 3, "type": "vote"}').kind, json(b'\0\0\0\x30{"term": 3, "vo').kind, json(b"{hello}")
    ('vote', '{term…}', None)
    """
    for n in _FRAME_BYTES:
        if data[0] not in b"{[" and data[n : n + 1] in (b"{", b"[") and 0 in data[:n]:
            data = data[n:]
            break
    text = data.decode(errors="ignore")
    first = _FIRST_OF_JSON.match(text)
    if first is None:
        return None
    sort = _SORT_OF_JSON.search(text)
    kind = sort[1] if sort else f"{text[0]}{first[1]}…{'}' if text[0] == '{' else ']'}"
    return Decoded(kind, {"first": first[1]}, _text(data))


HTTP = Dialect("http", http, b"GHPDOCT")
RESP = Dialect("resp", resp, b"*+-:$")
JSON = Dialect("json", json, b"{[" + bytes(range(32)))
