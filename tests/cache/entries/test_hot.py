"""Payloads in memory: bounded by bytes, least recently used first to go."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kindcache.cache.entries.entry import Payload
from kindcache.cache.entries.hot import HotPayloads
from kindcache.cache.entries.rendering import Form, Rendering
from kindcache.cache.ports import EntryKey
from tests.cache.small_engine import payload

LIMIT_BYTES = 10
_keys = st.sampled_from([EntryKey(bytes([n]) * 16) for n in range(6)])


class Hot(RuleBasedStateMachine):
    """Beside a list of what must be there, oldest use first."""

    def __init__(self) -> None:
        super().__init__()
        self.hot = HotPayloads(LIMIT_BYTES)
        self.model: list[tuple[EntryKey, Payload, int]] = []
        self.old: list[Payload] = [payload("never kept")]
        self.number = 0

    def _drop(self, key: EntryKey) -> None:
        self.model = [item for item in self.model if item[0] != key]

    @rule(key=_keys, size=st.integers(0, LIMIT_BYTES + 2))
    def put(self, key: EntryKey, size: int) -> None:
        self.number += 1
        value = payload(f"answer {self.number}")
        self.hot.put(key, value, size)
        self.old += [item[1] for item in self.model if item[0] == key]
        self._drop(key)
        if size <= LIMIT_BYTES:
            self.model.append((key, value, size))
        self._make_room()

    def _make_room(self) -> None:
        while sum(item[2] for item in self.model) > LIMIT_BYTES:
            self.old.append(self.model.pop(0)[1])

    @rule(key=_keys, stream=st.booleans(), size=st.integers(0, LIMIT_BYTES))
    def render(self, key: EntryKey, stream: bool, size: int) -> None:
        form = Form("d", stream, usage=False)
        for value in self.old:  # what is not there any more is neither kept nor found
            self.hot.keep_rendering(key, value, form, Rendering((b"x" * size,)))
            assert self.hot.rendering(key, value, form) is None
        for number, (known, value, taken) in enumerate(self.model):
            if known != key:
                continue
            before = self.hot.rendering(key, value, form)
            made = Rendering((b"x" * size,))
            self.hot.keep_rendering(key, value, form, made)
            if before is None and taken + size <= LIMIT_BYTES:
                del self.model[number]
                self.model.append((key, value, taken + size))
                self._make_room()
                assert self.hot.rendering(key, value, form) is made
            else:
                assert self.hot.rendering(key, value, form) is before
            break

    @rule(key=_keys)
    def get(self, key: EntryKey) -> None:
        known = [item for item in self.model if item[0] == key]
        assert self.hot.get(key) is (known[0][1] if known else None)
        self._drop(key)
        self.model += known

    @rule(key=_keys)
    def discard(self, key: EntryKey) -> None:
        self.hot.discard(key)
        self._drop(key)

    @invariant()
    def accounts_agree(self) -> None:
        assert len(self.hot) == len(self.model)
        assert self.hot.size_bytes == sum(item[2] for item in self.model) <= LIMIT_BYTES


TestHot = Hot.TestCase
TestHot.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
