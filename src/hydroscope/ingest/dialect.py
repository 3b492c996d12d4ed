"""How a file of delimited text is cut into records and fields: the rules, as data.

A *record* ends at a line end outside quotes. A *field* ends at a separator or at the
record's end. A field whose first character is the quote runs to the matching quote (two
quotes stand for one) and may hold separators and line ends; a quote anywhere else in a
field is an ordinary character. `reference` is the specification in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

__all__ = ["F64", "I32", "I64", "NONE", "U8", "U64", "Dialect", "Fault", "State"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

NONE = -1
"""A character that the dialect does not have (no quoting, no comments)."""


class State(IntEnum):
    """Where a scan stands between two bytes."""

    RECORD = 0  # at the first byte of a record
    FIELD = 1  # at the first byte of a later field (or past blanks that are skipped)
    PLAIN = 2  # inside a field without quotes
    QUOTED = 3  # inside quotes
    SEEN = 4  # just past a quote inside quotes: the end, or the first of two
    COMMENT = 5  # inside a comment line


class Fault(IntEnum):
    """Why a record cannot be cut into the columns."""

    RAGGED = 1  # too few or too many fields
    STRAY = 2  # text between a closing quote and the next separator
    OPEN = 3  # the quote is never closed


@dataclass(frozen=True, slots=True)
class Dialect:
    """The characters of a file, each as its byte.

    Attributes
    ----------
    sep, quote, eol, comment : int
        `eol` is the last byte of a line end: LF (one CR before it belongs to the line end),
        or CR in files that have no LF. `quote` and `comment` may be NONE.
    strip : bool
        Blanks between a separator and the field's first character are skipped.
    skip_blank : bool
        Lines of blanks only are no records.
    """

    sep: int = 44
    quote: int = 34
    eol: int = 10
    comment: int = NONE
    strip: bool = False
    skip_blank: bool = True
