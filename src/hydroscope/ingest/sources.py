"""Where text comes from: files, globs, compressed files, entries of archives.

A plain file is read at any offset, by any task; a compressed one only from its beginning.
"""

from __future__ import annotations

import bz2
import codecs
import difflib
import glob
import gzip
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hydroscope.ground.errors import DataError, UserError

__all__ = ["PathLike", "Source", "blocks", "expand", "expect_unchanged", "head", "open_sources"]

PathLike = str | os.PathLike[str]

_MAGIC = (
    (b"\x1f\x8b", "gz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"\xfd7zXZ\x00", "xz"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """One text: a file, or an entry of an archive.

    Attributes
    ----------
    path, entry : str
        `entry` is the name inside a zip archive, else empty.
    packing : str
        "", "gz", "zip", "bz2", "zst" or "xz".
    encoding : str
        "utf-8", or another that is turned into UTF-8 on the way.
    size_bytes : int
        Bytes as stored.
    changed_ns : int
        When the file was last written, in ns since 1970: text that has changed since is not read as the same.
    """

    path: str
    entry: str = ""
    packing: str = ""
    encoding: str = "utf-8"
    size_bytes: int = 0
    changed_ns: int = 0

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path}:{self.entry}" if self.entry else self.path

    @property
    def streamed(self) -> bool:
        """Whether it can only be read from its beginning."""
        return bool(self.packing) or self.encoding != "utf-8"


def expand(path: PathLike | Sequence[PathLike]) -> list[str]:
    """Return the files that a path, a glob or a list of them stands for, globs in name order."""
    if isinstance(path, (str, os.PathLike)) or not isinstance(path, Iterable):
        path = [path]
    found: list[str] = []
    for each in path:
        if not isinstance(each, (str, os.PathLike)):
            raise UserError(f"a path must be text or a pathlib.Path, not {type(each).__name__}: {each!r}")
        name = os.fspath(each)
        if "://" in name:
            scheme = name.split("://", 1)[0]
            raise UserError(f"cannot read {name!r}: {scheme} addresses are not supported; download the file first")
        name = os.path.expanduser(name)
        if os.path.exists(name) or not glob.has_magic(name):
            found.append(_existing(name))
            continue
        matches = sorted(m for m in glob.glob(name, recursive=True) if os.path.isfile(m))
        if not matches:
            raise DataError(f"no file matches {name!r} (seen from {os.getcwd()}); check the pattern")
        found.extend(matches)
    if not found:
        raise UserError("no file was named: give a path, a glob such as 'data/*.csv', or a list of paths")
    return found


def _existing(name: str) -> str:
    path = Path(name)
    if path.is_dir():
        raise DataError(f"{name!r} is a directory; name its files, for instance {os.path.join(name, '*.csv')!r}")
    if path.is_file():
        return name
    if path.exists():
        raise DataError(f"{name!r} is a pipe or device, which cannot be read twice; write it to a file first")
    hint = f"the working directory is {os.getcwd()}"
    if path.parent.is_dir():
        near = difflib.get_close_matches(path.name, os.listdir(path.parent), n=3, cutoff=0.6)
        if near:
            hint = "did you mean " + " or ".join(repr(str(path.with_name(n))) for n in near) + "?"
    raise DataError(f"no file {name!r}; {hint}")


def packing_of(path: str) -> str:
    """Tell by its first bytes how a file is compressed ("": it is not)."""
    with open(path, "rb") as file:
        start = file.read(8)
    return next((name for magic, name in _MAGIC if start.startswith(magic)), "")


def open_sources(paths: Sequence[str], encoding: str) -> list[Source]:
    """Look at each file and return its texts: one, or one an entry of a zip archive."""
    try:
        encoding = codecs.lookup(encoding).name
    except LookupError:
        raise UserError(
            f"no encoding {encoding!r}; use a name that Python knows, such as 'utf-8', 'latin-1' or 'utf-16'"
        ) from None
    if encoding in ("ascii", "utf-8-sig"):
        encoding = "utf-8"
    sources: list[Source] = []
    for path in paths:
        try:
            status, packing = os.stat(path), packing_of(path)
        except OSError as error:
            raise DataError(f"cannot read {path!r}: {error.strerror}") from error
        if packing == "zip":
            sources.extend(_entries(path, encoding, status.st_mtime_ns))
        else:
            sources.append(Source(path, "", packing, encoding, status.st_size, status.st_mtime_ns))
    return sources


def expect_unchanged(source: Source, status: os.stat_result) -> None:
    """Raise DataError when a file is not what it was when its reading began.

    A leaf may be read again much later, where its node was lost: another text would give other
    rows than those that were computed with.
    """
    changed = []
    if source.packing != "zip" and status.st_size != source.size_bytes:
        changed.append(f"it had {source.size_bytes:,} bytes and has {status.st_size:,}")
    if status.st_mtime_ns != source.changed_ns:
        changed.append(f"it was written {(status.st_mtime_ns - source.changed_ns) / 1e9:,.3f} s after that")
    if changed:
        raise DataError(
            f"{source.name} has changed since its reading began ({', '.join(changed)}); what would be read now "
            "need not be the same rows: read the file anew (copies on several machines must keep its time: cp -p)"
        )


def _entries(path: str, encoding: str, changed_ns: int) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [
                e
                for e in archive.infolist()
                if not e.is_dir() and not e.filename.startswith("__MACOSX/") and e.file_size
            ]
    except zipfile.BadZipFile as error:
        raise DataError(f"{path!r} begins like a zip archive but is none ({error}); it may be cut off") from error
    if not entries:
        raise DataError(f"the zip archive {path!r} has no entry with text in it")
    for entry in entries:
        if entry.flag_bits & 1:
            raise DataError(f"entry {entry.filename!r} of {path!r} is encrypted; unpack it first")
        yield Source(path, entry.filename, "zip", encoding, entry.compress_size, changed_ns)


@contextmanager
def _unpacked(source: Source, stored: IO[bytes]) -> Iterator[IO[bytes] | Any]:
    """Decompress what is read from `stored`."""
    if source.packing == "zip":
        with zipfile.ZipFile(stored) as archive, archive.open(source.entry) as file:
            yield file
    elif source.packing == "zst":
        import pyarrow as pa

        with pa.input_stream(stored, compression="zstd") as file:
            yield file
    elif not source.packing:
        yield stored
    else:
        opener: Any = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[source.packing]
        with opener(stored, "rb") as file:
            yield file


def blocks(source: Source, size_bytes: int, told: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Yield the text from its beginning, decompressed and as UTF-8, about `size_bytes` at a time.

    `told` is called before each with the position in the file as it is stored.
    """
    decoder = None
    if source.encoding != "utf-8":
        decoder = codecs.getincrementaldecoder(source.encoding)()
    done = 0
    try:
        with open(source.path, "rb") as stored, _unpacked(source, stored) as file:
            while True:
                block = bytes(file.read(size_bytes))
                last = not block
                done += len(block)
                if decoder is not None:
                    block = decoder.decode(block, final=last).encode("utf-8")
                if told is not None:
                    told(stored.tell())
                if block:
                    yield block
                if last:
                    return
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source.name}: near byte {done:,} the text is not {source.encoding} ({error.reason}); "
            "name the encoding it has, for instance encoding='latin-1'"
        ) from error
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno is not None and not source.packing:
            raise DataError(f"cannot read {source.name!r}: {error.strerror}") from error
        after = f" after {done:,} bytes of text" if done else ""
        raise DataError(
            f"{source.name}: the {source.packing or 'text'} data end or break{after} ({error}); "
            "the file is cut off or damaged: fetch it again"
        ) from error


def head(source: Source, size_bytes: int) -> tuple[bytes, bool]:
    """Return up to `size_bytes` from the beginning, and whether that is everything."""
    parts: list[bytes] = []
    n = 0
    for block in blocks(source, size_bytes):
        parts.append(block)
        n += len(block)
        if n > size_bytes:
            break
    text = b"".join(parts)
    return text[:size_bytes], len(text) <= size_bytes
