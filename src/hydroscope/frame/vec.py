"""A column: its type, its layout and the leaves of chunks that hold it. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.layout import Layout
from hydroscope.node import ports

__all__ = ["Vec", "VecType"]


class VecType(StrEnum):
    """What a column's values are. INT, BOOL, ENUM and TIME decode to int64, REAL to float64."""

    INT = "int"
    REAL = "real"
    BOOL = "bool"
    ENUM = "enum"
    TIME = "time"
    STRING = "string"
    UUID = "uuid"


@dataclass(frozen=True, eq=False)
class Vec:
    """One column; equal only to itself.

    Attributes
    ----------
    type : VecType
    layout : Layout
    leaves : tuple of handles
        One handle a leaf of the layout; its value is the tuple of that leaf's chunks.
    domain : tuple of str or None
        ENUM: the level of each code, in sorted order.
    remembered : dict
        What was computed about the values once and cannot change (rollups, histogram, sizes).
    """

    type: VecType
    layout: Layout
    leaves: tuple[ports.Handle, ...]
    domain: tuple[str, ...] | None = None
    remembered: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_rows(self) -> int:
        """Rows, missing ones included."""
        return self.layout.n_rows

    def chunks(self) -> list[Chunk]:
        """Return all chunks in row order. Cost: free on the local engine, a transfer on Ray."""
        engine = ports.current()
        return [chunk for handle in self.leaves for chunk in engine.get(handle)]
