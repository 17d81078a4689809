"""Verdicts: closed, frozen, each with a reason from one closed list.

The reasons are the values of the metric label ``reason`` and of the header ``X-Cache-Reason``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """How a hit was found."""

    EXACT = "exact"
    SEMANTIC = "semantic"


class Reason(StrEnum):
    """Why a verdict came out as it did. One value, one cause."""

    # hit
    EXACT = "exact"
    SEMANTIC = "semantic"
    STALE = "stale"  # past its life, served while it is refreshed
    STALE_IF_ERROR = "stale_if_error"  # past its life, served because the model failed
    # miss
    NEW = "new"  # nothing near
    BELOW_THRESHOLD = "below_threshold"
    GUARD = "guard"
    HISTORY = "history"  # an earlier turn differs by more than its wording
    UNSURE = "unsure"  # the scorer finds the same answer not probable enough
    UNFAMILIAR = "unfamiliar"  # the scorer cannot read the pair: long, code, another language
    SCORER = "scorer"  # the scorer failed or was late
    SHADOW = "shadow"  # it would have been a hit; the category only watches
    BLOCKED = "blocked"  # somebody of this scope said that this answer does not fit this prompt
    EXPIRED = "expired"
    TIME_WORDS = "time_words"  # the prompt speaks of now, and the category bars its reuse
    CLIENT_FRESHNESS = "client_freshness"  # stored, but older than the client accepts
    CLIENT_NO_CACHE = "client_no_cache"
    OVER_WINDOW = "over_window"  # longer than the embedder's window: exact tier only
    EXACT_ONLY = "exact_only"  # tools, n > 1, sampling or policy: exact tier only
    PROBED = "probed"  # searching does not pay in its category, and only a sample is searched for
    PAYLOAD_MISSING = "payload_missing"
    PAYLOAD_CORRUPT = "payload_corrupt"
    USAGE_UNKNOWN = "usage_unknown"  # the caller asked for usage, the stored answer has none
    REVALIDATE = "revalidate"  # no recent success of this credential at the upstream
    EMBEDDER = "embedder"  # embedder failed, was late, or its queue was full
    STORE = "store"  # store failed or was late
    INTERNAL = "internal"  # anything else that failed open
    # bypass
    CATEGORY = "category"  # the category is not cached
    CLIENT = "client"
    ANONYMOUS = "anonymous"  # no credential, and anonymous callers are not allowed to share
    SAMPLING = "sampling"
    PERSONAL_DATA = "personal_data"  # the prompt or the answer holds some, and the category minds
    MALFORMED = "malformed"  # not a request that the dialect understands
    TOO_LARGE = "too_large"
    STARTING = "starting"
    # refusal to store
    STATUS = "status"
    INCOMPLETE = "incomplete"
    FINISH_REASON = "finish_reason"
    TOOL_CALLS = "tool_calls"
    UNSUPPORTED = "unsupported"  # the answer holds something that cannot be expressed again
    UPSTREAM_NO_STORE = "upstream_no_store"
    CLIENT_NO_STORE = "client_no_store"
    INVALIDATED = "invalidated"  # it was invalidated, or was asked before that was known
    EMPTY = "empty"
    BACKLOG = "backlog"  # the background writer was full
    ROOM = "room"  # larger than what its category or its scope may take
    # stored for the same question to the letter alone
    STEERING = "steering"  # the prompt tells the model to set something aside, or speaks of others
    COLLISION = "collision"  # the prompt looks made to stand near another one


class Relaxed(StrEnum):
    """What a hit would have failed at, had the model been at rest."""

    SIMILARITY = "similarity"
    PROBABILITY = "probability"
    TTL = "ttl"


@dataclass(frozen=True, slots=True)
class Hit:
    """The entry ``key`` may answer."""

    key: bytes
    tier: Tier
    reason: Reason
    category: str
    similarity: float
    threshold: float
    age_s: float
    ttl_s: float  # what is left of its life by today's policy; below 0: stretched by load, or stale
    probability: float | None = None  # of the same answer, where a scorer decided
    relaxed: tuple[Relaxed, ...] = ()  # what the model's load has let pass


@dataclass(frozen=True, slots=True)
class Miss:
    """The model must answer."""

    reason: Reason
    category: str
    similarity: float | None = None  # of the best candidate, if there was one
    threshold: float | None = None
    probability: float | None = None  # of the same answer, where a scorer decided
    key: bytes | None = None  # the entry that this probability speaks of


def certainty(verdict: Hit | Miss) -> float:
    """Return how probable the judge found the same answer; without a scorer, the similarity."""
    chance = verdict.similarity if verdict.probability is None else verdict.probability
    return 0.0 if chance is None else chance


@dataclass(frozen=True, slots=True)
class Bypass:
    """The cache takes no part: neither looked up nor stored."""

    reason: Reason
    category: str = ""


@dataclass(frozen=True, slots=True)
class Admit:
    """Store the answer for at most ``retention_s`` seconds."""

    retention_s: float
    likeness: float = 0.0  # cosine of the nearest stored prompt, for what it is worth to keep


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not store the answer."""

    reason: Reason


Verdict = Hit | Miss | Bypass
