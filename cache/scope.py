"""Who asks: principals and scopes. No answer crosses from one scope to another."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

Principal = NewType("Principal", bytes)  # 16 bytes; says nothing of the credential it stands for
Scope = NewType("Scope", bytes)  # 16 bytes

SHARED = Principal(b"shared".ljust(16, b"\0"))

# Any of these may decide what an upstream answers, so all that are present are in.
CREDENTIAL_HEADERS = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"cookie",
        b"openai-organization",
        b"openai-project",
    }
)


def digest(*parts: bytes) -> bytes:
    """Return 16 bytes that depend on every part and on where each ends."""
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()


@dataclass(frozen=True, slots=True)
class Scoping:
    """How principals and scopes are made. ``secret`` keys the HMAC over credentials."""

    secret: bytes
    by: str  # "credential", "shared" or "header:NAME"
    share_anonymous: bool
    upstream: str  # identity of the upstream: an answer of one server is none of another's
    namespace: str

    def principal(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Return who asks; None when nobody can be told and anonymous callers do not share.

        ``headers`` have lower-case names, as ASGI gives them.
        """
        if self.by == "shared":
            return SHARED
        if self.by.startswith("header:"):
            named = self.by.partition(":")[2].lower().encode()
            telling = [(name, value) for name, value in headers if name == named and value]
        else:
            telling = [(n, value) for n, value in headers if n in CREDENTIAL_HEADERS and value]
        if not telling:
            return SHARED if self.share_anonymous else None
        parts = (part for header in sorted(telling) for part in header)
        return Principal(hmac.digest(self.secret, digest(*parts), "sha256")[:16])

    def scope(self, principal: Principal, user: str, namespace: str, epoch: bytes) -> Scope:
        """Return the scope of a call: a stored answer never leaves it."""
        return Scope(
            digest(
                principal,
                user.encode(),
                self.upstream.encode(),
                self.namespace.encode(),
                namespace.encode(),
                epoch,
            )
        )
