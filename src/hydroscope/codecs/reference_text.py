"""The specification of the string codecs, with Python's bytes and dict."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.reference import encode_int
from hydroscope.codecs.table import Codec
from hydroscope.ground.limits import INT_MISSING

__all__ = ["text_candidates", "texts"]


def texts(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_] | None
) -> list[bytes | None]:
    """Return Arrow's strings as a list, None where missing."""
    return [
        data[offsets[i] : offsets[i + 1]].tobytes() if valid is None or valid[i] else None
        for i in range(len(offsets) - 1)
    ]


def text_candidates(strings: list[bytes | None]) -> list[Chunk]:
    """Return the chunk of each string codec that can hold the strings, not compressed."""
    n_rows, n_missing = len(strings), sum(each is None for each in strings)
    if n_missing == n_rows:
        return [Chunk(Codec.MISSING, n_rows, n_missing)]
    lengths = np.array([len(each or b"") for each in strings], dtype=np.int64)
    alike = bool(np.all(lengths == lengths[0]))
    narrowest = next(each for each in ("u1", "u2", "u4", "u8") if lengths.max() <= np.iinfo(each).max)
    valid = np.array([each is not None for each in strings])
    buffers = (
        np.empty(0, np.uint8) if alike else lengths.astype(narrowest),
        np.frombuffer(b"".join(each or b"" for each in strings), np.uint8),
        np.packbits(valid, bitorder="little") if n_missing else np.empty(0, np.uint8),
    )
    plain = Chunk(Codec.STRING, n_rows, n_missing, bias=int(lengths[0]) if alike else 0, buffers=buffers)
    distinct = list(dict.fromkeys(each for each in strings if each is not None))
    code_of = {each: code for code, each in enumerate(distinct)}
    codes = np.array([INT_MISSING if each is None else code_of[each] for each in strings], dtype=np.int64)
    table = np.cumsum([0, *(len(each) for each in distinct)]).astype(np.uint32)
    coded = Chunk(
        Codec.STRING_DICT,
        n_rows,
        n_missing,
        buffers=(table, np.frombuffer(b"".join(distinct), np.uint8)),
        inner=encode_int(codes),
    )
    return [plain, coded]
