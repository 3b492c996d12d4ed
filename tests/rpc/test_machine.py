"""Two links as Hypothesis drives them: any steps at any time, then exactly-once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hydroscope.rpc.link import LARGE_BYTES, Window
from tests.rpc.pair import Pair

SIDES = st.integers(0, 1)
PICKS = st.integers(0, 10**6)
SIZES = st.sampled_from([0, 10, LARGE_BYTES + 1, 5_000])


class TwoLinks(RuleBasedStateMachine):
    """A narrow window and a short table, so that both are met."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(Window(calls=3, bytes=6_000, table=4))

    @rule(at=SIDES, size_bytes=SIZES)
    def call(self, at, size_bytes):
        self.pair.call(at, object(), size_bytes)

    @precondition(lambda self: self.pair.bag)
    @rule(pick=PICKS)
    def arrive(self, pick):
        self.pair.arrive(pick % len(self.pair.bag))

    @precondition(lambda self: self.pair.bag)
    @rule(pick=PICKS)
    def drop(self, pick):
        self.pair.drop(pick % len(self.pair.bag))

    @precondition(lambda self: self.pair.bag)
    @rule(pick=PICKS)
    def double(self, pick):
        self.pair.double(pick % len(self.pair.bag))

    @precondition(lambda self: self.pair.running)
    @rule(pick=PICKS, size_bytes=SIZES)
    def finish(self, pick, size_bytes):
        self.pair.finish(pick % len(self.pair.running), size_bytes)

    @rule(at=SIDES)
    def time_out(self, at):
        if self.pair.links[at].deadline < float("inf"):
            self.pair.time_out(at)

    @invariant()
    def nothing_is_slept_over(self):
        for link in self.pair.links:
            due = [each.due for each in (*link._own.values(), *link._theirs.values())]
            assert link.wake <= min(due, default=float("inf"))

    def teardown(self):
        self.pair.drain()


TestTwoLinks = TwoLinks.TestCase
TestTwoLinks.settings = settings(
    max_examples=max(settings().max_examples // 3, 1), stateful_step_count=60, deadline=None
)
