"""The same work on two engines, compared to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from hydroscope.codecs.chunk import Chunk
from hydroscope.node import ports

__all__ = ["bits", "frame_bits", "on_both"]

T = TypeVar("T")


def on_both(engine: ports.Engine, local: ports.Engine, work: Callable[[], T]) -> tuple[T, T]:
    """Return what `work` returns on `engine` and on the local one."""
    results = []
    for chosen in (engine, local):
        before = ports.install(chosen)
        try:
            results.append(work())
        finally:
            ports.restore(before)
    return results[0], results[1]


def frame_bits(frame: Any) -> dict[str, Any]:
    """Return everything a frame holds, compressed as it is: equal only when every chunk is the same."""
    return {
        name: (vec.type, vec.domain, vec.layout.starts.tolist(), [bits(chunk) for chunk in vec.chunks()])
        for name, vec in frame.vecs.items()
    }


def bits(value: Any) -> Any:
    """Return a value in which arrays and floats are bytes, so that NaN equals itself and -0.0 is not 0.0."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float | np.floating):
        return np.float64(value).tobytes()
    if isinstance(value, Chunk):
        return tuple(bits(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [bits(each) for each in value]
    return value
