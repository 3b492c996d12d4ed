"""Decoders of messages, one module each; `scope.decoding` has their names."""
