"""Which of the user's earlier turns must be compared before an answer fits another conversation.

Only the user's turns may differ. What the model said in between stays exact, in the partition: the
next turn often points into its very words ("the first one", "yes, do that"), and the scorer reads
questions, not answers. It costs little, since a question that is accepted as equivalent here was
accepted when it was asked, and got the stored answer.

Nor has the scorer learnt replies of a word or two: it finds "yep" and "nope" alike. Those must be
the same, and no longer turn may say yes where the other says no.
"""

from __future__ import annotations

import re

from .facts import Candidate, Turns
from .guards.signature import signature
from .guards.verdict import objection
from .policy_values import CategoryPolicy

MOST_DIFFERING = 8  # turns; each costs the scorer a millisecond, and is one more that may be wrong
FEWEST_WORDS = 4  # of a turn that may be in other words; a shorter one is a reply

Differences = tuple[tuple[str, str], ...]  # (asked, stored) turns in other words, in order

_YES = frozenset({"yes", "yeah", "yea", "yep", "yup", "sure", "ok", "okay", "correct", "right"})
_NO = frozenset({"no", "nope", "nah", "not", "never", "neither", "wrong"})
_FIRST_WORD = re.compile(r"[^\W\d_]+")


def differences(policy: CategoryPolicy, asked: Turns, candidate: Candidate) -> Differences | None:
    """Return the turns that a scorer must accept, None where the histories cannot be equivalent.

    Empty for the same history. Guards have accepted what is returned, where the policy has guards.
    """
    stored = candidate.turns
    if stored is None:
        return ()
    if not policy.equivalent_history or len(stored) != len(asked):
        return None
    pairs = zip(asked, stored, strict=True)
    differing = tuple(pair for pair in pairs if _plain(pair[0]) != _plain(pair[1]))
    if len(differing) > MOST_DIFFERING or not all(_may_be_asked(*pair) for pair in differing):
        return None
    if policy.guards and any(objection(signature(a), signature(b)) for a, b in differing):
        return None
    return differing


def likeness(differences: Differences) -> float:
    """Return the least share of words that two turns have in common: whom to ask about first."""
    return min((_shared(*pair) for pair in differences), default=1.0)


def _shared(asked: str, stored: str) -> float:
    mine, theirs = set(asked.casefold().split()), set(stored.casefold().split())
    return len(mine & theirs) / len(mine | theirs)


def _plain(turn: str) -> str:
    """Return ``turn`` without what is typed at random: a final dot, the case of its first word."""
    text = turn.rstrip(" .!") or turn
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def _may_be_asked(asked: str, stored: str) -> bool:
    if min(len(asked.split()), len(stored.split())) < FEWEST_WORDS:
        return False
    return _leaning(asked) * _leaning(stored) >= 0


def _leaning(turn: str) -> int:
    """Return 1 for a turn that begins with a yes, -1 for one that begins with a no, else 0."""
    found = _FIRST_WORD.search(turn)
    word = found.group().casefold() if found else ""
    return (word in _YES) - (word in _NO)
