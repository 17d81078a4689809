"""Negation, and the hedges that negate nothing."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.signature import signature


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("it is good", 0),
        ("it is not good", 1),
        ("it isn't good", 1),
        ("it isn\u2019t good", 1),
        ("never do it", 1),
        ("files without a name", 1),
        ("avoid sugar", 1),
        ("they are unable to pay", 1),
        ("tea instead of coffee", 1),
        ("neither tea nor coffee", 1),
        ("not A and not B", 2),
        ("do not, never, nor", 1),
        # Hedges:
        ("I can't log in", 0),
        ("i don't know how to do it", 0),
        ("I'm not sure what it is", 0),
        ("I am unable to open it", 0),
        ("we cannot find it", 0),
        ("is it open or not", 0),
        ("isn't it open", 0),
        ("order no. 5", 0),
        ("yes or no", 0),
        ("No, I mean tea", 0),
        ("why not use it", 0),
        # Nothing to do with negation:
        ("a knot, a note, nothingness", 0),
        ("", 0),
    ],
)
def test_negations(text: str, count: int) -> None:
    assert signature(text).negations == count


def test_a_first_person_fact_is_no_hedge() -> None:
    assert signature("suggest a dish, I can't eat gluten").negations == 1
