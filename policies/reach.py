"""Whose entries may answer a prompt: those of its own category, and of others under both policies.

One question in two wordings may fall into two categories. An answer of another category's is served
only where the policies of both would serve it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .policy_values import CategoryPolicy


def reach(policies: Mapping[str, CategoryPolicy], name: str, *, others: bool) -> tuple[str, ...]:
    """Return the categories whose entries may answer prompts of ``name``, its own first."""
    if not others:
        return (name,)
    return (name, *(n for n, p in policies.items() if n != name and p.cache and p.semantic))


def stricter(asked: CategoryPolicy, stored: CategoryPolicy) -> CategoryPolicy:
    """Return the policy for a prompt of ``asked`` and an entry of ``stored``: the stricter of both.

    It keeps the name of ``asked``, under which the verdict is counted.
    """
    if asked is stored:
        return asked
    return replace(
        asked,
        similarity_threshold=max(asked.similarity_threshold, stored.similarity_threshold),
        candidate_floor=max(asked.candidate_floor, stored.candidate_floor),
        min_probability=max(asked.min_probability, stored.min_probability),
        ttl_s=min(asked.ttl_s, stored.ttl_s),
        equivalent_history=asked.equivalent_history and stored.equivalent_history,
        guards=asked.guards or stored.guards,
        shadow=asked.shadow or stored.shadow,
    )
