"""Moments as people write them, as stamps, and back."""

from __future__ import annotations

import contextlib
import datetime
from numbers import Integral, Real
from typing import Final

from hydroscope.ground.clocks.hlc import UNIT_NS, time_ns
from hydroscope.ground.errors import UserError
from hydroscope.window.layout import STAMP_MAX

__all__ = ["as_stamp", "shown", "stamp_of"]

_COUNTER: Final = UNIT_NS - 1
_SECOND_NS: Final = 10**9
_DAY: Final = datetime.timedelta(days=1)
_SOON_S: Final = 60.0
"""A time so little ahead is meant as such: clocks differ."""
_FIRST_STAMP: Final = 2**50
"""Stamps are nanoseconds since 1970: what is below is no time of this millennium."""

_FORMS: Final = "a stamp, a datetime, a text such as '14:03:07.25' or '2027-01-31 14:03', or seconds back such as -2.5"


def shown(stamp: int) -> str:
    """Return a stamp as a time of day here, to the microsecond; with the date if that is not today's.

    Cost: free.
    """
    seconds, ns = divmod(time_ns(stamp), _SECOND_NS)
    try:
        moment = datetime.datetime.fromtimestamp(seconds).replace(microsecond=ns // 1000)
    except (ValueError, OverflowError, OSError):
        return f"stamp {stamp}"
    is_today = moment.date() == datetime.datetime.now().date()
    return f"{moment:%H:%M:%S.%f}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def stamp_of(at: object, now: int) -> int:
    """Return the stamp that `at` means; of a time, the last stamp of its 4.1 us.

    Parameters
    ----------
    at : int, float, str, datetime.datetime or datetime.timedelta
        A stamp; a time (one without a zone, or without a date, is of this place and of the last such time); what is
        not above zero counts back from now, in seconds.
    now : int
        The stamp of now.

    Notes
    -----
    Cost: free.

    Examples
    --------
    >>> now = 1_800_000_000 * 10**9
    >>> (now - stamp_of(-2, now)) // 10**6, stamp_of(now, 0) == now
    (1999, True)
    """
    if _whole(at) >= _FIRST_STAMP:
        return _whole(at)
    moment: object = at
    with contextlib.suppress(ValueError, OverflowError, OSError):  # beyond what the calendar has
        if isinstance(at, str):
            moment = _read(at, time_ns(now) / _SECOND_NS)
        if isinstance(moment, datetime.datetime):
            whole = round(moment.replace(microsecond=0).timestamp())
            stamp = time_ns(whole * _SECOND_NS + moment.microsecond * 1000) | _COUNTER
            return now if now < stamp <= now | _COUNTER else stamp
        back_s = at.total_seconds() if isinstance(at, datetime.timedelta) else at
        if isinstance(back_s, Real) and not isinstance(back_s, bool) and back_s <= 0:
            return min(now, time_ns(now + round(float(back_s) * _SECOND_NS)) | _COUNTER)
    raise UserError(f"{at!r} is not a moment; give {_FORMS}")


def _read(text: str, now_s: float) -> datetime.datetime:
    """Return the moment that a text says; of several that it may mean, the last one that is not to come."""
    try:
        time = datetime.time.fromisoformat(text)
    except ValueError:
        days = [datetime.datetime.fromisoformat(text)]
    else:
        today = datetime.datetime.fromtimestamp(now_s, time.tzinfo).date()
        days = [datetime.datetime.combine(today - n * _DAY, time) for n in (0, 1)]
    moments = [day.replace(fold=fold) for day in days for fold in (1, 0)]  # an hour comes twice when summer ends
    return next((each for each in moments if each.timestamp() <= now_s + _SOON_S), moments[-1])


def as_stamp(value: object) -> int:
    """Return a stamp as Python's own whole number; UserError if it is none. Cost: free.

    Examples
    --------
    >>> as_stamp(1_800_000_000 * 10**9)
    1800000000000000000
    """
    if 0 < (stamp := _whole(value)) <= STAMP_MAX:
        return stamp
    raise UserError(f"{value!r} is not a stamp, a whole number of 64 bits; take those of a HybridClock")


def _whole(value: object) -> int:
    """Return a whole number of any type, NumPy's too, as Python's own; of what is none, 0."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
