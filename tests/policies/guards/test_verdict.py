"""Which pairs of prompts share an answer, as far as guards can tell."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.signature import signature
from kindcache.policies.guards.verdict import Objection, objection, objections


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I pay $1,500?", "What is the way to pay 1500 dollars"),
        ("Meet at 7am on Monday", "on Monday meet me at 7:00 am"),
        ('files named "foo"', "files named foo"),
        ("use the --force flag", "use the force flag"),
        ("the value of my_table", "the value of my table"),
        ("gpt-4 price", "gpt 4 price"),
        ("weather in Paris", "paris weather"),
        ("Paris weather", "what is the weather in Paris"),
        ("I can't log in to my account", "How do I log in to my account?"),
        ("What's the weather today", "What is the weather?"),
        ("he/she said and/or wrote", "he or she said and wrote"),
        ("How To Reset A Password", "how do i reset a password"),
        ("the API v2", "version 2 of the API"),
        ("files under /var/", "files under /var"),
        # Scripts and languages that the guards do not know:
        ("一个苹果多少钱", "苹果的价格是什么"),
        ("погода в Москве сегодня", "какая сегодня погода, Москва"),
        ("ما هو الطقس", "كيف الطقس"),
        ("비밀번호를 재설정하려면", "비밀번호 초기화 방법"),
        ("wie ist das Wetter", "was ist das für ein Wetter heute"),
    ],
)
def test_nothing_speaks_against(one: str, other: str) -> None:
    assert objection(signature(one), signature(other)) is None


@pytest.mark.parametrize(
    ("one", "other", "guard"),
    [
        ("5 rows", "6 rows", Objection.NUMBERS),
        ("on Monday", "on Tuesday", Objection.DATES),
        ("it is good", "it is not good", Objection.NEGATION),
        ('find "foo"', 'find "bar"', Objection.QUOTES),
        ('find "foo"', "find bar", Objection.QUOTES),
        ('find ""', 'find "?"', Objection.QUOTES),
        ("/etc/hosts", "/etc/motd", Objection.IDENTIFIERS),
        ("run it with -x", "run it", Objection.IDENTIFIERS),
        ("use C++", "use C", Objection.IDENTIFIERS),
        ("weather in Paris", "weather in London", Objection.NAMES),
        ("weather in Paris", "weather", Objection.NAMES),
        ("enable it", "disable it", Objection.OPPOSITES),
        ("subscribe me", "unsubscribe me", Objection.OPPOSITES),
        ("miles to km", "km to miles", Objection.DIRECTION),
    ],
)
def test_the_guard_that_objects(one: str, other: str, guard: Objection) -> None:
    mine, stored = signature(one), signature(other)
    assert objection(mine, stored) is guard
    assert objection(stored, mine) is guard


def test_every_guard_that_objects_is_named() -> None:
    found = objections(signature("enable 5 of them"), signature("do not disable 6 of them"))
    assert set(found) == {Objection.NUMBERS, Objection.NEGATION, Objection.OPPOSITES}
