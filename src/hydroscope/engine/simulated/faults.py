"""What goes wrong in a simulated cluster, and how often."""

from __future__ import annotations

from random import Random

import msgspec

__all__ = ["Faults"]


class Faults(msgspec.Struct, frozen=True):
    """Probabilities are per packet; counts are what happens in one run.

    Faults stop when the programs have ended, so that what remains can be looked at in peace.
    """

    drop: float = 0.0
    """A packet is lost."""
    duplicate: float = 0.0
    """A packet arrives twice."""
    slow: float = 0.0
    """A packet takes up to `slow_s`, so that others overtake it."""
    damage: float = 0.0
    """Some bytes of a packet are changed (only where packets are bytes: `encode=True`)."""
    delay_s: tuple[float, float] = (0.0005, 0.0015)
    """How long a packet takes otherwise; different packets differ, so they overtake each other too."""
    slow_s: float = 0.05
    stall: float = 0.0
    """A stream (large payloads) swallows everything from here on, although sending succeeds."""
    partitions: int = 0
    """Times that some members cannot reach others, in one direction or both."""
    partition_s: float = 1.0
    pauses: int = 0
    """Times that a member stops for a while, and then goes on as if nothing had happened."""
    pause_s: float = 1.0
    crashes: int = 0
    """Times that a member other than the authority dies."""
    authority_dies: bool = False
    """The first death is that of the authority: the others stop when they notice."""
    restarts: bool = True
    """Whether a new life starts in its place."""
    skew: float = 0.0
    """Clocks run this much faster or slower, and begin at different times."""
    window_s: float = 0.5
    """Partitions, pauses and crashes begin within this time."""

    @classmethod
    def draw(cls, random: Random, *, harsh: bool = False) -> Faults:
        """Draw rates for one run: each kind of fault is absent in many runs and frequent in some (a swarm)."""

        def rate(most: float) -> float:
            return most * random.random() ** 2 if random.random() < 0.7 else 0.0

        most = 0.6 if harsh else 0.3
        fast_s = random.choice((0.0, 0.0002, 0.0005))
        return cls(
            drop=rate(most),
            duplicate=rate(most),
            slow=rate(0.3),
            slow_s=random.choice((0.005, 0.05, 0.5)),
            delay_s=(fast_s, fast_s + random.choice((0.0, 0.001, 0.003))),
            damage=rate(0.1),
            stall=rate(0.05),
            partitions=random.choice((0, 0, 0, 1, 2)) if harsh else random.choice((0, 0, 0, 0, 0, 1)),
            partition_s=random.choice((0.05, 0.5, 2.0)),
            pauses=random.choice((0, 0, 0, 1, 2)) if harsh else random.choice((0, 0, 0, 0, 0, 1)),
            pause_s=random.choice((0.05, 0.5, 2.0)),
            skew=random.choice((0.0, 0.0, 0.01, 0.05)),
            window_s=random.choice((0.01, 0.05, 0.3)),
        )
