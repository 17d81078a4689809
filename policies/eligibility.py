"""Decides whether a call may use the cache, and which tiers of it."""

from __future__ import annotations

from dataclasses import dataclass

from .facts import Call
from .verdict import Bypass, Reason


@dataclass(frozen=True, slots=True)
class Access:
    """What a call may do. ``exact_because`` says why the semantic tier is closed, if it is."""

    read: bool
    write: bool
    exact_because: Reason | None = None

    @property
    def semantic(self) -> bool:
        """Say whether the call may be matched by meaning."""
        return self.exact_because is None


FULL = Access(read=True, write=True)
EXACT_ONLY = Access(read=True, write=True, exact_because=Reason.EXACT_ONLY)


def access(call: Call) -> Access | Bypass:
    """Decide from the call alone, before its category is known.

    Tools, several choices, and a last message that is not plain user text close the semantic tier:
    the text that similarity would see is then not what the answer depends on.
    """
    asked = call.directives
    if asked.bypass or (asked.no_cache and asked.no_store):
        return Bypass(Reason.CLIENT)
    exact_only = call.has_tools or call.choices != 1 or not call.ends_with_user_text
    if not asked.no_cache and not asked.no_store:
        return EXACT_ONLY if exact_only else FULL
    return Access(
        read=not asked.no_cache,
        write=not asked.no_store,
        exact_because=Reason.EXACT_ONLY if exact_only else None,
    )
