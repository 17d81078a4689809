"""What a process holds, in one number: equal for two that hold the same, in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from ..ports import EntryKey

if TYPE_CHECKING:
    from ..entries.table import Table

BATCH = 256  # entries taken in before other work gets its turn: some 2 ms
DIGEST_BYTES = 16


class Answer(Protocol):
    """What tells an answer from others under its key: of an entry held, or of a record stored."""

    @property
    def category(self) -> str: ...  # noqa: D102

    @property
    def created_s(self) -> float: ...  # noqa: D102

    @property
    def size_bytes(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Digest:
    """How many entries there are, and the exclusive or of their hashes: 32 hexadecimal digits."""

    entries: int
    digest: str


def digest(answers: Iterable[tuple[EntryKey, Answer]]) -> Digest:
    """Return the digest of ``answers``, each under its key."""
    entries, mixed = 0, 0
    for key, answer in answers:
        entries += 1
        mixed ^= _hash(key, answer)
    return Digest(entries, f"{mixed:0{2 * DIGEST_BYTES}x}")


async def digest_of(table: Table) -> Digest:
    """Return the digest of what ``table`` holds. It is of one moment only if nothing changes."""
    entries, mixed = 0, 0
    for entry in table:
        entries += 1
        mixed ^= _hash(entry.key, entry)
        if entries % BATCH == 0:
            await asyncio.sleep(0)
    return Digest(entries, f"{mixed:0{2 * DIGEST_BYTES}x}")


def _hash(key: EntryKey, answer: Answer) -> int:
    said = f"{answer.category}|{answer.created_s!r}|{answer.size_bytes}".encode()
    return int.from_bytes(blake2b(key + said, digest_size=DIGEST_BYTES).digest())
