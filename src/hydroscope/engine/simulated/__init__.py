"""A cluster in one thread, from one seed: real members, a network that loses, doubles, delays and damages.

Nothing here waits: time jumps to the next event, and everything that is drawn at random comes
from the seed, so a run repeats exactly. The members are those of the other engines.
"""

from hydroscope.engine.simulated.faults import Faults
from hydroscope.engine.simulated.program import Keys
from hydroscope.engine.simulated.world import World

__all__ = ["Faults", "Keys", "World"]
