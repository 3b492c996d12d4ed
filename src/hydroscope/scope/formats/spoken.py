"""What captured messages are cut and called by: protocols that are known, and the caller's own functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hydroscope.scope.decoding import Decoded, Decoder, Dialect, dialects, shown
from hydroscope.scope.formats.protocols import Protocol
from hydroscope.wire.framing import UNFRAMED, Framer

__all__ = ["Spoken"]

SHOWN_BYTES = 200
"""Of a message that no decoder knows."""


class Spoken:
    """Owner of decoders and framers, and of what was wrong with the caller's.

    Parameters
    ----------
    decoders : iterable of function, Dialect or str
        Asked first.
    framers : mapping of int to function
        Of servers' ports.
    """

    def __init__(self, decoders: Iterable[Decoder | Dialect | str], framers: Mapping[int, Framer]) -> None:
        self.last = dialects(())
        self.first = tuple(each for each in dialects(decoders) if each not in self.last)
        self.framers = {port: self._guarded(port, framer) for port, framer in framers.items()}
        self.wrong: dict[str, tuple[int, str]] = {}
        """Of a function, how often it did wrong, and how first."""

    def decoded(self, data: bytes, protocol: Protocol | None = None, skip: int = 0) -> Decoded:
        """Return what the first decoder that knows a message says: the caller's, its protocol's, the others.

        Parameters
        ----------
        data : bytes
        protocol : Protocol, optional
        skip : int
            So many bytes in front are not for the protocol's decoder.
        """
        own = () if protocol is None or protocol.dialect is None else (protocol.dialect,)
        for dialect in (*self.first, *own, *self.last):
            some = data[skip:] if dialect in own else data
            if not some or (dialect.begins and some[0] not in dialect.begins):
                continue
            try:
                found = dialect.decode(some)
            except Exception as error:  # foreign functions may do anything with foreign bytes
                self._complain(f"the decoder {dialect.name}", f"raised {type(error).__name__}: {error}", some)
                continue
            if isinstance(found, Decoded):
                return found
            if found is not None:
                self._complain(f"the decoder {dialect.name}", f"returned {found!r}, neither Decoded nor None", some)
        return Decoded(protocol.name if protocol else "message", {}, shown(data[:SHOWN_BYTES], len(data)))

    def complaints(self) -> list[str]:
        """Return what was wrong, in words."""
        return [f"{who} {how}; so it went {n:,} times" for who, (n, how) in self.wrong.items()]

    def _guarded(self, port: int, framer: Framer) -> Framer:
        """Return the framer, no longer able to raise."""

        def guarded(data: bytes) -> int:
            try:
                n = framer(data)
            except Exception as error:  # foreign functions may do anything with foreign bytes
                self._complain(f"the framer of port {port}", f"raised {type(error).__name__}: {error}", data)
                return UNFRAMED
            if not isinstance(n, int):
                self._complain(f"the framer of port {port}", f"returned {n!r}, which is no length", data)
                return UNFRAMED
            return n

        return guarded

    def _complain(self, who: str, how: str, data: bytes) -> None:
        n, first = self.wrong.get(who, (0, f"{how} (of {shown(data[:SHOWN_BYTES], len(data))!r})"))
        self.wrong[who] = (n + 1, first)
