"""How gradients become integers: the steps that keep every sum within its field.

64 bits hold two sums (see `tree.histogram`). With `shift` bits for the hessian, the sum of
all |gradients| must stay below 2**(63 - shift) steps and that of all hessians below
2**shift; then so does the sum over any node. Steps are powers of two, chosen from the exact
integer sums of the tree before with a quarter to spare; should a sum grow by more, the
gradients are written again with a coarser step. All of it is integer arithmetic on sums over
all rows, so blocks and threads have no say in it.

Bounding by the sum and not by rows times the largest gradient matters: for a heavy-tailed
target a typical gradient keeps as many bits as any other.

Resolution: with a million rows a typical gradient has 11 bits and a typical hessian 12;
where the hessian is a count (squared error without weights) it takes 21 bits of the 64, and
a typical gradient has 22.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["HEADROOM", "Steps", "first_steps", "fits", "next_steps"]

HEADROOM = 1.25
"""By how much a sum may grow from one tree to the next before gradients must be written again."""

G_BITS_MAX = 49
"""Bits of the sum of gradients whatever the room: integers come out of doubles right below 2**51
(see `losses.ROUNDER`), and the excess of a sum that grew must still be seen."""

STEP_LOG2_MAX = 60
"""No step is finer than 2**-60."""


@dataclass(frozen=True)
class Steps:
    """The steps of one tree.

    Attributes
    ----------
    shift : int
        Bits of the hessian field.
    g_log2, h_log2 : int
        Steps a unit, as powers of two.
    counts : bool
        Whether the hessian counts rows, so that its step is 1 whatever happens.
    """

    shift: int
    g_log2: int
    h_log2: int
    counts: bool

    @property
    def g_scale(self) -> float:
        """Steps a unit of gradient."""
        return math.ldexp(1.0, self.g_log2)

    @property
    def h_scale(self) -> float:
        """Steps a unit of hessian."""
        return math.ldexp(1.0, self.h_log2)


def first_steps(g_bound: float, h_bound: float, n_rows: int, counts: bool) -> Steps:
    """Return the steps for sums of |gradient| and hessian that are at most the bounds."""
    shift = n_rows.bit_length() + 1 if counts else 32
    steps = Steps(shift, 0, 0, counts)
    return _chosen(steps, g_bound, h_bound, n_rows)


def next_steps(steps: Steps, g_sum: int, h_sum: int, n_rows: int) -> Steps:
    """Return the steps for the next tree from the sums, in steps, of this one."""
    return _chosen(steps, math.ldexp(g_sum, -steps.g_log2), math.ldexp(h_sum, -steps.h_log2), n_rows)


def fits(steps: Steps, g_sum: int, h_sum: int) -> bool:
    """Tell whether the sums stay within their fields."""
    return g_sum < 1 << _g_bits(steps) and h_sum < 1 << steps.shift


def _chosen(steps: Steps, g_sum: float, h_sum: float, n_rows: int) -> Steps:
    g_log2 = _log2(g_sum, _g_bits(steps), n_rows)
    h_log2 = 0 if steps.counts else _log2(h_sum, steps.shift, n_rows)
    return replace(steps, g_log2=g_log2, h_log2=h_log2)


def _g_bits(steps: Steps) -> int:
    return min(63 - steps.shift, G_BITS_MAX)


def _log2(bound: float, bits: int, n_rows: int) -> int:
    """Return the largest k for which HEADROOM * bound * 2**k, and the rounding of n rows, stay below 2**bits."""
    room = math.ldexp(1.0, bits) - 0.5 * n_rows - 1.0
    if bound <= 0.0:
        return STEP_LOG2_MAX
    return min(math.frexp(room / (HEADROOM * bound))[1] - 1, STEP_LOG2_MAX)
