"""One category's policy as plain values, resolved from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..config.settings import Settings


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
    )
