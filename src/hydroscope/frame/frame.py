"""A table: named vecs over one layout."""

from __future__ import annotations

from collections.abc import Mapping

from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec

__all__ = ["Frame"]


class Frame:
    """Named columns of equal length, compressed in memory."""

    _vecs: dict[str, Vec]
    _layout: Layout

    @classmethod
    def from_vecs(cls, vecs: Mapping[str, Vec]) -> Frame:
        """Return a frame of vecs that share one layout. Cost: free, nothing is copied."""
        frame = cls.__new__(cls)
        frame._vecs = dict(vecs)
        frame._layout = next(iter(vecs.values())).layout if vecs else Layout.regular(0)
        return frame

    @property
    def vecs(self) -> dict[str, Vec]:
        """The columns as they are held, by name."""
        return dict(self._vecs)
