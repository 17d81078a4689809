"""Facts that decisions are made from. Frozen, free of I/O, and the same for every wire dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .guards.signature import Signature


@dataclass(frozen=True, slots=True)
class Directives:
    """What a client asked of the cache. It can only tighten what the policy allows.

    Sources: ``Cache-Control`` request directives (RFC 9111, section 5.2.1) and the ``cache`` object
    that LiteLLM clients put into the body. Seconds; ``None`` = not asked.
    """

    no_cache: bool = False  # do not read, do write
    no_store: bool = False  # do not write
    bypass: bool = False  # neither (``use-cache: false``)
    only_if_cached: bool = False
    max_age_s: float | None = None  # oldest acceptable answer
    min_fresh_s: float | None = None
    max_stale_s: float | None = None  # counts only inside the policy's own stale window
    stale_if_error_s: float | None = None  # most staleness while the model fails (RFC 5861)
    no_refresh: bool = False  # the request is too large to be kept until its turn
    ttl_s: float | None = None  # upper bound on how long the new answer is kept
    namespace: str = ""  # a further split of the scope
    tags: tuple[str, ...] = ()  # of the new answer, by which it may be invalidated


NO_DIRECTIVES = Directives()
Turns = tuple[str, ...]  # the user's texts before the last one, in order


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model, in the terms of no particular wire dialect."""

    dialect: str  # "openai.chat"
    path: str
    model: str
    prompt: str  # the last user text as sent; "" when the last message is not plain user text
    stream: bool
    wants_usage: bool  # a streaming caller asked for the usage chunk
    frame: Mapping[str, Any]  # everything that can change the answer, the last user text left out
    user: str = ""  # `user` / `safety_identifier`, part of the scope
    ends_with_user_text: bool = True
    has_tools: bool = False
    choices: int = 1  # `n`
    temperature: float | None = None  # None = not sent, which is not the same as 1
    seeded: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    directives: Directives = NO_DIRECTIVES
    personal: frozenset[str] = frozenset()  # kinds of personal data that the policy looks for


def while_failing(call: Call) -> Call:
    """Return ``call`` as it reads once the model has failed: its own bound on stale answers."""
    asked = call.directives
    bounds = [s for s in (asked.max_stale_s, asked.stale_if_error_s) if s is not None]
    if asked.stale_if_error_s is None:
        return call
    return replace(call, directives=replace(asked, max_stale_s=min(bounds)))


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent a call, as far as policies may know."""

    headers: Mapping[str, str] = field(
        default_factory=dict
    )  # lower-case names; empty unless trusted


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored prompt that might answer the call."""

    key: bytes  # the entry's exact key
    category: str
    prompt: str
    signature: Signature
    similarity: float  # cosine, higher is nearer
    created_s: float  # Unix time at which the answer was received
    ttl_s: float | None = None  # the filling client's own bound, None = none
    turns: Turns | None = None  # of the conversation it was stored in; None = the call's own

    def read(self) -> Candidate:
        """Return itself: it has been read."""
        return self


class Proposed(Protocol):
    """What a search says of a candidate before anybody has read it."""

    @property
    def category(self) -> str:
        """Return the category it was stored in."""
        ...

    @property
    def similarity(self) -> float:
        """Return the cosine, higher is nearer."""
        ...

    def read(self) -> Candidate:
        """Return all of it."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What admission must know of a received answer."""

    status: int
    complete: bool  # terminal frame seen, or a whole body
    finish_reasons: tuple[str, ...]
    has_tool_calls: bool
    size_bytes: int
    upstream_no_store: bool = False
    personal: frozenset[str] = frozenset()  # kinds of personal data in its texts
