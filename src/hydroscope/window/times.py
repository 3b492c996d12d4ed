"""Moments as people write them, as stamps, and back."""

from __future__ import annotations

import datetime
from typing import Final

from hydroscope.ground.clocks.hlc import UNIT_NS, time_ns
from hydroscope.ground.errors import UserError

__all__ = ["shown", "stamp_of"]

_COUNTER: Final = UNIT_NS - 1
_SECOND_NS: Final = 10**9
_DAY: Final = datetime.timedelta(days=1)
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
    if isinstance(at, bool):
        raise UserError(f"{at!r} is not a moment; give {_FORMS}")
    if isinstance(at, datetime.timedelta):
        at = at.total_seconds()
    if isinstance(at, int) and at >= _FIRST_STAMP:
        return at
    if isinstance(at, int | float) and at <= 0:
        return min(now, time_ns(now + round(at * _SECOND_NS)) | _COUNTER)
    if isinstance(at, str):
        at = _read(at, now)
    if isinstance(at, datetime.datetime):
        whole = round(at.replace(microsecond=0).timestamp())
        stamp = time_ns(whole * _SECOND_NS + at.microsecond * 1000) | _COUNTER
        return now if now < stamp <= now | _COUNTER else stamp
    raise UserError(f"{at!r} is not a moment; give {_FORMS}")


def _read(text: str, now: int) -> datetime.datetime:
    today = datetime.datetime.fromtimestamp(time_ns(now) / _SECOND_NS)
    try:
        moment = datetime.datetime.combine(today.date(), datetime.time.fromisoformat(text))
    except ValueError:
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            raise UserError(f"{text!r} is not a time; give {_FORMS}") from None
    is_later = moment.timestamp() > today.timestamp() + 60
    return moment - _DAY if is_later else moment
