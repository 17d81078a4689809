"""From a request to who asks what: step 3 of the request path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...policies.facts import Call, Origin
from ..ports import Embedder
from .canonical import Substitution
from .fingerprint import Ask, compatibility, exact_key, partition
from .history import History, without_turns
from .scope import Scoping, digest

# Headers that select a version of the API, and with it the answer.
VARY = frozenset({b"openai-beta", b"openai-version", b"anthropic-version", b"anthropic-beta"})
_NO_VARY = digest()


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it came in. ``headers`` have lower-case names; ``target`` is path and query."""

    call: Call
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class Identity:
    """Knows how scopes, partitions and keys are made here."""

    scoping: Scoping
    embedder: Embedder
    blank: Sequence[Substitution] = ()

    def identify(self, request: Request, epoch: bytes) -> Ask | None:
        """Return the ask, None when nobody can be told as its owner."""
        principal = self.scoping.principal(request.headers)
        if principal is None:
            return None
        call = request.call
        scope = self.scoping.scope(principal, call.user, call.directives.namespace, epoch)
        place = partition(scope, self._shape(request, call), self.embedder.identity)
        key = exact_key(place, call.prompt)
        if call.personal:
            key = self.scoping.hidden(key)
        user = self.scoping.name(b"user", principal, call.user)
        namespace = self.scoping.name(b"namespace", principal, call.directives.namespace)
        return Ask(call, request.origin, principal, scope, place, key, user, namespace)

    def with_history(self, request: Request, ask: Ask) -> Ask:
        """Return ``ask`` with its earlier turns, as it is where it has none to compare."""
        loose = without_turns(ask.call.frame)
        if loose is None:
            return ask
        frame, turns = loose
        shape = digest(b"equivalent history", self._shape(request, replace(ask.call, frame=frame)))
        place = partition(ask.scope, shape, self.embedder.identity)
        return replace(ask, history=History(place, turns))

    def _shape(self, request: Request, call: Call) -> bytes:
        selecting = [header for header in request.headers if header[0] in VARY]
        vary = _NO_VARY
        if selecting:
            vary = digest(*(part for header in sorted(selecting) for part in header))
        return compatibility(call, request.target, vary, self.blank)
