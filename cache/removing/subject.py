"""Whose answers, as digests that may be kept in the clear."""

from __future__ import annotations

from dataclasses import dataclass

from ..asking.scope import Principal, digest

ANY = bytes(16)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose answers: a principal's, perhaps of one user or in one namespace only."""

    principal: Principal
    user: bytes = ANY  # as ``Scoping.name`` has it
    namespace: bytes = ANY

    def packed(self) -> bytes:
        """Return 48 bytes that name the subject.

        Of the principal itself one could make keys of entries.
        """
        return digest(b"erased", self.principal) + self.user + self.namespace
