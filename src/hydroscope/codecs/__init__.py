"""Lossless codecs: how a block of values is kept in few bytes."""
