"""Who asks: principals and scopes. No answer crosses from one scope to another."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NewType, TypeVar

from ..ports import EntryKey

Principal = NewType("Principal", bytes)  # 16 bytes; says nothing of the credential it stands for
Scope = NewType("Scope", bytes)  # 16 bytes
K = TypeVar("K")
V = TypeVar("V")

_NAMED = b"kindcache: user or namespace, version 1"
_HIDDEN = b"kindcache: key of an entry with personal data, version 1"  # other keys have other words

REMEMBERED = 4096  # principals and scopes each, which are then forgotten together
LONGEST_NAME = 256  # characters of user and namespace, which callers choose

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
    whole = b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "little"), part)])
    return hashlib.blake2b(whole, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Scoping:
    """How principals and scopes are made. ``secret`` keys the HMAC over credentials."""

    secret: bytes
    by: str  # "credential", "shared" or "header:NAME"
    share_anonymous: bool
    upstream: str  # identity of the upstream: an answer of one server is none of another's
    namespace: str
    # What was made before, by digest: neither a credential nor its HMAC is made or kept twice.
    _principals: dict[bytes, Principal] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _scopes: dict[tuple[Principal, str, str, bytes], Scope] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

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
        told = digest(*[part for header in sorted(telling) for part in header])
        known = self._principals.get(told)
        if known is None:
            known = Principal(hmac.digest(self.secret, told, "sha256")[:16])
            _keep(self._principals, told, known)
        return known

    def hidden(self, key: EntryKey) -> EntryKey:
        """Return a key that tells nothing of its prompt, not even to who tries all card numbers.

        What the other keys are made of can be read or guessed by who has the store.
        """
        return EntryKey(hmac.digest(self.secret, _HIDDEN + key, "sha256")[:16])

    def name(self, kind: bytes, principal: Principal, text: str) -> bytes:
        """Return what tells one of a principal's users or namespaces, over all epochs.

        16 bytes, keyed; empty for an empty name.
        """
        if not text:
            return b""
        whole = digest(kind, principal, text.encode("utf-8", "surrogatepass"))
        return hmac.digest(self.secret, _NAMED + whole, "sha256")[:16]

    def scope(self, principal: Principal, user: str, namespace: str, epoch: bytes) -> Scope:
        """Return the scope of a call: a stored answer never leaves it."""
        asked = (principal, user, namespace, epoch)
        known = self._scopes.get(asked)
        if known is None:
            names = (user.encode(), self.upstream.encode(), self.namespace.encode())
            known = Scope(digest(principal, *names, namespace.encode(), epoch))
            if len(user) + len(namespace) <= LONGEST_NAME:
                _keep(self._scopes, asked, known)
        return known


def _keep(known: dict[K, V], key: K, value: V) -> None:
    if len(known) >= REMEMBERED:
        known.clear()
    known[key] = value
