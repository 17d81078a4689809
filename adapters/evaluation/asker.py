"""The port to the code that serves: the evaluation runs no copy of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Message = Mapping[str, Any]  # one message of a conversation, as a client sends it


@dataclass(frozen=True, slots=True)
class Asked:
    """What the cache said to a prompt."""

    hit: bool
    tier: str | None  # "exact" or "semantic" on a hit
    served_prompt: str | None  # on a hit: the prompt that filled the entry, as given to ``fill``
    similarity: float | None  # cosine to the best candidate, served or not; None = no candidate
    category: str  # as decided
    reason: str
    probability: float | None = None  # of the same answer, where the pair scorer was asked
    candidate: str | None = None  # the prompt of the entry that ``probability`` speaks of


class Asker(Protocol):
    """A cache with answers that do not matter. Scopes never see each other's entries.

    ``earlier`` are the messages before the prompt, in order.
    """

    async def prepare(self, prompts: Sequence[str]) -> None:
        """Embed what will be asked soon, in bulk. Changes no result; may do nothing."""
        ...

    async def ask(self, scope: str, prompt: str, earlier: Sequence[Message] = ()) -> Asked:
        """Look ``prompt`` up. Stores nothing."""
        ...

    async def fill(self, scope: str, prompt: str, earlier: Sequence[Message] = ()) -> None:
        """Store an answer for ``prompt``, if its policy lets it; visible on return."""
        ...

    async def forget(self, scope: str) -> None:
        """Drop all that ``scope`` stored."""
        ...


CHUNK = 256  # prompts prepared ahead of being asked

Progress = Callable[[int, int], None]  # done, of how many


def silent(_done: int, _expected: int) -> None:
    """Show no progress."""
