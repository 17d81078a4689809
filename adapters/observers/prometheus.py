"""Events as Prometheus metrics. Labels come from the policy file and closed lists only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...cache.engine import Engine
from ...cache.events import (
    Answered,
    BarMoved,
    Event,
    Failed,
    Followed,
    GaveWay,
    KeptApart,
    LookedUp,
    NotCompared,
    NotStored,
    OwnCall,
    Rebuilt,
    Removed,
    Served,
    Stored,
    Verified,
)
from ...cache.loads import ModelFigures
from ...cache.replication.following import Behind
from ...policies.verdict import Bypass, Hit, Miss
from .economics import EconomicsGauges, Summary
from .evidence import Evidence, Figures
from .model_loads import ModelLoads
from .replication import ReplicationGauges
from .room import RoomGauges, Shares
from .series import Counts, Spread
from .state import State

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_STAGE_BUCKETS = (1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.0)
_SIMILARITY_BUCKETS = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 1)
_UPSTREAM_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

_ENDS = ("result", "category", "reason")
_SIMILAR = ("result", "category")
_CATEGORY = ("category",)
_LEARNT = ("category", "source", "verdict")
_MOVE = ("category", "why")
_OWN = ("purpose", "outcome")
_FAILURE = ("stage", "error")
_SIMILARITY = "Cosine similarity of the best candidate, misses included."
_APART = "Answers stored for their own prompt alone, by reason."
_NOT_COMPARED = "Pairs of answers of which nothing was learnt, by cause."
_STAGES = "Time of the stages of a lookup."
_CHANGES = "Entries looked at because another process changed them."
_REBUILDS = "Times that all records of the store were read anew, by cause."
_RELAXED = "Hits that there would not be with the model at rest, by what was relaxed."
_MODEL = "Time of the model: to the first byte, and to the last."


class PrometheusObserver:
    """Counts events in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        count, spread = self._counter, self._histogram
        self._requests = count("requests", "Lookups by how they ended.", _ENDS)
        self._collapsed = count("collapsed", "Misses that joined a call in progress.", _CATEGORY)
        self._similarity = spread("similarity", _SIMILARITY, _SIMILAR, _SIMILARITY_BUCKETS)
        self._stages = spread("operation_duration_seconds", _STAGES, ("operation",), _STAGE_BUCKETS)
        self._upstream = spread("upstream_duration_seconds", _MODEL, ("until",), _UPSTREAM_BUCKETS)
        self._statuses = count("upstream_responses", "Answers by class of status.", ("status",))
        self._stored = count("stored", "Answers stored.", _CATEGORY)
        self._skipped = count("write_skipped", "Answers not stored, by reason.", ("reason",))
        self._kept_apart = count("kept_apart", _APART, ("category", "reason"))
        self._saved_seconds = count("saved_seconds", "Model time saved by hits.", _CATEGORY)
        self._saved_tokens = count("saved_tokens", "Tokens saved by hits.", _CATEGORY)
        self._removed = count("removed", "Entries removed, by cause.", ("why",))
        self._evicted = count("evicted", "Entries evicted, by cause.", ("category", "cause"))
        self._verified = count("hits_verified", "What was learnt about hits by meaning.", _LEARNT)
        self._moved = count("bar_moves", "Changes of a category's bar, by cause.", _MOVE)
        self._not_compared = count("not_compared", _NOT_COMPARED, ("source", "why"))
        self._relaxed = count("relaxed_hits", _RELAXED, ("category", "by"))
        self._own_calls = count("own_calls", "Calls made by kindcache itself.", _OWN)
        self._failed = count("failures", "Failures survived, by stage and kind.", _FAILURE)
        self._followed = count("replication_changes", _CHANGES, ())
        self._rebuilt = count("replication_rebuilds", _REBUILDS, ("cause",))

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counts:
        made = Counts(f"kindcache_{name}", text, labels)
        self.registry.register(made)
        return made

    def _histogram(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> Spread:
        made = Spread(f"kindcache_{name}", text, labels, bounds)
        self.registry.register(made)
        return made

    def watch(
        self, entries: Callable[[], Mapping[str, int]], size_bytes: Callable[[], int]
    ) -> None:
        """Export the number of entries by category and their bytes, read at each scrape."""
        self.registry.register(_Contents(entries, size_bytes))

    def watch_room(self, by_category: Callable[[], Mapping[str, Shares]]) -> None:
        """Export what each category holds and may always hold, read at each scrape."""
        self.registry.register(RoomGauges(by_category))

    def watch_state(self, engine: Engine, capacity_entries: int) -> None:
        """Export store, room and the process itself (memory, open files), read at each scrape."""
        self.registry.register(State(engine, capacity_entries))
        ProcessCollector(registry=self.registry)

    def watch_replication(self, behind: Callable[[], Behind]) -> None:
        """Export how far this process is behind its store, read at each scrape."""
        self.registry.register(ReplicationGauges(behind))

    def watch_evidence(self, summary: Callable[[], Figures]) -> None:
        """Export precision, bar and alarm by category, read at each scrape."""
        self.registry.register(Evidence(summary))

    def watch_economics(self, summary: Callable[[], Summary]) -> None:
        """Export which categories pay, and what they save, read at each scrape."""
        self.registry.register(EconomicsGauges(summary))

    def watch_loads(self, figures: Callable[[], Mapping[str, ModelFigures]]) -> None:
        """Export the load of each model that has answered, read at each scrape."""
        self.registry.register(ModelLoads(figures))

    def watch_budget(self, left: Callable[[], int]) -> None:
        """Export how many calls of its own kindcache may still make today, read at each scrape."""
        text = "Calls of its own that kindcache may still make today."
        Gauge("kindcache_own_calls_left", text, registry=self.registry).set_function(left)

    def watch_refreshes(self, left: Callable[[], int]) -> None:
        """Export how many stale answers may still be refreshed today, read at each scrape."""
        text = "Refreshes of stale answers that may still be made today."
        Gauge("kindcache_refreshes_left", text, registry=self.registry).set_function(left)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def notify(self, event: Event) -> None:
        """Count one event."""
        match event:
            case LookedUp():
                self._looked_up(event)
            case Served():
                self._saved_seconds.add(event.category, amount=event.upstream_s)
                self._saved_tokens.add(event.category, amount=event.tokens)
            case Stored() | NotStored() | KeptApart():
                self._settled(event)
            case Answered():
                self._upstream.observe(event.first_byte_s, "first_byte")
                self._upstream.observe(event.total_s, "last_byte")
                self._statuses.add(f"{event.status // 100}xx")
            case GaveWay() | Removed() | Followed() | Rebuilt():
                self._held(event)
            case Verified():
                verdict = "right" if event.correct else "wrong"
                self._verified.add(event.category, event.source, verdict)
            case BarMoved():
                self._moved.add(event.category, event.why)
            case NotCompared():
                self._not_compared.add(event.source, event.why)
            case OwnCall():
                self._own_calls.add(event.purpose, event.outcome)
            case Failed():
                self._failed.add(event.stage, event.error)

    def _held(self, event: GaveWay | Removed | Followed | Rebuilt) -> None:
        match event:
            case GaveWay():
                self._evicted.add(event.category, event.cause)
            case Removed():
                self._removed.add(event.why, amount=event.count)
            case Followed():
                self._followed.add(amount=event.count)
            case Rebuilt():
                self._rebuilt.add(event.cause)

    def _settled(self, event: Stored | NotStored | KeptApart) -> None:
        match event:
            case Stored():
                self._stored.add(event.category)
            case NotStored():
                self._skipped.add(event.reason)
            case KeptApart():
                self._kept_apart.add(event.category, event.reason)

    def _looked_up(self, event: LookedUp) -> None:
        verdict = event.verdict
        best: float | None
        match verdict:
            case Hit():
                result, best = "hit", verdict.similarity
            case Miss():
                result, best = "miss", verdict.similarity
            case Bypass():
                result, best = "bypass", None
        self._requests.add(result, verdict.category, verdict.reason)
        if isinstance(verdict, Hit) and verdict.relaxed:
            for needed in verdict.relaxed:
                self._relaxed.add(verdict.category, needed)
        if best is not None:
            self._similarity.observe(best, result, verdict.category)
        if event.collapsed:
            self._collapsed.add(verdict.category)
        trace = event.trace
        self._stages.observe(trace.total_s, "lookup")
        if trace.embed_s:
            self._stages.observe(trace.embed_s, "embed")
        if trace.search_s:
            self._stages.observe(trace.search_s, "search")
        if trace.judge_s:
            self._stages.observe(trace.judge_s, "judge")
        if trace.store_s:
            self._stages.observe(trace.store_s, "store")


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
