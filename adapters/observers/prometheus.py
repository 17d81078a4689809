"""Events as Prometheus metrics. Labels come from the policy file and closed lists only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...cache.events import (
    Answered,
    Event,
    Failed,
    LookedUp,
    NotStored,
    Removed,
    Served,
    Stored,
)
from ...policies.verdict import Bypass, Hit, Miss

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_STAGE_BUCKETS = (1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.0)
_SIMILARITY_BUCKETS = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 1)
_UPSTREAM_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class PrometheusObserver:
    """Counts events in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        # The library looks a series up under a lock, over 1 us each time; labels are few.
        self._requests = cache(
            Counter(
                "kindcache_requests",
                "Lookups by how they ended.",
                ("result", "category", "reason"),
                registry=registry,
            ).labels
        )
        self._collapsed = cache(
            Counter(
                "kindcache_collapsed",
                "Misses that joined a call in progress.",
                ("category",),
                registry=registry,
            ).labels
        )
        self._similarity = cache(
            Histogram(
                "kindcache_similarity",
                "Cosine similarity of the best candidate, misses included.",
                ("result", "category"),
                buckets=_SIMILARITY_BUCKETS,
                registry=registry,
            ).labels
        )
        self._stages = cache(
            Histogram(
                "kindcache_operation_duration_seconds",
                "Time of the stages of a lookup.",
                ("operation",),
                buckets=_STAGE_BUCKETS,
                registry=registry,
            ).labels
        )
        self._upstream = cache(
            Histogram(
                "kindcache_upstream_duration_seconds",
                "Time of the model: to the first byte, and to the last.",
                ("until",),
                buckets=_UPSTREAM_BUCKETS,
                registry=registry,
            ).labels
        )
        self._statuses = cache(
            Counter(
                "kindcache_upstream_responses",
                "Answers of the model by class of status.",
                ("status",),
                registry=registry,
            ).labels
        )
        self._stored = cache(
            Counter("kindcache_stored", "Answers stored.", ("category",), registry=registry).labels
        )
        self._skipped = cache(
            Counter(
                "kindcache_write_skipped",
                "Answers not stored, by reason.",
                ("reason",),
                registry=registry,
            ).labels
        )
        self._saved_seconds = cache(
            Counter(
                "kindcache_saved_seconds",
                "Model time saved by hits.",
                ("category",),
                registry=registry,
            ).labels
        )
        self._saved_tokens = cache(
            Counter(
                "kindcache_saved_tokens", "Tokens saved by hits.", ("category",), registry=registry
            ).labels
        )
        self._removed = cache(
            Counter(
                "kindcache_removed", "Entries removed, by cause.", ("why",), registry=registry
            ).labels
        )
        self._failed = cache(
            Counter(
                "kindcache_failures",
                "Failures survived, by stage and kind of error.",
                ("stage", "error"),
                registry=registry,
            ).labels
        )

    def watch(
        self, entries: Callable[[], Mapping[str, int]], size_bytes: Callable[[], int]
    ) -> None:
        """Export the number of entries by category and their bytes, read at each scrape."""
        self.registry.register(_Contents(entries, size_bytes))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def notify(self, event: Event) -> None:
        """Count one event."""
        match event:
            case LookedUp():
                self._looked_up(event)
            case Served():
                self._saved_seconds(event.category).inc(event.upstream_s)
                self._saved_tokens(event.category).inc(event.tokens)
            case Stored():
                self._stored(event.category).inc()
            case NotStored():
                self._skipped(event.reason).inc()
            case Answered():
                self._upstream("first_byte").observe(event.first_byte_s)
                self._upstream("last_byte").observe(event.total_s)
                self._statuses(f"{event.status // 100}xx").inc()
            case Removed():
                self._removed(event.why).inc(event.count)
            case Failed():
                self._failed(event.stage, event.error).inc()

    def _looked_up(self, event: LookedUp) -> None:
        verdict = event.verdict
        best: float | None
        match verdict:
            case Hit(similarity=similarity):
                result, best = "hit", similarity
            case Miss(similarity=similarity):
                result, best = "miss", similarity
            case Bypass():
                result, best = "bypass", None
        self._requests(result, verdict.category, verdict.reason).inc()
        if best is not None:
            self._similarity(result, verdict.category).observe(best)
        if event.collapsed:
            self._collapsed(verdict.category).inc()
        trace = event.trace
        self._stages("lookup").observe(trace.total_s)
        for operation, seconds in (
            ("embed", trace.embed_s),
            ("search", trace.search_s),
            ("judge", trace.judge_s),
            ("store", trace.store_s),
        ):
            if seconds:
                self._stages(operation).observe(seconds)


class _Contents(Collector):
    def __init__(
        self, entries: Callable[[], Mapping[str, int]], size_bytes: Callable[[], int]
    ) -> None:
        self._entries = entries
        self._size_bytes = size_bytes

    def collect(self) -> Iterable[Metric]:
        entries = GaugeMetricFamily("kindcache_entries", "Entries held.", labels=["category"])
        for category, count in self._entries().items():
            entries.add_metric([category], count)
        yield entries
        yield GaugeMetricFamily(
            "kindcache_stored_bytes", "Bytes of the answers held.", value=self._size_bytes()
        )
