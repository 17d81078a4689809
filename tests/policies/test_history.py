"""Which earlier turns must be compared, and which conversations cannot be equivalent at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kindcache.policies.facts import Candidate, Turns
from kindcache.policies.history import MOST_DIFFERING, differences
from kindcache.policies.shortlist import shortlist
from kindcache.policies.verdict import Reason

from .facts import NOW_S, a_call, a_candidate, a_policy, composed

ASKED = ("I lost my card.", "Yes, the credit card.")
OTHER = ("My card is gone.", "Yes, the credit card.")
DIFFERING = ((ASKED[0], OTHER[0]),)
POLICY = a_policy(equivalent_history=True)


def after(turns: Turns | None, similarity: float = 0.9) -> Candidate:
    return replace(a_candidate(similarity), turns=turns)


@pytest.mark.parametrize(
    ("stored", "differing"),
    [
        (None, ()),
        (ASKED, ()),
        (OTHER, DIFFERING),
        (OTHER[:1], None),
        ((*OTHER, "Thanks."), None),
        ((), None),
        (("My card is gone.", "No, the credit card."), None),  # a guard's business
        (("I lost 2 cards.", "Yes, the credit card."), None),
        ((OTHER[0], "yes, the credit card!"), DIFFERING),  # the same but for typing
    ],
)
def test_turns_in_other_words_are_left_to_the_scorer(stored: Turns | None, differing: Any) -> None:
    assert differences(POLICY, ASKED, after(stored)) == differing


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("yes", "yep"),
        ("yep", "nope"),
        ("the first one", "the last one"),
        ("left", "right"),
        ("A", "B"),
        ("X", "x"),
        ("C", "C++"),
        ("\U0001f44d", "\U0001f44e"),
        ("", "."),
        ("是的", "不是"),
        ("morning", "in the morning of that day"),
        ("Yes, I have a car", "No, I have a car"),
        ("Yeah I would like a copy", "Nah I would like a copy"),
        ("not the one from before", "right, the one from before"),
    ],
)
def test_replies_must_be_the_same(asked: str, stored: str) -> None:
    for policy in (POLICY, a_policy(equivalent_history=True, guards=False)):
        assert differences(policy, (asked,), after((stored,))) is None
        assert differences(policy, (stored,), after((asked,))) is None
    assert differences(POLICY, (asked,), after((asked,))) == ()


@pytest.mark.parametrize(
    ("asked", "stored"), [("Yes please", "yes please."), ("ok!", "Ok"), ("Thanks", "thanks")]
)
def test_what_is_typed_at_random_is_no_difference(asked: str, stored: str) -> None:
    assert differences(POLICY, (asked,), after((stored,))) == ()


def test_a_yes_may_be_said_or_left_out_in_a_whole_sentence() -> None:
    stored = ("yes I have a smart meter",)
    assert differences(POLICY, ("I have got a smart meter",), after(stored))


def test_without_the_setting_no_other_conversation_will_do() -> None:
    assert differences(a_policy(), ASKED, after(OTHER)) is None
    assert differences(a_policy(), ASKED, after(ASKED)) is None
    assert differences(a_policy(), ASKED, after(None)) == ()


def test_guards_can_be_switched_off_for_turns_too() -> None:
    stored = ("I lost 2 cards.", ASKED[1])
    assert differences(a_policy(equivalent_history=True, guards=False), ASKED, after(stored))


@pytest.mark.parametrize("differing", [MOST_DIFFERING, MOST_DIFFERING + 1])
def test_too_many_turns_in_other_words_are_too_much_to_ask(differing: int) -> None:
    same = tuple(f"I like {word}" for word in ("tea", "salt", "bread"))
    asked = same + ("I lost my card.",) * differing
    stored = same + ("My card is gone.",) * differing
    found = differences(POLICY, asked, after(stored))
    assert (found is not None) == (differing <= MOST_DIFFERING)


def test_another_history_is_a_reason_of_its_own_and_does_not_hide_the_next() -> None:
    def shortened(*candidates: Candidate) -> Any:
        return shortlist(
            lambda _: POLICY, "help", a_call(), candidates, NOW_S, lambda _: 0.5, ASKED
        )

    odd, good = after(("I lost 2 cards.", ASKED[1]), 0.95), after(OTHER)
    assert shortened(odd).miss.reason is Reason.HISTORY
    assert shortened(odd).ready == ()
    (ready,) = shortened(odd, good).ready
    assert ready.candidate is good
    assert ready.differences == DIFFERING


def test_the_conversation_that_began_most_alike_comes_first() -> None:
    def ordered(*candidates: Candidate) -> list[Candidate]:
        found = shortlist(
            lambda _: POLICY, "help", a_call(), candidates, NOW_S, lambda _: 0.5, ASKED
        )
        return [ready.candidate for ready in found.ready]

    own = after(None, 0.8)
    near = after(("I lost the card.", ASKED[1]), 0.95)
    far = after(OTHER, 1.0)
    assert ordered(far, near, own) == [own, near, far]


FILE = """
categories:
  chat: {examples: [a], history: equivalent}
  help: {examples: [b]}
  talk: {examples: [c], history: equivalent}
"""


@pytest.mark.parametrize(
    ("asked", "stored", "accepted"),
    [
        ("chat", "chat", True),
        ("chat", "talk", True),
        ("chat", "help", False),
        ("help", "chat", False),
        ("help", "help", False),
        ("default", "default", False),
        ("chat", "gone", False),
    ],
)
def test_the_categories_of_both_must_allow_it(asked: str, stored: str, *, accepted: bool) -> None:
    policy = composed(FILE)
    assert policy.equivalent_history(asked) is (asked in {"chat", "talk"})
    candidate = replace(after(OTHER), category=stored)
    found = policy.shortlist(asked, a_call(), [candidate], NOW_S, ASKED)
    assert bool(found.ready) is accepted


def test_similarity_and_guards_alone_never_accept_another_conversation() -> None:
    verdict = composed(FILE).judge(
        "chat", a_call(), [replace(after(OTHER, 1.0), category="chat")], NOW_S
    )
    assert verdict.reason is Reason.HISTORY
