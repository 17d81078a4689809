"""The one place where the unexpected is caught."""

from __future__ import annotations

import asyncio

import pytest

from kindcache.cache.events import Failed
from kindcache.cache.fail_open import fail_open
from tests.cache.small_engine import Seen


def test_a_fault_is_counted_by_type_and_the_work_goes_on() -> None:
    seen = Seen()
    reached = []
    with fail_open(seen, "here"):
        reached.append("before")
        raise ZeroDivisionError("with private words")
    assert reached == ["before"]
    assert seen.events == [Failed("here", "ZeroDivisionError")]


def test_without_a_fault_nothing_is_counted() -> None:
    seen = Seen()
    with fail_open(seen, "here"):
        pass
    assert seen.events == []


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_orders_to_stop_pass(kind: type[BaseException]) -> None:
    seen = Seen()
    with pytest.raises(kind), fail_open(seen, "here"):
        raise kind
    assert seen.events == []
