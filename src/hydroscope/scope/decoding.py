"""What records are called: messages by decoders of their first bytes, the rest by what it is about.

A **decoder** is a function that gets the first bytes of a message and returns a `Decoded`, or None if it does not
know such bytes. Rings have the first 27 bytes, captures of packets all. Each record gets a **label**, a short name
that many records share ("PREPARE", "GET /items", the name of a task, a key), and has a **text**, all that is known
of what it says. Labels are found at once, each distinct beginning once; texts when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.ground.record.layout import CLOCK, DATA_BYTES, SAMPLE, Kind
from hydroscope.ground.record.writer import safe_text
from hydroscope.scope.events import MESSAGES, Events
from hydroscope.scope.matching import fingerprints, mixed

__all__ = ["BUILT_IN", "Decoded", "Decoder", "Dialect", "Labels", "dialects", "label", "shown"]

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class Decoded(msgspec.Struct, frozen=True):
    """What the first bytes of a message say."""

    kind: str
    """What sort of message it is, in a few words without numbers: many messages are to share it."""
    fields: dict[str, object]
    text: str
    """All that is known of it, in one line."""


Decoder = Callable[[bytes], Decoded | None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A decoder, and what spares it from being asked about each message."""

    name: str
    decode: Decoder
    begins: bytes = b""
    """The bytes that one of its messages can begin with; empty: any."""
    n_decisive: int = DATA_BYTES
    """So many of the first bytes decide the kind."""


BUILT_IN = {
    "hydroscope": "hydroscope:HYDROSCOPE",
    "http": "plain:HTTP",
    "resp": "plain:RESP",
    "json": "plain:JSON",
    "dns": "dns:DNS",
    "memcached": "memcached:MEMCACHED",
}
"""Decoders by name: the module of `scope.decoders` and the name of its `Dialect` there."""

BY_DEFAULT = ("hydroscope", "http", "resp", "json")
"""Those that are asked last, whatever others there are."""

_MESSAGES = frozenset(map(int, MESSAGES))
_STATES = frozenset(map(int, (Kind.PUT, Kind.REMOVED, Kind.SPILLED)))

SOMETHING = "message"
"""The label of a message that nobody knows."""
OWN = {
    Kind.QUEUED: "task",
    Kind.STARTED: "task",
    Kind.ENDED: "task",
    Kind.PUT: "key",
    Kind.REMOVED: "key",
    Kind.SPILLED: "key",
    Kind.FAILED: "error",
    Kind.NOTE: "note",
    Kind.SAMPLE: "sample",
    Kind.CLOCK: "clock",
}
"""Labels of records that are about nothing that has a name."""


def dialects(decoders: Iterable[Decoder | Dialect | str]) -> tuple[Dialect, ...]:
    """Return these decoders, given as functions or by name, and behind them those that are on by default.

    Raises
    ------
    UserError
        One is neither a function nor a name of `BUILT_IN`.
    """
    found: dict[object, Dialect] = {}
    for each in (*decoders, *BY_DEFAULT):
        if isinstance(each, str):
            if each not in BUILT_IN:
                raise unknown_name("decoder", each, BUILT_IN, "hydroscope")
            module, _, name = BUILT_IN[each].partition(":")
            each = cast(Dialect, getattr(import_module(f"hydroscope.scope.decoders.{module}"), name))
        if isinstance(each, Dialect):
            found.setdefault(each.name, each)
        elif callable(each):
            dialect = Dialect(getattr(each, "__name__", repr(each)), each)
            found.setdefault(id(each), dialect)  # functions may share a name, as those without one do
        else:
            raise UserError(
                f"a decoder is a function of the first bytes of a message, or one of {', '.join(BUILT_IN)}; "
                f"it is {each!r}"
            )
    return tuple(found.values())


class Labels:
    """A label and a text for each record.

    Parameters
    ----------
    names : tuple of str
        The labels there are.
    codes : (n,) uint32
        Of each record, as an index into `names`.
    say : callable
        Returns the texts of some records.
    rows, which : arrays
        One record of each distinct text; and of each record, which of these says the same.
    complaints : tuple of str
        What decoders raised, in words.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        codes: npt.NDArray[np.uint32],
        say: Callable[[Ints], list[str]],
        rows: Ints,
        which: npt.NDArray[Any],
        complaints: tuple[str, ...] = (),
    ) -> None:
        self.names, self.codes, self.complaints = names, codes, complaints
        self._say, self._rows, self._which = say, rows, which

    @classmethod
    def given(
        cls, names: Sequence[str], codes: npt.ArrayLike, texts: Sequence[str], text_codes: npt.ArrayLike
    ) -> Labels:
        """Return labels and texts that are known already, each as distinct ones and an index for each record."""
        texts, which = tuple(texts), np.asarray(text_codes, np.uint32)
        rows = np.zeros(len(texts), np.int64)
        rows[which] = np.arange(which.size)
        codes = np.asarray(codes, np.uint32)
        found = cls(tuple(names), codes, lambda some: [texts[k] for k in which[some]], rows, which)
        found.texts = (texts, which)
        return found

    def __getitem__(self, record: int) -> str:
        return self.names[int(self.codes[record])]

    def __len__(self) -> int:
        return int(self.codes.size)

    def text(self, record: int) -> str:
        """Return what a record says. Cost: one call of a decoder."""
        return self.of(np.array([record]))[0]

    def of(self, records: Ints) -> list[str]:
        """Return what some records say. Cost: one call of a decoder for each."""
        return self._say(records)

    @cached_property
    def texts(self) -> tuple[tuple[str, ...], npt.NDArray[np.uint32]]:
        """The distinct texts, and of each record an index into them. Cost: a call of a decoder for each of them."""
        said: dict[str, int] = {}
        codes = np.array([said.setdefault(text, len(said)) for text in self._say(self._rows)], np.uint32)
        return tuple(said), codes[self._which] if codes.size else np.zeros(len(self), np.uint32)


def label(events: Events, decoders: Iterable[Decoder | Dialect | str] = ()) -> Labels:
    """Return the labels of all records.

    Parameters
    ----------
    events : Events
    decoders : iterable of function, Dialect or str
        Asked in this order, before those that are on by default.

    Returns
    -------
    Labels

    Notes
    -----
    A decoder that raises does not know the message; `complaints` tells. A message that no decoder knows is called by
    the word that it begins with, if it is text.

    Cost: a sort of the records by their first bytes, and a call of a decoder for each distinct beginning.
    """
    return _Labelling(events, dialects(decoders)).labels()


def shown(data: bytes, n_bytes: int) -> str:
    r"""Return bytes as text where they are that, else as hex digits; with "…" where there were more.

    Zeros at the end are none of a text: an excerpt that is short is filled up with them.

    Examples
    --------
    >>> shown(b"PREPARE 9", 9), shown(bytes([0, 1, 255]), 3), shown(b"abc\0\0", 400), shown(b"\0", 1)
    ('PREPARE 9', '00 01 ff', 'abc…', '00')
    """
    whole, data = data, data.rstrip(b"\0") or data
    more = "…" if n_bytes > len(whole) else ""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        cut = more and error.end == len(data) and error.reason == "unexpected end of data"
        text = data[: error.start].decode() if cut else "\0"
    if not text.isprintable():
        text = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ").rstrip()
    return (text if text.isprintable() else whole.hex(" ")) + more


class _Labelling:
    """Owner of the labels while they are made, and of what texts are made of later."""

    def __init__(self, events: Events, spoken: tuple[Dialect, ...]) -> None:
        self.events, self.spoken = events, spoken
        self.numbers: dict[str, int] = {}
        self.matrix = events.first_bytes
        self.lengths = np.minimum(events.n_bytes, DATA_BYTES)
        self.raised: dict[str, tuple[int, str]] = {}
        """Of each dialect that raised, how often, and what it said first."""
        self.is_message = np.isin(events.kind, MESSAGES)
        other = np.where(self.is_message, 0, events.kind)
        self.rows, self.which = self._distinct(np.arange(len(events)), DATA_BYTES + 1, other)
        """One record of each distinct beginning; which of them each record has."""
        self.knows = np.full(self.rows.size, -1, np.int16)
        """Of each of `rows` the dialect that knows it."""

    def labels(self) -> Labels:
        messages = self.is_message[self.rows]
        found = np.zeros(self.rows.size, np.uint32)
        found[messages] = self._messages(np.flatnonzero(messages))
        found[~messages] = self._others(self.rows[~messages])
        codes = found[self.which]
        self._tasks(codes)
        complaints = tuple(
            f"the decoder {name} raised {n:,} time{'s' if n > 1 else ''}, first {said}"
            for name, (n, said) in self.raised.items()
        )
        return Labels(tuple(self.numbers), codes, self.texts, self.rows, self.which, complaints)

    def number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))

    def data(self, row: int) -> bytes:
        return self.matrix[row, : self.lengths[row]].tobytes()

    def _distinct(self, rows: Ints, n_bytes: int, also: npt.NDArray[Any] | int) -> tuple[Ints, Ints]:
        """Return one of these rows for each distinct beginning (with its length, and `also`), and which each has."""
        data, lengths = self.matrix[rows], np.minimum(self.events.n_bytes[rows], n_bytes)
        data[:, n_bytes:] = 0
        about = self.events.subject[rows].astype(np.uint64) << np.uint64(16) | np.asarray(also).astype(np.uint64)
        keys = fingerprints(data, lengths) ^ mixed(about)
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        return rows[first], which

    def _messages(self, places: Ints) -> npt.NDArray[np.uint32]:
        """Return the labels of messages, by their places in `rows`."""
        found = np.full(places.size, -1, np.int64)
        rows = self.rows[places]
        for number, dialect in enumerate(self.spoken):
            left = np.flatnonzero((found < 0) & (self.lengths[rows] > 0))
            if dialect.begins:
                left = left[np.isin(self.matrix[rows[left], 0], np.frombuffer(dialect.begins, np.uint8))]
            if dialect.n_decisive < DATA_BYTES:
                some, which = self._distinct(rows[left], dialect.n_decisive, 0)
                kinds = self._kinds(dialect, some)[which]
            else:
                kinds = self._kinds(dialect, rows[left])
            found[left] = kinds
            self.knows[places[left[kinds >= 0]]] = number
        unknown = np.flatnonzero(found < 0)
        found[unknown] = self._words(rows[unknown], SOMETHING)
        return found.astype(np.uint32)

    def _kinds(self, dialect: Dialect, rows: Ints) -> Ints:
        """Return the labels that a dialect gives to messages, -1 for those that it does not know."""
        raw, lengths = self.matrix[rows].tobytes(), self.lengths[rows].tolist()
        found = np.full(rows.size, -1, np.int64)
        for k, n in enumerate(lengths):
            begin = DATA_BYTES * k
            decoded = self._decoded(dialect, raw[begin : begin + n])
            if decoded is not None:
                found[k] = self.number(decoded.kind)
        return found

    def _decoded(self, dialect: Dialect, data: bytes) -> Decoded | None:
        """Return what a dialect says of first bytes; None, and note it, if it raises or says anything odd."""
        try:
            found = dialect.decode(data)
            if found is None or (isinstance(found.kind, str) and isinstance(found.text, str)):
                return found
            raise TypeError(f"{found!r} is no Decoded of texts")
        except Exception as error:  # foreign functions may do anything; a timeline is shown all the same
            said = f"{type(error).__name__}: {safe_text(error)} (of {data!r})"
            n, first = self.raised.get(dialect.name, (0, said.encode(errors="replace").decode()))
            self.raised[dialect.name] = n + 1, first
            return None

    def _others(self, rows: Ints) -> npt.NDArray[np.uint32]:
        """Return the labels of records that are no messages: what they are about, else their first word."""
        events = self.events
        found = np.zeros(rows.size, np.uint32)
        named = events.subject[rows] > 0
        places, which = np.unique(events.subject[rows[named]], return_inverse=True)
        numbers = np.array([self.number(events.names[place]) for place in places], np.uint32)
        found[named] = numbers[which] if places.size else 0
        for kind in np.unique(events.kind[rows[~named]]):
            here = np.flatnonzero(~named & (events.kind[rows] == kind))
            own = OWN.get(Kind(kind), "record")
            if kind in (Kind.SAMPLE, Kind.CLOCK, Kind.PUT, Kind.REMOVED, Kind.SPILLED):
                found[here] = self.number(own)
            elif kind == Kind.NOTE:
                found[here] = [
                    self.number(shown(self.data(int(row)), int(self.events.n_bytes[row])) or own) for row in rows[here]
                ]
            else:
                found[here] = self._words(rows[here], own)
        return found

    def _words(self, rows: Ints, otherwise: str) -> npt.NDArray[np.uint32]:
        """Return the words that texts begin with, without digits; `otherwise` where there is none."""
        data, lengths = self.matrix[rows], self.lengths[rows]
        inside = np.arange(DATA_BYTES) < lengths[:, None]
        inside &= np.maximum.accumulate(data[:, ::-1] > 0, axis=1)[:, ::-1]  # zeros at the end are none of a text
        printable = (data >= 32) & (data != 127) | (data == 9) | (data == 10) | (data == 13)
        is_text = (printable | ~inside).all(axis=1)
        lower = data | 32
        letters = inside & ((lower >= 97) & (lower <= 122) | (data == 95) | (data == 45) | (data == 46))
        word = np.logical_and.accumulate(letters, axis=1) & is_text[:, None]
        word &= (word.sum(axis=1) >= 2)[:, None]
        texts = np.ascontiguousarray(np.where(word, data, 0).astype(np.uint8))
        _, first, which = np.unique(fingerprints(texts, np.zeros(rows.size)), return_index=True, return_inverse=True)
        numbers = np.array(
            [self.number(texts[k].tobytes().rstrip(b"\0").decode().rstrip("-._") or otherwise) for k in first],
            np.uint32,
        )
        return numbers[which] if first.size else np.zeros(0, np.uint32)

    def _tasks(self, codes: npt.NDArray[np.uint32]) -> None:
        """Call all records of a task what the first of them is called."""
        events = self.events
        rows = np.flatnonzero((events.kind >= Kind.QUEUED) & (events.kind <= Kind.ENDED))
        if not rows.size:
            return
        tasks = mixed(events.id[rows] ^ mixed(events.node[rows].astype(np.uint64)))
        _, first, which = np.unique(tasks, return_index=True, return_inverse=True)
        codes[rows] = codes[rows[first]][which]

    def texts(self, rows: Ints) -> list[str]:
        """Return what records say."""
        events = self.events
        raw, lengths, kinds = self.matrix[rows].tobytes(), self.lengths[rows].tolist(), events.kind[rows].tolist()
        knows = self.knows[self.which[rows]].tolist()
        found = []
        for k, (row, n) in enumerate(zip(rows.tolist(), lengths, strict=True)):
            data = raw[DATA_BYTES * k : DATA_BYTES * k + n]
            if kinds[k] in _MESSAGES and knows[k] >= 0:
                decoded = self._decoded(self.spoken[knows[k]], data)
                if decoded is not None:
                    found.append(decoded.text)
                    continue
            data_text = shown(data, int(events.n_bytes[row]) if n == DATA_BYTES else n)
            if kinds[k] in _STATES:
                data_text = self._of_state(data) or data_text
            found.append(data_text if kinds[k] in _MESSAGES else self._own_text(row, Kind(kinds[k]), data_text))
        return found

    def _of_state(self, data: bytes) -> str:
        """Return what a dialect with a beginning of its own says of the data of a key; empty if none knows it."""
        for dialect in self.spoken:
            if data and dialect.begins and data[:1] in dialect.begins:
                decoded = self._decoded(dialect, data)
                if decoded is not None:
                    return decoded.text
        return ""

    def _own_text(self, row: int, kind: Kind, data: str) -> str:
        """Return what a record says that is no message."""
        subject = self.events.names[self.events.subject[row]]
        if kind == Kind.SAMPLE:
            used_us, held, in_flight = SAMPLE.unpack_from(self.events.data[row])
            return f"processor {used_us / 1e6:.3f} s, memory {held / 1e6:,.1f} MB, in flight {in_flight:,} bytes"
        if kind == Kind.CLOCK:
            moved, _ = CLOCK.unpack_from(self.events.data[row])
            return f"the wall's clock went {moved / 1e6:+.3f} ms otherwise since the last look"
        if kind == Kind.NOTE:
            return subject or data
        if kind == Kind.FAILED:
            return data if data.startswith(subject) else ": ".join(filter(None, (subject, data)))
        if kind in (Kind.PUT, Kind.SPILLED):
            return f"{subject} = {data}" if data else subject
        return ": ".join(filter(None, (subject, data)))
