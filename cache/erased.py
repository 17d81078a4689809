"""What was erased for whom, so that nothing brings it back: no late write, no other process.

A notice names a principal, perhaps one of its users or namespaces, all as keyed digests, and a
time. Answers to questions that were asked up to then are neither stored nor served any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from .entry import IndexRecord, Payload
from .fingerprint import Ask
from .learning.notices import Notices
from .ports import Clock, Store
from .scope import Principal

LIFE_S = 400 * 86_400.0  # longer than any answer of before is of use
LIMIT = 100_000  # about 30 MB
ANY = bytes(16)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose answers: a principal's, perhaps of one user or in one namespace only."""

    principal: Principal
    user: bytes = ANY  # as ``Scoping.name`` has it
    namespace: bytes = ANY

    def owns(self, record: IndexRecord) -> bool:
        """Say whether an entry is of this subject."""
        return (
            record.principal == self.principal
            and self.user in {ANY, record.user}
            and self.namespace in {ANY, record.namespace}
        )

    def packed(self) -> bytes:
        """Return 48 bytes that name the subject."""
        return self.principal + self.user + self.namespace


def unpack(packed: bytes) -> Subject:
    """Return the subject that ``packed`` names."""
    return Subject(Principal(packed[:16]), packed[16:32], packed[32:48])


class Erased:
    """The erasures that are known here, and through the store those of other processes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._notices = Notices("erased", clock, LIMIT)
        self._subjects: dict[Principal, list[tuple[Subject, float]]] = {}
        self.due = False  # something may still be there

    def __len__(self) -> int:
        return len(self._notices)

    def add(self, subject: Subject) -> bool:
        """Erase all that ``subject`` asked up to now; False when there is no room to note it."""
        now_s = self._clock()
        added = self._notices.add(subject.packed(), now_s + LIFE_S, now_s)
        self.due = True
        self._arrange()
        return added or self._notices.get(subject.packed()) is not None

    def covers(self, ask: Ask, asked_s: float) -> bool:
        """Say whether what ``ask`` belongs to was erased after ``asked_s``."""
        if not self._subjects:
            return False
        return any(
            asked_s <= until_s
            and subject.user in {ANY, ask.user}
            and subject.namespace in {ANY, ask.namespace}
            for subject, until_s in self._subjects.get(ask.principal, ())
        )

    def covers_payload(self, ask: Ask, payload: Payload) -> bool:
        """Say whether an answer that ``ask`` found was erased."""
        return bool(self._subjects) and self.covers(ask, asked_at(payload))

    def covers_record(self, record: IndexRecord) -> bool:
        """Say whether an entry of the store was erased."""
        known = self._subjects.get(Principal(record.principal), ())
        return any(subject.owns(record) and record.asked_s <= until for subject, until in known)

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

    def _arrange(self) -> None:
        self._subjects = {}
        for key, until_s in self._known():
            subject = unpack(key)
            self._subjects.setdefault(subject.principal, []).append((subject, until_s))


def asked_at(payload: Payload) -> float:
    """Return when the question was asked that ``payload`` answers."""
    return payload.created_s - payload.upstream_s
