"""Labels and texts agree with a plain loop over all records; decoders are asked as is promised."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from hydroscope.ground.errors import UnknownNameError, UserError
from hydroscope.ground.record.layout import DATA_BYTES, Kind
from hydroscope.scope.decoders.plain import http, json, resp
from hydroscope.scope.decoding import Decoded, Dialect, Labels, dialects, label, shown
from hydroscope.scope.events import COLUMNS, MESSAGES, Events, Node
from tests.scope.anything import any_events
from tests.scope.test_order import table


def word(data: bytes, otherwise: str) -> str:
    """Return the word that a text begins with."""
    if not all(32 <= byte < 127 or byte > 127 or byte in b"\t\r\n" for byte in data.rstrip(b"\0")):
        return otherwise
    found = re.match(rb"[A-Za-z_.-]{2,}", data)
    return (found[0].decode().rstrip("-._") if found else "") or otherwise


def plainly(events: Events, spoken: tuple[Dialect, ...]) -> list[str]:
    """Return the labels as the documentation says them."""
    found: list[str] = []
    tasks: dict[tuple[int, int], str] = {}
    for k in range(len(events)):
        kind, n_bytes = Kind(int(events.kind[k])), int(events.n_bytes[k])
        data = bytes(events.data[k])[: min(n_bytes, DATA_BYTES)]
        subject = events.names[events.subject[k]]
        if kind in MESSAGES:
            decoded = [
                said for each in spoken if data and (not each.begins or data[0] in each.begins)
                if (said := each.decode(data)) is not None
            ]  # fmt: skip
            name = decoded[0].kind if decoded else word(data, "message")
        elif kind in (Kind.QUEUED, Kind.STARTED, Kind.ENDED):
            name = tasks.setdefault((int(events.node[k]), int(events.id[k])), subject or word(data, "task"))
        elif kind in (Kind.PUT, Kind.REMOVED, Kind.SPILLED):
            name = subject or "key"
        elif kind == Kind.FAILED:
            name = subject or word(data, "error")
        elif kind == Kind.NOTE:
            name = subject or shown(data, n_bytes) or "note"
        else:
            name = subject or kind.name.lower()
        found.append(name)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_labels_are_those_of_a_plain_loop(seed):
    events = any_events(seed)
    spoken = dialects(())
    labels = label(events)
    assert [labels[k] for k in range(len(events))] == plainly(events, spoken)
    texts, codes = labels.texts
    assert [texts[code] for code in codes] == [labels.text(k) for k in range(len(events))]
    for k in np.flatnonzero(np.isin(events.kind, MESSAGES)):
        data = bytes(events.data[k])[: min(int(events.n_bytes[k]), DATA_BYTES)]
        said = [each.decode(data) for each in spoken if data and (not each.begins or data[0] in each.begins)]
        decoded = next((each for each in said if each is not None), None)
        assert labels.text(int(k)) == (decoded.text if decoded else shown(data, int(events.n_bytes[k])))


def test_an_excerpt_that_is_shorter_than_what_is_kept_is_a_text():
    events = table(("a", Kind.SENT, 1, "b"), ("a", Kind.SENT, 2, "b"))
    columns = {name: getattr(events, name) for name in COLUMNS}
    columns |= {
        "n_bytes": [400, 400],
        "data": np.array([b"VOTE 17", b"\0\0\x01"], f"S{DATA_BYTES}").view(f"V{DATA_BYTES}"),
    }
    labels = label(Events.sorted(events.nodes, events.names, columns))
    assert [labels[0], labels.text(0)] == ["VOTE", "VOTE 17…"]
    assert [labels[1], labels.text(1)] == ["message", bytes(events.data[1]).hex(" ")[:6] + "01" + " 00" * 24 + "…"]


def test_a_decoder_is_asked_once_for_each_distinct_beginning_and_before_those_by_default():
    asked: Counter[bytes] = Counter()

    def mine(data: bytes) -> Decoded | None:
        asked[data] += 1
        return Decoded("mine", {}, f"mine {data!r}") if data.startswith(b"GET") else None

    events = any_events(1)
    labels = label(events, [mine])
    assert set(asked.values()) == {1}
    beginnings = {
        bytes(data)[: min(int(n), DATA_BYTES)]
        for data, n, kind in zip(events.data, events.n_bytes, events.kind, strict=True)
        if kind in MESSAGES and n
    }
    assert set(asked) == beginnings
    mine_too = [k for k in range(len(events)) if labels[k] == "mine"]
    assert mine_too
    assert labels.text(mine_too[0]) == f"mine {bytes(events.data[mine_too[0]])!r}"


def test_a_decoder_with_few_decisive_bytes_is_asked_once_for_each_of_these():
    asked = []

    def mine(data: bytes) -> Decoded | None:
        asked.append(data)
        return Decoded(f"sort {data[0]}", {}, data.hex())

    events = table(*(("a", Kind.SENT, k, "b") for k in range(100)))
    data = np.zeros((100, DATA_BYTES), np.uint8)
    data[:, 0], data[:, 5] = np.arange(100) % 3, np.arange(100)
    columns = {
        name: getattr(events, name) for name in ("node", "lane", "kind", "stamp", "at_ns", "id", "peer", "subject")
    }
    columns |= {"n_bytes": np.full(100, 9), "data": data.view(f"V{DATA_BYTES}")[:, 0]}
    labels = label(Events.sorted(events.nodes, events.names, columns), [Dialect("mine", mine, n_decisive=1)])
    assert len(asked) == 3
    assert [labels[k] for k in range(4)] == ["sort 0", "sort 1", "sort 2", "sort 0"]
    assert labels.text(99) == data[99, :9].tobytes().hex()


def test_a_decoder_that_raises_does_not_know_the_message_and_it_is_told():
    def broken(data: bytes) -> Decoded | None:
        raise IndexError("beyond")

    events = any_events(2)
    labels = label(events, [broken])
    assert [labels[k] for k in range(len(events))] == plainly(events, dialects(()))
    assert len(labels.complaints) == 1
    assert re.search(r"broken raised \d+ times, first IndexError: beyond \(of b", labels.complaints[0])


@pytest.mark.parametrize("odd", ["a text", (b"x",), Decoded(None, {}, "x"), Decoded("x", {}, 7)])
def test_a_decoder_that_returns_anything_else_does_not_know_the_message_either(odd):
    events = any_events(2)
    labels = label(events, [lambda data: odd])
    assert [labels[k] for k in range(len(events))] == plainly(events, dialects(()))
    assert re.search(r"the decoder <lambda> raised \d+ times, first \w+Error: ", labels.complaints[0])


def test_functions_of_one_name_are_all_asked():
    spoken = [lambda data: Decoded("pre", {}, "") if data[:1] == b"P" else None,
              lambda data: Decoded("pro", {}, "") if data[:1] == b"p" else None]  # fmt: skip
    assert {"pre", "pro"} <= set(label(any_events(2), spoken).names)
    assert len(dialects([spoken[0], *spoken])) == len(dialects(spoken))


def test_decoders_by_name():
    assert dialects(["json"])[0].name == "json"
    with pytest.raises(UnknownNameError, match="did you mean 'json'"):
        dialects(["jsn"])
    with pytest.raises(UserError, match="a decoder is a function"):
        dialects([7])


@pytest.mark.parametrize(
    ("decode", "data", "kind"),
    [
        (http, b"POST /v1/users/83/items?x=1", "POST /v1/users/#/items"),
        (http, b"HTTP/1.1 200 OK", "HTTP 200"),
        (http, b"HTTP", None),
        (resp, b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n", "SET"),
        (resp, b"+PONG\r\n", "PONG"),
        (resp, b"-ERR wrong\r\n", "error ERR"),
        (resp, b":17\r\n", "number"),
        (resp, b"$-1\r\n", "value"),
        (resp, b"- a list in a text", None),
        (json, b'{"method": "add", "par', "add"),
        (json, b"\x00\x21" + b'{"id": 17, "x"', "{id…}"),
        (json, b'["join", 3', "[join…]"),
        (json, b"{", None),
        (json, b"\0", None),
        (json, b"[1, 2]", None),
    ],
)
def test_built_in_decoders(decode, data, kind):
    found = decode(data)
    assert (found and found.kind) == kind
    for n in range(1, len(data)):
        decode(data[:n])  # which may end anywhere


def test_labels_that_were_given():
    labels = Labels.given(["a", "b"], [1, 0, 1], ["one", "two", "never"], [0, 1, 0])
    assert [labels[k] for k in range(3)] == ["b", "a", "b"]
    assert [labels.text(k) for k in range(3)] == ["one", "two", "one"]
    assert labels.texts[0] == ("one", "two", "never")


def test_nothing_at_all():
    labels = label(Events.sorted([Node("a")], [], {name: [] for name in COLUMNS}))
    assert len(labels) == 0
    assert labels.texts[0] == ()
