"""Which file is of which format: told by what it begins with when it is read, by its suffix when it is written."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydroscope.ground.errors import DataError, UserError, unknown_name
from hydroscope.ground.record.about import rings
from hydroscope.ground.record.layout import MAGIC as RING
from hydroscope.ground.record.reader import read_ring
from hydroscope.scope.store import ABOUT

if TYPE_CHECKING:
    from hydroscope.scope.decoding import Decoder, Dialect
    from hydroscope.scope.rules import Rule
    from hydroscope.scope.timeline import Timeline

__all__ = ["READERS", "WRITERS", "Reader", "Writer", "read_timeline", "writer_of"]

_HEAD_BYTES = 4096

Paths = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class Reader:
    """A format that can be read."""

    name: str
    begins: re.Pattern[bytes]
    """What its files begin with."""
    home: str
    """Module of `scope`, and name in it, of a function of paths and options that returns a `Timeline`."""


READERS = (
    Reader("timeline", re.compile(rb"PK\x03\x04.{26}" + ABOUT.encode(), re.DOTALL), "reading:read_one"),
    Reader("ring of a recorder", re.compile(re.escape(RING)), "reading:read_rings"),
    Reader("pcapng", re.compile(rb"\x0a\x0d\x0d\x0a"), "formats.pcap:read_pcap"),
    Reader(
        "pcap",
        re.compile(rb"\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4|\x4d\x3c\xb2\xa1|\xa1\xb2\x3c\x4d"),
        "formats.pcap:read_pcap",
    ),
    Reader(
        "Chrome JSON",
        re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[|\{)[^\n]{0,200}?[\[\]{}:]"),
        "formats.chrome_reader:read_chrome",
    ),
    Reader("ShiViz", re.compile(rb"[^\0]*\{\s*\""), "formats.shiviz:read_shiviz"),
)
"""The first whose beginning fits reads a file."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that can be written."""

    home: str
    """Module of `scope`, and name in it, of a function of a timeline, a path and options; or of a timeline, a path and
    the rows that are written."""
    limit: int | None = None
    """Records that are written unless the caller says otherwise."""


WRITERS = {
    ".timeline": Writer("store:write"),
    ".html": Writer("viewer.page:write_html"),
    ".pftrace": Writer("formats.perfetto:write_perfetto"),
    ".json": Writer("formats.chrome:write_chrome"),
    ".shiviz": Writer("formats.shiviz:write_shiviz", limit=2000),  # what its page reads in a second
    ".pcapng": Writer("formats.pcapng:write_pcapng"),
    ".otlp.jsonl": Writer("formats.otlp:write_otlp"),
}
"""By suffix."""

_PART = ("limit", "around", "nodes")
"""Options of all writers that need not write every record."""


def read_timeline(path: str | os.PathLike[str] | Paths, **options: Any) -> Timeline:
    """Read a timeline from a file that `Timeline.save` wrote, or from whatever others have recorded.

    Parameters
    ----------
    path : path, or sequence of paths
        A `.timeline`; rings of recorders, or a folder of them; captures of packets (pcap, pcapng); traces in Chrome's
        JSON; logs for ShiViz. What a file is, is told by what it begins with. Several files are of several
        hosts or processes, and of one format.
    **options
        Of the format's reader: `rules` and `decoders`, as for `Timeline`, and what docs/formats.md lists.

    Returns
    -------
    Timeline

    Raises
    ------
    DataError
        A file cannot be read, is of no known format, or is damaged; the text says which and how.
    UserError
        The format's reader takes no such option; the text lists those that it takes.

    Notes
    -----
    Cost: about a second and 200 bytes of memory a record for each million records.

    Examples
    --------
    >>> import hydroscope as hs
    >>> rec = hs.Recorder("node-3")
    >>> _ = rec.failed("no space left")
    >>> [finding.text for finding in hs.read_timeline(rec.path).findings]
    ['1 error at node-3: no space left']
    >>> rec.close(remove=True)
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths:
        raise UserError("there is nothing to read: name a file, or several")
    files = [file for each in paths for file in _files(Path(each))]
    found = [_reader_of(file) for file in files]
    names = sorted({reader.name for reader in found})
    if len(names) > 1:
        raise UserError(f"files of several formats ({', '.join(names)}) cannot be one timeline: read them one by one")
    read: Callable[..., Timeline] = _function(found[0].home)
    _check(options, list(inspect.signature(read).parameters)[1:], f"the reader of {found[0].name}")
    return read(files, **options)


def writer_of(path: str | os.PathLike[str], options: Iterable[str] = ()) -> Callable[..., Any]:
    """Return the function that writes files with the suffix of this one.

    Parameters
    ----------
    path : path
    options : iterable of str
        What it is to be given besides a timeline and a path.

    Raises
    ------
    UserError
        Nothing is written under such a suffix, or not with these options; the text lists those there are.
    """
    name = Path(path).name
    for suffix, writer in WRITERS.items():
        if name.endswith(suffix) and name != suffix:
            write = _function(writer.home)
            known = list(inspect.signature(write).parameters)[2:]
            is_partial = "rows" in known
            _check(options, _PART if is_partial else known, f"the writer of {suffix}")
            return partial(_write_part, write, writer.limit) if is_partial else write
    raise unknown_name("format", "".join(Path(name).suffixes) or name, WRITERS, "timelines, by the suffix of the file")


def _write_part(
    write: Callable[..., None],
    default: int | None,
    timeline: Timeline,
    path: str | os.PathLike[str],
    limit: int | None = None,
    **options: Any,
) -> None:
    """Write the records that are asked for; the rest of the options say which."""
    from hydroscope.scope.formats.selection import selected

    write(timeline, path, selected(timeline, default if limit is None else limit, **options))


def read_one(
    files: Paths, rules: Sequence[Rule] | str | None = None, decoders: Iterable[Decoder | Dialect | str] = ()
) -> Timeline:
    """Read one `.timeline`; `rules` take the place of those that were saved."""
    from hydroscope.scope.store import read
    from hydroscope.scope.timeline import Timeline

    if len(files) != 1:
        raise UserError(f"{len(files)} timelines cannot be one: read them one by one, and compare() them")
    found = read(files[0])
    if rules is None and not decoders:
        return found
    return Timeline(
        found.events,
        found.rules if rules is None else rules,
        decoders,
        None if decoders else found.labels,
        found.changes,
        found.missing,
    )


def read_rings(
    files: Paths, rules: Sequence[Rule] | str = (), decoders: Iterable[Decoder | Dialect | str] = ()
) -> Timeline:
    """Read rings of recorders."""
    from hydroscope.scope.timeline import Timeline

    return Timeline.of([read_ring(file) for file in files], rules, decoders=decoders)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(ring.path for ring in rings(path))
    if not found:
        raise DataError(f"there are no rings of recorders in the folder {str(path)!r}; name a file, or another folder")
    return found


def _reader_of(path: Path) -> Reader:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    for reader in READERS:
        if reader.begins.match(head):
            return reader
    known = ", ".join(reader.name for reader in READERS)
    raise DataError(f"{str(path)!r} begins with {head[:16]!r}, which no known format does; known are: {known}")


def _function(home: str) -> Callable[..., Any]:
    module, _, name = home.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"hydroscope.scope.{module}"), name)
    return found


def _check(options: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuse what a format does not take."""
    for name in options:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UserError(f"{where} takes no option {name!r}; {takes}")
