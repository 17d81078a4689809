"""Looking at no more candidates than are needed changes nothing of what is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.facts import Candidate
from kindcache.policies.shortlist import shortlist

from .facts import NOW_S, a_call, a_candidate, a_policy

POLICY = a_policy(ttl_s=100.0, stale_while_revalidate_s=100.0)
FLOOR = 0.6
PROMPTS = ("how can I reset my password", "how can I not reset my password")

seen = st.builds(
    a_candidate,
    st.floats(0.5, 1.0),
    st.sampled_from(PROMPTS),
    age_s=st.sampled_from([10.0, 150.0, 500.0]),  # fresh, stale, too old
)


@dataclass
class Noted:
    """A candidate that notes when it is read."""

    candidate: Candidate
    was_read: bool = False

    @property
    def category(self) -> str:
        return self.candidate.category

    @property
    def similarity(self) -> float:
        return self.candidate.similarity

    def read(self) -> Candidate:
        self.was_read = True
        return self.candidate


@given(st.lists(seen, max_size=8), st.integers(1, 3))
def test_enough_are_the_first_of_all(candidates: list[Candidate], enough: int) -> None:
    candidates.sort(key=lambda one: one.similarity, reverse=True)
    noted = [Noted(one) for one in candidates]
    asked = (lambda _: POLICY, "help", a_call())
    everyone = shortlist(*asked, candidates, NOW_S, lambda _: FLOOR)
    some = shortlist(*asked, noted, NOW_S, lambda _: FLOOR, enough=enough)
    assert some.ready[:enough] == everyone.ready[:enough]
    if not some.ready:
        assert some.miss == everyone.miss
    assert not any(one.was_read for one in noted if one.similarity < FLOOR)
