"""DNS: questions and answers."""

from __future__ import annotations

import struct

from hydroscope.scope.decoding import Decoded, Dialect

__all__ = ["DNS", "dns"]

TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    41: "OPT",
    43: "DS",
    46: "RRSIG",
    48: "DNSKEY",
    64: "SVCB",
    65: "HTTPS",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
}
CODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
OPCODES = {0: "", 1: "inverse ", 2: "status ", 4: "notify ", 5: "update "}
_HEAD = struct.Struct(">HHHHHH")


def dns(data: bytes) -> Decoded | None:
    r"""Decode the header and the first question of a message of DNS, without the length that it has over TCP.

    Examples
    --------
    >>> dns(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1").text
    'query 0x1234 A example.com'
    >>> dns(b"GET / HTTP/1.1\r\n")
    """
    if len(data) < _HEAD.size:
        return None
    number, flags, questions, answers, *_ = _HEAD.unpack_from(data)
    opcode, code = flags >> 11 & 15, flags & 15
    if opcode not in OPCODES or flags & 0x40 or questions > 4 or code >= len(CODES):
        return None
    name, at = _name(data) if questions else ("", _HEAD.size)
    if name is None:
        return None
    of = int.from_bytes(data[at : at + 2], "big") if len(data) >= at + 2 else 0
    asked = TYPES.get(of, f"type {of}" if of else "")
    fields: dict[str, object] = {"id": number, "name": name, "type": asked, "answers": answers}
    said = f"{asked} {name}".strip()
    if flags >> 15:
        kind = f"{OPCODES[opcode]}answer {asked}".strip() if not code else CODES[code]
        text = f"answer 0x{number:04x} {CODES[code]} {said}, {answers} records"
        return Decoded(kind, fields | {"code": CODES[code]}, text)
    return Decoded(f"{OPCODES[opcode]}query {asked}".strip(), fields, f"{OPCODES[opcode]}query 0x{number:04x} {said}")


def _name(data: bytes) -> tuple[str | None, int]:
    """Return the name in the first question, and where it ends; None if there is none."""
    labels: list[str] = []
    at = _HEAD.size
    while at < len(data):
        n = data[at]
        if n == 0:
            return ".".join(labels) or ".", at + 1
        label = data[at + 1 : at + 1 + n]
        if n > 63 or not all(33 <= byte < 127 for byte in label):
            return None, at
        labels.append(label.decode())
        at += 1 + n
    return ".".join(labels) + "…", len(data)


DNS = Dialect("dns", dns, n_decisive=27)
