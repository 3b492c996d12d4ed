"""Frames into files: CSV and Parquet.

A file is written under another name beside its place and renamed when it is complete, so
that whoever reads sees the old file or the whole new one. When anything goes wrong, a full
disk first of all, the part that was written is removed, and the frame is as it was.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import decode_leaf
from hydroscope.frame.arrow_out import arrow_array, batches, schema
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.node import jobs, ports

__all__ = ["write_csv", "write_parquet"]

Opener = Callable[[str], IO[bytes]]


def write_csv(vecs: Mapping[str, Vec], layout: Layout, path: str | os.PathLike[str], overwrite: bool) -> None:
    """Write a CSV file; leaves become text in parallel and are written in order."""
    engine = ports.current()
    types = tuple((vec.type, vec.domain) for vec in vecs.values())
    n_leaves = len(layout.leaves)
    window = 2 * engine.n_threads
    with new_file(Path(path), overwrite) as file:
        file.write((",".join(_quoted(name) for name in vecs) + "\r\n").encode())
        for first in range(0, n_leaves, window):
            leaves = range(first, min(first + window, n_leaves))
            items = [(types, *(vec.leaves[leaf] for vec in vecs.values())) for leaf in leaves]
            for text in engine.get(engine.map(_csv_leaf, items)):
                file.write(text)
            jobs.report(leaves.stop / n_leaves)


def write_parquet(vecs: Mapping[str, Vec], layout: Layout, path: str | os.PathLike[str], overwrite: bool) -> None:
    """Write a Parquet file with one row group a leaf."""
    import pyarrow.parquet as pq

    n_leaves = len(layout.leaves)
    with (
        new_file(Path(path), overwrite) as file,
        pq.ParquetWriter(file, schema(vecs), compression="zstd") as writer,
    ):
        for leaf, batch in enumerate(batches(vecs, layout)):
            writer.write_batch(batch)
            jobs.report((leaf + 1) / n_leaves)


@contextmanager
def new_file(path: Path, overwrite: bool, open_: Opener | None = None) -> Generator[IO[bytes]]:
    """Give a file to write; it takes the place of `path` when the block ends well, and vanishes otherwise."""
    if path.exists() and not overwrite:
        raise UserError(f"{str(path)!r} exists already; give another name, or overwrite=True")
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; give the name of a file in it")
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        with (open_ or _open)(name) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _open(name: str) -> IO[bytes]:
    return open(name, "wb")


def _explained(path: Path, error: OSError) -> UserError:
    reasons = {
        errno.ENOSPC: "the disk is full; free some space there, or choose another disk",
        errno.EDQUOT: "the disk quota is used up; free some space there, or choose another disk",
        errno.EFBIG: "the file would exceed the largest size allowed there; write to another disk or fewer columns",
        errno.ENOENT: f"there is no folder {str(path.parent)!r}; create it before",
        errno.EACCES: "writing there is not allowed; choose another folder",
        errno.EPERM: "writing there is not allowed; choose another folder",
        errno.EROFS: "the disk is read-only; choose another one",
    }
    reason = reasons.get(error.errno or 0, f"{error.strerror or error}; choose another place")
    return UserError(f"{str(path)!r} was not written: {reason} (nothing in memory is lost, no partial file is left)")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\r\n') or name != name.strip() else name


def _csv_leaf(types: tuple[tuple[VecType, tuple[str, ...] | None], ...], *leaves: tuple[Chunk, ...]) -> bytes:
    """Return one leaf as CSV text."""
    import pyarrow as pa
    import pyarrow.csv

    arrays = []
    for (type, domain), chunks in zip(types, leaves, strict=True):
        array = arrow_array(type, decode_leaf(type, chunks), domain)
        arrays.append(_printable(type, array))
    batch = pa.RecordBatch.from_arrays(arrays, names=[str(i) for i in range(len(arrays))])
    sink = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed", eol="\r\n")
    pyarrow.csv.write_csv(batch, sink, options)
    return sink.getvalue()


def _printable(type: VecType, array: Any) -> Any:
    """Return an array that Arrow's CSV writer prints as it should be."""
    import pyarrow as pa

    if type is VecType.ENUM:
        return array.cast(pa.string())
    if type is VecType.UUID:
        return pa.array([None if each is None else str(each) for each in array.to_pylist()], pa.string())
    if type is VecType.TIME:
        return array.cast(pa.timestamp("ms"))
    return array
