"""One category's policy as plain values, resolved from the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..config.settings import Settings


@dataclass(frozen=True, slots=True)
class Floors:
    """Where a category's figures are at full load; None = where they are at rest."""

    min_probability: float | None = None
    similarity_threshold: float | None = None
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class CategoryPolicy:
    """What holds for the prompts of one category."""

    name: str
    cache: bool
    semantic: bool
    similarity_threshold: float  # the bar where guards alone decide
    candidate_floor: float  # least similarity of what a scorer is asked about
    min_probability: float  # the bar where a scorer decides
    max_error_rate: float | None  # wrong hits / hits that a calibrated bar must stay within
    shadow: bool  # would-be hits are recorded, never served
    ttl_s: float
    equivalent_history: bool  # the user's earlier turns may be in other words
    guards: bool
    poisoning_check: bool  # prompts made to answer for others are kept for themselves alone
    max_temperature: float
    sampled: Literal["exact", "semantic", "bypass"]
    tool_answers: bool
    share_sampled: bool
    personal_data: Literal["allow", "refuse", "redact"] = "allow"
    personal_kinds: frozenset[str] = frozenset()
    under_load: Floors | None = None  # None: load relaxes nothing
    stretch_s: float = 0.0  # what load adds to the TTL at this moment
    ttl_jitter: float = 0.0  # share of the TTL by which a life may be shorter
    time_words: Literal["ignore", "shorten", "bar"] = "ignore"
    time_words_ttl_s: float = math.inf  # of answers to prompts that speak of now
    stale_while_revalidate_s: float = 0.0  # past its life an answer is served and refreshed
    stale_if_error_s: float = 0.0  # past its life an answer stands in for a failing model


def minds(policy: CategoryPolicy, personal: frozenset[str]) -> bool:
    """Say whether the category minds one of these kinds of personal data."""
    return policy.personal_data != "allow" and not personal.isdisjoint(policy.personal_kinds)


def resolve(settings: Settings, name: str) -> CategoryPolicy:
    """Resolve category ``name``: its own figures, else those of ``defaults``."""
    fields = settings.effective(name)
    return CategoryPolicy(
        name=name,
        cache=fields.cache,
        semantic=fields.semantic,
        similarity_threshold=fields.similarity_threshold,
        candidate_floor=fields.candidate_floor,
        min_probability=fields.min_probability,
        max_error_rate=fields.max_error_rate,
        shadow=fields.mode == "shadow",
        ttl_s=fields.ttl,
        equivalent_history=fields.history == "equivalent",
        guards=fields.guards,
        poisoning_check=fields.poisoning_check,
        max_temperature=fields.max_temperature,
        sampled=fields.sampled,
        tool_answers=fields.tool_answers,
        share_sampled=fields.share_sampled,
        personal_data=fields.personal_data,
        personal_kinds=frozenset(fields.personal_kinds),
        ttl_jitter=fields.ttl_jitter or 0.0,
        time_words=fields.time_words,
        time_words_ttl_s=fields.time_words_ttl,
        stale_while_revalidate_s=fields.stale_while_revalidate or 0.0,
        stale_if_error_s=fields.stale_if_error or 0.0,
        under_load=None
        if fields.under_load is None
        else Floors(
            fields.under_load.min_probability,
            fields.under_load.similarity_threshold,
            fields.under_load.ttl,
        ),
    )
