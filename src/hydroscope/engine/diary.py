"""What the keys that a member is home to were in its last seconds: its window-log, written as they change.

In files beside the rings (`window.tape`), so that they can be read when the process has been killed; nothing of it is
kept in memory but where the last value of each key lies. Under the empty text, which is no key, lies who belongs: whose
word counts for a key of which several members' logs tell follows from that.

`HYDROSCOPE_HISTORY` says for how many seconds (10; 0: no log is kept). Used under the member's lock. It breaks nothing:
when there is no room any more, the log ends, and says so in the ring.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from hydroscope.ground.errors import HydroscopeError, UserError
from hydroscope.ground.record.folder import default_folders, prepare
from hydroscope.ground.record.recorder import Recorder
from hydroscope.kv.effects import Adopted, Ordered
from hydroscope.kv.homes import Homes
from hydroscope.window.files import tidy
from hydroscope.window.layout import Head, Kind
from hydroscope.window.tape import Tape, packed
from hydroscope.wire import values
from hydroscope.wire.messages import MemberInfo, View

__all__ = ["BYTES", "LARGE_BYTES", "VIEW", "Diary", "history_s"]

SETTING: Final = "HYDROSCOPE_HISTORY"
SECONDS_MAX: Final = 3600.0

BYTES: Final = 2**26
"""That a log takes up, or twice what the keys take, if that is more."""

LARGE_BYTES: Final = 2**14
"""Of longer values only is kept what they are: a log is to hold seconds, not a few arrays."""

LONG: Final = 2**11
"""Lists and dictionaries with more than this are not packed to see how long they are."""

VIEW: Final = ""
"""The key of who belongs."""

_SMALL: Final = frozenset({int, float, bool})
_VALUE: Final = Kind.VALUE
_encode: Final = msgspec.msgpack.Encoder().encode


def history_s() -> float:
    """Return the seconds that logs of members are to reach back; 0: none are kept."""
    text = os.environ.get(SETTING, "10")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= SECONDS_MAX:
        raise UserError(f"{SETTING}={text!r} must be seconds, 0 (keep none) to {SECONDS_MAX:.0f}")
    return seconds


class Diary:
    """The window-log of one member.

    Parameters
    ----------
    cluster : int
    seconds : float
    recorder : Recorder or None
        Told when it ends early.
    folder : path or None
        None: where rings are.
    """

    __slots__ = ("_cluster", "_folder", "_homes", "_me", "_recorder", "_seconds", "_tape", "n_lost", "name")

    def __init__(
        self, cluster: int, seconds: float, recorder: Recorder | None = None, folder: Path | None = None
    ) -> None:
        self._cluster, self._seconds, self._recorder, self._folder = cluster, seconds, recorder, folder
        self._tape: Tape | None = None
        self._homes: Homes | None = None
        self._me = -1
        self.name = ""
        self.n_lost = 0
        """Changes that could not be kept."""

    def entered(self, me: MemberInfo, name: str, view: View, stamp: int) -> None:
        """Note who belongs; the first view opens the log, if this member stores."""
        if me.number not in view.founders:
            return
        self._me, self._homes, self.name = me.number, Homes(view), name
        if self._tape is None and self.n_lost == 0:
            self._open(stamp - 1)
        members = [member.number for member in view.members]
        told = {"member": me.number, "epoch": view.epoch, "members": members, "founders": list(view.founders)}
        tape = self._tape
        if tape is not None:
            try:
                tape.store(stamp, Kind.VALUE, VIEW, packed(VIEW), packed(told))
            except OSError as error:
                self._end(f"{type(error).__name__}: {error}")

    def changed(self, effect: Ordered | Adopted) -> None:
        """Note that a key takes a new value here, its home. Cost: about 1.5 us."""
        tape = self._tape
        if tape is None:
            return
        key, value = effect.key, effect.value
        kind = type(value)
        try:  # most values are plain and short: fewer calls for those
            if kind in _SMALL or ((kind is str or kind is bytes) and len(value) <= LARGE_BYTES):
                tape.store(effect.stamp, _VALUE, key, _encode(key), _encode(value))
            else:
                tape.store(effect.stamp, *self._packed(effect))
        except OSError as error:  # no room
            self._end(f"{type(error).__name__}: {error}")
        except (HydroscopeError, ValueError, OverflowError):  # half of a character; more than 64 bits
            self._store_carefully(effect)

    def _store_carefully(self, effect: Ordered | Adopted) -> None:
        assert self._tape is not None
        try:
            self._tape.store(effect.stamp, *self._packed(effect))
        except OSError as error:
            self._end(f"{type(error).__name__}: {error}")
        except HydroscopeError:  # its key has no bytes
            self.n_lost += 1

    def _packed(self, effect: Ordered | Adopted) -> tuple[int, str, bytes, bytes]:
        """Return what kind of change it is, the key, the key packed, and the value packed."""
        key, value = effect.key, effect.value
        if value is None and not self._is_taken_over(key):
            return Kind.REMOVED, key, packed(key), b""
        what = ""
        try:
            if _is_long(value) or len(data := packed(value)) > LARGE_BYTES:
                what = _what(value)
        except HydroscopeError as error:  # what `atomic` made of it cannot travel; its readers will be told, too
            what = f"{type(value).__name__}: {str(error)[:100]}"
        if what:
            return Kind.LARGE, key, packed(key), values.pack((what, effect.version))
        return Kind.VALUE, key, packed(key), data

    def close(self) -> None:
        """End it; its files stay for whoever asks."""
        tape, self._tape = self._tape, None
        if tape is not None:
            tape.close()

    def _is_taken_over(self, key: str) -> bool:
        """Tell whether the key was another's, whose log has a value: then its absence must be told for ever."""
        homes = self._homes
        return homes is not None and len(homes.live) != len(homes.founders) and homes.original(key) != self._me

    def _open(self, start: int) -> None:
        try:
            folder = self._folder or default_folders(4 * BYTES)[0]
            prepare(folder)
            tidy(folder)
            self._tape = Tape(folder, Head.of_this_process(self.name, start, self._seconds, self._cluster), BYTES)
        except (OSError, UserError) as error:
            self._end(f"{type(error).__name__}: {error}")

    def _end(self, why: str) -> None:
        self.n_lost += 1
        self.close()
        if self._recorder is not None:
            self._recorder.note(f"no window-log: {why}")


def _is_long(value: Any) -> bool:
    """Tell whether a value is certainly longer than what is kept, without packing it."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        return len(value) > LARGE_BYTES
    if kind is list or kind is tuple or kind is dict:
        return len(value) > LONG
    n_bytes = getattr(value, "nbytes", 0)
    return isinstance(n_bytes, int) and n_bytes > LARGE_BYTES


def _what(value: Any) -> str:
    """Return what a large value is, in few words."""
    kind = type(value).__name__
    if hasattr(value, "dtype"):
        return f"{kind} of {value.dtype}, shape {getattr(value, 'shape', ())}"
    if hasattr(value, "__len__"):
        return f"{kind} of length {len(value):,}"
    return kind
