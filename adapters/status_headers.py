"""What a response says of the cache: ``Cache-Status`` (RFC 9211), ``X-Cache-*``, ``Age``."""

from __future__ import annotations

from ..cache.events import Trace
from ..cache.outcome import Follow, Found, Lead
from ..policies.verdict import Bypass, Miss, Reason

Pairs = list[tuple[bytes, bytes]]

_STALE = frozenset({Reason.EXPIRED, Reason.REVALIDATE})
_ASKED = frozenset({Reason.CLIENT_NO_CACHE, Reason.CLIENT_FRESHNESS})


def on_hit(found: Found, *, authorised: bool, details: bool) -> Pairs:
    """Describe a hit. An answer to an authorised call is private (RFC 9111, section 3.5)."""
    hit = found.hit
    pairs = [
        (b"cache-status", f'kindcache; hit; ttl={int(hit.ttl_s)}; detail="{hit.tier}"'.encode()),
        (b"age", str(int(hit.age_s)).encode()),
        (b"x-cache", b"HIT"),
    ]
    if authorised:
        pairs.append((b"cache-control", b"private"))
    if details:
        pairs += [
            (b"x-cache-tier", hit.tier.encode()),
            (b"x-cache-category", hit.category.encode()),
            (b"x-cache-similarity", f"{hit.similarity:.4f}".encode()),
            (b"x-cache-threshold", f"{hit.threshold:.4f}".encode()),
            (b"x-cache-entry", hit.key.hex().encode()),
            (b"x-cache-reason", hit.reason.encode()),
            timing(found.trace),
        ]
        if hit.probability is not None:
            pairs.append((b"x-cache-probability", f"{hit.probability:.4f}".encode()))
    return pairs


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


def timing(trace: Trace) -> tuple[bytes, bytes]:
    """Return ``Server-Timing`` with the stages that were entered, in milliseconds."""
    stages = (
        ("embed", trace.embed_s),
        ("search", trace.search_s),
        ("judge", trace.judge_s),
        ("store", trace.store_s),
        ("cache", trace.total_s),
    )
    text = ", ".join(f"{name};dur={value * 1e3:.2f}" for name, value in stages if value)
    return b"server-timing", text.encode()


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
