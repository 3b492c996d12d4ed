"""A cluster in one thread, from one seed: real members, a network that loses, doubles, delays and damages.

Nothing here waits: time jumps to the next event, and everything that is drawn at random comes
from the seed, so a run repeats exactly. The members are those of the other engines.
"""
