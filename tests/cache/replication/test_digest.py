"""Digests are equal where what is held is, and only there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kindcache.cache.ports import EntryKey
from kindcache.cache.replication.digest import Digest, digest, digest_of
from tests.cache.small_engine import fill, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Stored:
    category: str = "code"
    created_s: float = 1.5
    size_bytes: int = 7


ONE, OTHER = EntryKey(bytes(16)), EntryKey(bytes(15) + b"\1")


def test_the_order_does_not_matter() -> None:
    both = [(ONE, Stored()), (OTHER, Stored())]
    assert digest(both) == digest(reversed(both))
    assert digest(both).entries == 2


def test_nothing_has_a_digest_too() -> None:
    assert digest([]) == Digest(0, 32 * "0")


@pytest.mark.parametrize(
    "other", [Stored(category="news"), Stored(created_s=1.25), Stored(size_bytes=8)]
)
def test_another_answer_under_a_key_makes_another_digest(other: Stored) -> None:
    assert digest([(ONE, Stored())]) != digest([(ONE, other)])


def test_another_key_makes_another_digest() -> None:
    assert digest([(ONE, Stored())]) != digest([(OTHER, Stored())])


async def test_of_a_table_it_is_that_of_its_entries(clock: FakeClock) -> None:
    async with running(clock) as at:
        for prompt in ("hello", "the news", "some code"):
            await fill(at.engine, request(prompt))
        table = at.engine.memory.table
        assert await digest_of(table) == digest((entry.key, entry) for entry in table)
