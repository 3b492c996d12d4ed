"""The user's row function and compressed chunks, woven into one compiled loop."""

from __future__ import annotations

from hydroscope.weave.compiler import LOOP_FLAGS, compile_source
from hydroscope.weave.notice import HydroscopeWarning, InterpretedWarning

__all__ = ["LOOP_FLAGS", "HydroscopeWarning", "InterpretedWarning", "compile_source"]
