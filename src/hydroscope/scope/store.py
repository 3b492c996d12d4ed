"""A timeline as a file: a ZIP archive, not compressed as such, of an Arrow file of all records and what they refer to.

    timeline.json   version, nodes, names, rules, what is missing
    records.arrow   one row a record: the columns of `scope.events`, label and text
    changes.arrow   of states, if there are any

Any reader of Arrow files can use the parts. The archive has a checksum of each. Which record caused which, and what the
clocks were, is not kept: it is found again from the records.
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hydroscope.ground.errors import CorruptError, DataError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoding import Labels
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.rules import parse, written
from hydroscope.scope.tables import as_texts
from hydroscope.window.changes import Changes

if TYPE_CHECKING:
    from hydroscope.scope.timeline import Timeline

__all__ = ["ABOUT", "SUFFIX", "VERSION", "read", "write"]

SUFFIX = ".timeline"
VERSION = 1

ABOUT = "timeline.json"
RECORDS = "records.arrow"
CHANGES = "changes.arrow"
_BATCH = 2**16
_TEXTS = ("node", "key", "old", "new")
"""Of changes."""


class _Node(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    pid: int
    opened_wall_ns: int
    opened_at_ns: int
    boot: str
    read: str
    n_torn: int
    damage: list[str]
    recorded_as: str
    closed_at_ns: int = 0
    """Was not kept at first."""


class _Version(msgspec.Struct):
    version: int


class _About(_Version, forbid_unknown_fields=True):
    nodes: list[_Node]
    names: list[str]
    rules: str
    missing: list[tuple[str, str]]
    complaints: list[str]


def write(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write the file, whatever was there; see `Timeline.save`."""
    events, labels = timeline.events, timeline.labels
    about = _About(
        VERSION,
        [
            _Node(**{**dataclasses.asdict(each), "boot": each.boot.hex(), "damage": list(each.damage)})
            for each in events.nodes
        ],
        list(events.names),
        written(timeline.rules),
        [(each.name, each.why) for each in timeline.missing],
        list(labels.complaints),
    )
    columns: dict[str, Any] = {name: pa.array(getattr(events, name)) for name in COLUMNS if name != "data"}
    n_bytes = events.data.dtype.itemsize
    columns["data"] = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(n_bytes), len(events), [None, pa.py_buffer(np.ascontiguousarray(events.data))]
    )
    columns["label"] = _dictionary(labels.codes, labels.names)
    columns["text"] = _dictionary(labels.texts[1], labels.texts[0])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _put(archive, ABOUT, msgspec.json.encode(about))
        _put(archive, RECORDS, _arrow(pa.table(columns)))
        if timeline.changes is not None:
            _put(archive, CHANGES, _arrow(_changes_table(timeline.changes)))


def read(path: str | os.PathLike[str]) -> Timeline:
    """Read the file.

    Raises
    ------
    DataError
        It is none, or of another version; a CorruptError: it is damaged.
    """
    from hydroscope.scope.timeline import Timeline

    name = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = _parts(archive, name)
    except OSError as error:
        raise DataError(f"the timeline {name!r} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise _damaged(name, error) from None
    try:
        version = msgspec.json.decode(parts[ABOUT], type=_Version).version
        if version != VERSION:
            raise DataError(
                f"{name} is a timeline of version {version}; this hydroscope reads version {VERSION}: read it with the "
                "one that wrote it"
            )
        about = msgspec.json.decode(parts[ABOUT], type=_About)
        events, labels = _records(parts[RECORDS], about)
        missing = [Missing(*each) for each in about.missing]
        rules = parse(about.rules)
        labels.complaints = tuple(about.complaints)
        changes = _changes(parts[CHANGES]) if CHANGES in parts else None
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, pa.ArrowException) as error:
        raise _damaged(name, error) from None
    return Timeline(events, rules, labels=labels, changes=changes, missing=missing)


def _damaged(name: str, error: object) -> CorruptError:
    said = str(error).splitlines() or [type(error).__name__]
    return CorruptError(f"the timeline {name!r} is damaged: {said[0]}; save it again, or take another copy")


def _parts(archive: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    infos = {info.filename: info for info in archive.infolist()}
    if ABOUT not in infos:
        raise DataError(f"{name} is a ZIP archive, but no timeline: there is no {ABOUT} in it")
    if RECORDS not in infos:
        raise zipfile.BadZipFile(f"there is no {RECORDS} in it")
    for info in infos.values():
        if info.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(f"{info.filename} was packed again")
    return {each: archive.read(each) for each in (ABOUT, RECORDS, CHANGES) if each in infos}


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), data)  # without the time of day: the same timeline is the same bytes


def _dictionary(codes: npt.NDArray[np.uint32], names: tuple[str, ...]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), as_texts(names))


def _arrow(table: Any) -> bytes:
    sink = BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=True)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=_BATCH)
    return sink.getvalue()


def _table(data: bytes) -> Any:
    table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
    table.validate(full=True)
    return table.unify_dictionaries().combine_chunks()


def _array(table: Any, name: str, kind: str) -> npt.NDArray[Any]:
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"{column.null_count} values of {name} are not there")
    found = column.to_numpy()
    if found.dtype != np.dtype(kind):
        raise ValueError(f"{name} is {found.dtype} instead of {kind}")
    return np.asarray(found)


def _records(data: bytes, about: _About) -> tuple[Events, Labels]:
    table = _table(data)
    nodes = [
        Node(**{**msgspec.structs.asdict(each), "boot": bytes.fromhex(each.boot), "damage": tuple(each.damage)})
        for each in about.nodes
    ]
    names = about.names
    columns = {name: _array(table, name, kind) for name, kind in COLUMNS.items() if name != "data"}
    fixed = table.column("data").chunk(0) if table.num_rows else None
    columns["data"] = np.empty(0, COLUMNS["data"])
    if fixed is not None:
        if fixed.type != pa.binary(np.dtype(COLUMNS["data"]).itemsize):
            raise ValueError(f"data is {fixed.type}")
        columns["data"] = np.frombuffer(fixed.buffers()[1], COLUMNS["data"], table.num_rows, fixed.offset)
    for name, least, most in (
        ("node", 0, len(nodes)), ("peer", -1, len(nodes)), ("lane", 0, len(names)), ("subject", 0, len(names)),
        ("kind", 0, max(Kind) + 1),
    ):  # fmt: skip
        values = columns[name]
        if values.size and not (least <= values.min() and values.max() < most):
            raise ValueError(f"{name} is a number of nothing")
    if names[:1] != [""]:
        raise ValueError("the first name is not empty")
    label, text = (_coded(table, name) for name in ("label", "text"))
    events = Events.sorted(nodes, names, columns)
    if not (np.array_equal(events.node, columns["node"]) and np.array_equal(events.stamp, columns["stamp"])):
        raise ValueError("the records are not in order")
    return events, Labels.given(*label, *text)


def _coded(table: Any, name: str) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
    if not table.num_rows:
        return (), np.zeros(0, np.uint32)
    chunk = table.column(name).chunk(0)
    if chunk.null_count or not pa.types.is_dictionary(chunk.type):
        raise ValueError(f"{name} is {chunk.type}, or not everywhere")
    return tuple(map(str, chunk.dictionary.to_pylist())), chunk.indices.to_numpy()


def _changes_table(changes: Changes) -> Any:
    texts = {name: as_texts(getattr(changes, name).tolist()).dictionary_encode() for name in _TEXTS}
    return pa.table({"stamp": pa.array(changes.stamp, pa.uint64()), **texts})


def _changes(data: bytes) -> Changes:
    table = _table(data)
    texts = []
    for name in _TEXTS:
        column = np.empty(table.num_rows, object)
        column[:] = table.column(name).to_pylist()
        if not all(isinstance(text, str) or (text is None and name in ("old", "new")) for text in column):
            raise ValueError(f"{name} is no text")
        texts.append(column)
    return Changes(_array(table, "stamp", "u8"), *texts)
