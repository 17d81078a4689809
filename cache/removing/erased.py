"""What was erased for whom, so that nothing brings it back: no late write, no other process.

A notice names a principal, perhaps one of its users or namespaces, all as keyed digests, and a
time. Answers to questions that were asked up to then are neither stored nor served any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..asking.fingerprint import Ask
from ..asking.scope import Principal, digest
from ..entries.entry import IndexRecord, Payload
from ..learning.notices import Notices
from ..ports import Clock, Store

LIFE_S = 400 * 86_400.0  # longer than any answer of before is of use
LIMIT = 100_000  # about 30 MB
ANY = bytes(16)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose answers: a principal's, perhaps of one user or in one namespace only."""

    principal: Principal
    user: bytes = ANY  # as ``Scoping.name`` has it
    namespace: bytes = ANY

    def packed(self) -> bytes:
        """Return 48 bytes that name the subject."""
        return _named(self.principal) + self.user + self.namespace


def _named(principal: bytes) -> bytes:
    """Return what names ``principal`` in the clear: of itself one could make keys of entries."""
    return digest(b"erased", principal)


class Erased:
    """The erasures that are known here, and through the store those of other processes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._notices = Notices("erased", clock, LIMIT)
        self._notes: dict[bytes, list[tuple[bytes, bytes, float]]] = {}  # user, namespace, time
        self.due = False  # something may still be there
        self.scrub_due = False  # what was deleted may still be readable
        self.copies: list[Callable[[], Awaitable[None]]] = []  # each deletes what else was kept

    def __len__(self) -> int:
        return len(self._notices)

    def add(self, subject: Subject) -> bool:
        """Erase all that ``subject`` asked up to now; False when there is no room to note it."""
        now_s = self._clock()
        added = self._notices.add(subject.packed(), now_s + LIFE_S, now_s)
        self.due = True
        self._arrange()
        return added or self._notices.get(subject.packed()) is not None

    def marks(self) -> frozenset[bytes]:
        """Return what tells the erasures known here from others, 16 bytes each."""
        return frozenset(digest(key, repr(until_s).encode()) for key, until_s in self._known())

    def covers(self, ask: Ask, asked_s: float) -> bool:
        """Say whether what ``ask`` belongs to was erased after ``asked_s``."""
        return self._covers(ask.principal, ask.user, ask.namespace, asked_s)

    def covers_payload(self, ask: Ask, payload: Payload) -> bool:
        """Say whether an answer that ``ask`` found was erased."""
        return bool(self._notes) and self.covers(ask, asked_at(payload))

    def covers_record(self, record: IndexRecord) -> bool:
        """Say whether an entry of the store was erased."""
        return self._covers(record.principal, record.user, record.namespace, record.asked_s)

    async def send(self, store: Store) -> None:
        """Tell ``store`` what is new. Raises ``StoreError``; the next call tells it then."""
        await self._notices.send(store)

    async def read(self, store: Store) -> None:
        """Take in what others told ``store``. Raises ``StoreError``."""
        before = self._known()
        await self._notices.read(store)
        self._arrange()
        self.due |= bool(self._known() - before)

    def _known(self) -> set[tuple[bytes, float]]:
        return {(key, self._notices.get(key) or 0.0) for key in self._notices}

    def _covers(self, principal: bytes, user: bytes, namespace: bytes, asked_s: float) -> bool:
        if not self._notes:
            return False
        return any(
            asked_s <= until_s and of_user in {ANY, user} and within in {ANY, namespace}
            for of_user, within, until_s in self._notes.get(_named(principal), ())
        )

    def _arrange(self) -> None:
        self._notes = {}
        for key, until_s in self._known():
            self._notes.setdefault(key[:16], []).append((key[16:32], key[32:], until_s))


def asked_at(payload: Payload) -> float:
    """Return when the question was asked that ``payload`` answers."""
    return payload.created_s - payload.upstream_s
