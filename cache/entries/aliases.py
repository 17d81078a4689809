"""Wordings that were judged to mean a stored prompt: the same words again need no second judging.

An alias holds figures, no text and no answer. Each time it is used the entry, the policy, the
bars and the client's directives of that moment decide whether it still holds, so that it is worth
no more than its entry, and nothing once that entry is not the one that was judged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from ...policies.policy import Policy
from ...policies.verdict import Hit
from ..asking.fingerprint import Ask
from ..outcome import Found
from ..ports import EntryKey
from .table import Table

LIMIT = 10_000  # about 3 MB


@dataclass(frozen=True, slots=True)
class Alias:
    """What was found out about a wording."""

    entry: EntryKey
    admission: int  # of the entry that was judged; one that takes its place has another
    ruled: str | None  # the category that a rule named, None = the nearest examples decided
    category: str
    similarity: float
    probability: float | None  # None: no scorer decided


class Aliases:
    """Aliases by exact key of the new wording, least recently used first to go.

    The exact key holds scope, epoch and partition: no alias is seen from another one. Another
    policy than the one under which they were judged ends them all.
    """

    def __init__(self, table: Table, limit: int = LIMIT) -> None:
        self._table = table
        self._limit = limit
        self._known: OrderedDict[EntryKey, Alias] = OrderedDict()
        self._policy: Policy | None = None

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, policy: Policy, found: Found, ruled: str | None, category: str) -> None:
        """Remember a hit by meaning on a prompt of ``category``, as ``policy`` decided."""
        hit, key = found.hit, found.ask.key
        entry = EntryKey(hit.key)
        if self._table.created_s(entry) != found.payload.created_s:
            return  # another answer has taken its place meanwhile
        self._judged_under(policy)
        self._known.pop(key, None)
        self._known[key] = Alias(
            entry,
            self._table.admission(entry),
            ruled,
            category,
            hit.similarity,
            hit.probability,
        )
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def recall(self, policy: Policy, ask: Ask, ruled: str | None, now_s: float) -> Hit | None:
        """Return the hit that these very words were, if all that made it one still holds.

        ``ruled`` is the category that rules name for this call. What its category lets it do, what
        was withdrawn, and whose credential is good is for the caller to ask, as for any hit.
        """
        self._judged_under(policy)
        alias = self._known.get(ask.key)
        if alias is None or alias.ruled != ruled:
            return None
        entry = self._table.neighbour(alias.entry, alias.similarity, ask.partition)
        if entry is None or self._table.admission(alias.entry) != alias.admission:
            del self._known[ask.key]
            return None
        self._known.move_to_end(ask.key)
        known, chance = entry.read(), alias.probability
        verdict = policy.judge_again(alias.category, ask.call, known, chance, now_s)
        return verdict if isinstance(verdict, Hit) else None

    def forget(self, entries: Collection[EntryKey]) -> None:
        """Forget the aliases of ``entries``, and those that are of their wordings."""
        gone = [
            key for key, alias in self._known.items() if alias.entry in entries or key in entries
        ]
        for key in gone:
            del self._known[key]

    def _judged_under(self, policy: Policy) -> None:
        if policy is not self._policy:
            self._known.clear()
            self._policy = policy
