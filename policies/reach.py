"""Whose entries may answer a prompt: those of its own category, and of others under both policies.

One question in two wordings may fall into two categories. An answer of another category's is served
only where the policies of both would serve it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .policy_values import CategoryPolicy

_STRICTNESS = ("ignore", "shorten", "bar")  # of ``time_words``


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
        ttl_jitter=max(asked.ttl_jitter, stored.ttl_jitter),
        time_words=max(asked.time_words, stored.time_words, key=_STRICTNESS.index),
        time_words_ttl_s=min(asked.time_words_ttl_s, stored.time_words_ttl_s),
        stale_while_revalidate_s=min(
            asked.stale_while_revalidate_s, stored.stale_while_revalidate_s
        ),
        stale_if_error_s=min(asked.stale_if_error_s, stored.stale_if_error_s),
        stretch_s=min(asked.ttl_s + asked.stretch_s, stored.ttl_s + stored.stretch_s)
        - min(asked.ttl_s, stored.ttl_s),
        equivalent_history=asked.equivalent_history and stored.equivalent_history,
        guards=asked.guards or stored.guards,
        shadow=asked.shadow or stored.shadow,
    )
