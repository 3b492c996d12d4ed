"""Values into chunks: gather statistics, choose the smallest codec that is lossless, encode."""

from __future__ import annotations

from hydroscope.codecs.reference import encode_decimal, encode_int, encode_real

__all__ = ["encode_decimal", "encode_int", "encode_real"]
