"""Strings in Arrow's form (offsets, UTF-8 bytes, validity) into chunks and back.

`encode_text(offsets: int64[n+1], data: uint8[...], valid: bool[n] or None) -> Chunk`
`decode_text(chunk) -> (offsets int64[n+1], data uint8[...], valid bool[n] or None)`
`encode_uuid(words: uint64[2n], valid: bool[n] or None) -> Chunk`, `decode_uuid` likewise.
"""
