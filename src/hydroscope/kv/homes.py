"""Which member is home to a key: a pure function of the key and the view, the same everywhere.

Rendezvous hashing (Thaler and Ravishankar 1998): every founder gets a score from the key's hash and its own number, and
the best among the living is home, the second its runner-up. When a founder dies only its own keys move, each to its
runner-up, where the second copies of durable keys are already. A key "@3/x" is at home at member 3 as long as that
lives, and has a runner-up like any other.
"""

from __future__ import annotations

from hashlib import blake2b

from hydroscope.kv.names import forced_home, home_of_all
from hydroscope.wire.messages import NOBODY, View

__all__ = ["Homes", "home_of", "runner_up_of"]

_WORD = 0xFFFFFFFFFFFFFFFF
_REMEMBERED = 1 << 20


def home_of(key: str, view: View) -> int:
    """Return the number of the member that is home to `key`, or NOBODY."""
    return Homes(view).of(key)


def runner_up_of(key: str, view: View) -> int:
    """Return the number of the member that would be home next, or NOBODY."""
    return Homes(view).runner_up(key)


class _Known(dict[str, int]):
    """Homes that have been computed."""

    def __init__(self, live: tuple[int, ...]) -> None:
        super().__init__()
        self._live = live

    def __missing__(self, key: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        home = self[key] = best(key, self._live)
        return home


class Homes:
    """The homes of one view; remembers what it has computed."""

    __slots__ = ("founders", "live", "of")

    def __init__(self, view: View) -> None:
        members = {member.number for member in view.members}
        self.founders = view.founders
        self.live = tuple(number for number in view.founders if number in members)
        self.of = _Known(self.live).__getitem__
        """The home of a key, or NOBODY. Costs a look-up in a dictionary."""

    def original(self, key: str) -> int:
        """Return who would be home if all founders lived: another than the home has lost what it held."""
        return self.of(key) if len(self.live) == len(self.founders) else best(key, self.founders)

    def lost(self, prefix: str) -> tuple[int, ...]:
        """Return which founders died that may have held keys with this prefix: what their names were nobody knows."""
        if len(self.live) == len(self.founders):
            return ()
        lost = tuple(number for number in self.founders if number not in self.live)
        only = home_of_all(prefix)
        return lost if only not in self.founders else tuple(number for number in lost if number == only)

    def runner_up(self, key: str) -> int:
        """Return who would be home if the home died, or NOBODY."""
        home = self.of(key)
        return best(key, tuple(number for number in self.live if number != home))


def best(key: str, numbers: tuple[int, ...]) -> int:
    """Return the number with the best score for the key; the one that it is forced to, if that is there."""
    if len(numbers) < 2:
        return numbers[0] if numbers else NOBODY
    forced = forced_home(key)
    if forced is not None and forced in numbers:
        return forced
    digest = int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
    return max(numbers, key=lambda number: (_score(digest, number), number))


def _score(digest: int, number: int) -> int:
    """Mix the two words (the finalizer of MurmurHash3)."""
    word = (digest ^ (number * 0x9E3779B97F4A7C15)) & _WORD
    word = ((word ^ (word >> 33)) * 0xFF51AFD7ED558CCD) & _WORD
    word = ((word ^ (word >> 33)) * 0xC4CEB9FE1A85EC53) & _WORD
    return word ^ (word >> 33)
