"""Observers as one: each gets everything, in order."""

from __future__ import annotations

from kindcache.cache.events import Event, Failed, Observers, Removed
from tests.cache.small_engine import Seen


def test_every_member_gets_every_event() -> None:
    members = [Seen(), Seen()]
    observers = Observers([*members])
    events: list[Event] = [Failed("here", "OSError"), Removed(1, "expired")]
    for event in events:
        observers.notify(event)
    assert [member.events for member in members] == [events, events]
