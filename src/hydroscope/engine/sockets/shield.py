"""Keep Ctrl-C out of the middle of a decision.

Python raises KeyboardInterrupt in the main thread between any two bytecodes. A member's
tables, half changed, would be wrong from then on; so while the main thread works on them,
the interrupt is noted, and raised afterwards. Other threads are never interrupted.
"""

from __future__ import annotations

# What `signal` wraps: the wrappers turn numbers into enums and back, which took 13 us a block instead of 1.
import _signal  # type: ignore[import-not-found]
import signal
import threading
from types import FrameType, TracebackType

__all__ = ["Shield"]

SIGINT = int(signal.SIGINT)
_main_ident = threading.main_thread().ident


class Shield:
    """Within its block Ctrl-C sets `struck`; at the end of the block it does what it would have done."""

    __slots__ = ("_before", "struck")

    def __init__(self) -> None:
        self.struck = False
        self._before: signal._HANDLER = None

    def __enter__(self) -> Shield:
        if threading.get_ident() == _main_ident:
            before = _signal.getsignal(SIGINT)
            if callable(before):  # otherwise it ends the process or is ignored; neither comes in between
                self._before = before
                _signal.signal(SIGINT, self._strike)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        before = self._before
        if before is not None:
            _signal.signal(SIGINT, before)
            if self.struck and error is None and callable(before):
                before(SIGINT, None)

    def _strike(self, number: int, frame: FrameType | None) -> None:
        self.struck = True
