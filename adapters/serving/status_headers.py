"""What a response says of the cache: ``Cache-Status`` (RFC 9211), ``X-Cache-*``, ``Age``."""

from __future__ import annotations

from functools import cache
from math import floor

from ...cache.events import Trace
from ...cache.outcome import Follow, Found, Lead
from ...policies.verdict import Bypass, Miss, Reason, Tier

Pair = tuple[bytes, bytes]
Pairs = list[Pair]

_STALE = frozenset({Reason.EXPIRED, Reason.REVALIDATE})
_ASKED = frozenset({Reason.CLIENT_NO_CACHE, Reason.CLIENT_FRESHNESS})


def on_hit(found: Found, *, authorised: bool, details: bool, how: bytes = b"hit") -> Pairs:
    """Describe a hit. An answer to an authorised call is private (RFC 9111, section 3.5).

    ``how`` it came about, for ``Cache-Status``: see ``on_failure``.
    """
    hit = found.hit
    tier = hit.tier.encode() + (b" relaxed" if hit.relaxed else b"")
    if hit.reason is Reason.STALE_IF_ERROR:
        tier = hit.reason.encode()
    pairs = [
        (b"cache-status", b'kindcache; %s; ttl=%d; detail="%s"' % (how, floor(hit.ttl_s), tier)),
        (b"age", b"%d" % hit.age_s),
        *_always(authorised=authorised),
    ]
    if details:
        pairs += _decided_by(hit.tier, hit.reason, hit.category)
        pairs += [
            (b"x-cache-similarity", b"%.4f" % hit.similarity),
            (b"x-cache-threshold", b"%.4f" % hit.threshold),
            (b"x-cache-entry", hit.key.hex().encode()),
            timing(found.trace),
        ]
        if hit.probability is not None:
            pairs.append((b"x-cache-probability", b"%.4f" % hit.probability))
        if hit.relaxed:
            pairs.append((b"x-cache-relaxed", ", ".join(hit.relaxed).encode()))
    return pairs


def on_failure(status: int | None) -> bytes:
    """Say how a stored answer came to stand in: the model was asked, and failed with ``status``.

    None: it was not asked, or its connection failed; RFC 9211 has no word for the latter.
    """
    return b"hit" if status is None else b"fwd=stale; fwd-status=%d" % status


def on_miss(
    outcome: Lead | Follow, *, stored: bool = False, collapsed: bool = False, details: bool
) -> Pairs:
    """Describe an answer of the model. ``stored`` only where it is known when headers leave."""
    miss = outcome.miss
    status = f"kindcache; fwd={_forward(miss)}"
    status += ("; stored" if stored else "") + ("; collapsed" if collapsed else "")
    pairs = [
        (b"cache-status", f'{status}; detail="{miss.reason}"'.encode()),
        (b"x-cache", b"MISS"),
    ]
    return pairs + _miss_details(outcome, miss) if details else pairs


def on_bypass(bypass: Bypass, *, details: bool) -> Pairs:
    """Describe an answer in which the cache took no part."""
    pairs = [
        (b"cache-status", f'kindcache; fwd=bypass; detail="{bypass.reason}"'.encode()),
        (b"x-cache", b"BYPASS"),
    ]
    if details:
        pairs.append((b"x-cache-reason", bypass.reason.encode()))
        if bypass.category:
            pairs.append((b"x-cache-category", bypass.category.encode()))
    return pairs


def on_load(load: float) -> Pairs:
    """Say how loaded the model is, 0..1; nothing while it is at rest."""
    return [(b"x-cache-load", b"%.2f" % load)] if load else []


def timing(trace: Trace) -> tuple[bytes, bytes]:
    """Return ``Server-Timing`` with the stages that were entered, in milliseconds."""
    parts = []
    if trace.embed_s:
        parts.append(b"embed;dur=%.2f" % (trace.embed_s * 1e3))
    if trace.search_s:
        parts.append(b"search;dur=%.2f" % (trace.search_s * 1e3))
    if trace.judge_s:
        parts.append(b"judge;dur=%.2f" % (trace.judge_s * 1e3))
    if trace.store_s:
        parts.append(b"store;dur=%.2f" % (trace.store_s * 1e3))
    if trace.total_s:
        parts.append(b"cache;dur=%.2f" % (trace.total_s * 1e3))
    return b"server-timing", b", ".join(parts)


# Pairs that the policy file decides and nothing else: made once.


@cache
def _always(*, authorised: bool) -> tuple[Pair, ...]:
    hit = (b"x-cache", b"HIT")
    return (hit, (b"cache-control", b"private")) if authorised else (hit,)


@cache
def _decided_by(tier: Tier, reason: Reason, category: str) -> tuple[Pair, ...]:
    return (
        (b"x-cache-tier", tier.encode()),
        (b"x-cache-category", category.encode()),
        (b"x-cache-reason", reason.encode()),
    )


def _miss_details(outcome: Lead | Follow, miss: Miss) -> Pairs:
    pairs = [
        (b"x-cache-category", miss.category.encode()),
        (b"x-cache-reason", miss.reason.encode()),
        (b"x-cache-entry", outcome.ask.key.hex().encode()),
        timing(outcome.trace),
    ]
    if miss.similarity is not None:
        pairs.append((b"x-cache-similarity", f"{miss.similarity:.4f}".encode()))
    if miss.threshold is not None:
        pairs.append((b"x-cache-threshold", f"{miss.threshold:.4f}".encode()))
    return pairs


def _forward(miss: Miss) -> str:
    if miss.reason in _STALE:
        return "stale"
    return "request" if miss.reason in _ASKED else "miss"
