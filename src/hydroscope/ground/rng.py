"""Counter-based random numbers: a pure function of (seed, counters), so of no order of work.

A generator with a state gives row i a number that depends on who drew before. Here row i's
number is a hash of (seed, purpose, ..., i): any thread, block or node computes the same,
and nothing is to be shipped or kept. The hash is the finaliser of SplitMix64 (Steele, Lea
and Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014), once per counter.

`models.tree.sampling` has the compiled twin of `uniforms`.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt

__all__ = ["GOLDEN", "MIX_1", "MIX_2", "choose", "fresh_seed", "key", "mix", "uniforms"]

GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: the step between two counters."""

MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
_MASK = 2**64 - 1


def mix(value: int) -> int:
    """Return SplitMix64's hash of a 64-bit integer."""
    value = (value + GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * MIX_2) & _MASK
    return value ^ (value >> 31)


def key(seed: int, *counters: int) -> int:
    """Return the 64-bit key of a stream: `seed`, then what it is for, then which one.

    Examples
    --------
    >>> key(7, 1, 2) == key(7, 1, 2), key(7, 1, 2) == key(7, 2, 1)
    (True, False)
    """
    value = mix(seed & _MASK)
    for counter in counters:
        value = mix(value ^ (counter & _MASK))
    return value


def uniforms(stream: int, first: int, n: int) -> npt.NDArray[np.float64]:
    """Return numbers `first` .. `first + n` of a stream (a `key`), uniform in [0, 1).

    Cost: O(n), about 10 ns each.
    """
    with np.errstate(over="ignore"):
        values = np.arange(first, first + n, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(stream)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(MIX_1)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(MIX_2)
        values ^= values >> np.uint64(31)
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(stream: int, n_items: int, n_chosen: int) -> npt.NDArray[np.int64]:
    """Return `n_chosen` of range(n_items) in ascending order, every subset as likely as any other."""
    order = np.argsort(uniforms(stream, 0, n_items), kind="stable")
    return np.sort(order[:n_chosen]).astype(np.int64)


def fresh_seed() -> int:
    """Return a seed nobody has used, for when the user names none; 48 bits, so that it is easily noted."""
    return secrets.randbits(48)
