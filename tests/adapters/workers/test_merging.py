"""Metrics of several workers as one exposition."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from kindcache.adapters.build import build
from kindcache.adapters.observers.series import Counts, Spread
from kindcache.adapters.workers.merging import ADDED, GREATEST, LEAST, continued, merged
from kindcache.config.load import loads
from tests.drivers.cached import SECRET

CONFIG = """
store: {url: "memory://"}
embedder: {runtime: hashing}
judge: {scorer: none}
evidence: {compare: similarity, verify_share: 10%}
"""
APART = {  # of one worker's own past
    "kindcache_tasks",
    "kindcache_semantic_hit_rate",
    "kindcache_semantic_hit_rate_lower",
    "kindcache_semantic_hit_rate_upper",
    "kindcache_lookup_mean_seconds",
    "kindcache_answer_mean_seconds",
    "kindcache_fetch_mean_seconds",
    "kindcache_break_even_hit_rate",
    "kindcache_pays",
    "kindcache_probed",
}


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposed(*collectors: Collector) -> str:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


def of(family: Metric) -> Collector:
    return _Families([family])


def samples(text: bytes | str) -> Mapping[tuple[str, ...], float]:
    whole = text.decode() if isinstance(text, bytes) else text
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(whole)
        for sample in family.samples
    }


def counted(**amounts: float) -> str:
    counts = Counts("kindcache_requests", "Requests.", ("result",))
    for result, amount in amounts.items():
        counts.add(result, amount=amount)
    return exposed(counts)


def gauge(name: str, value: float, **labels: str) -> str:
    family = GaugeMetricFamily(name, "A gauge.", labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return exposed(of(family))


def test_counters_are_added_by_their_labels() -> None:
    found = samples(merged({"0": counted(hit=2, miss=1), "1": counted(hit=3, bypass=4)}))
    assert found == {
        ("kindcache_requests_total", "result=hit"): 5,
        ("kindcache_requests_total", "result=miss"): 1,
        ("kindcache_requests_total", "result=bypass"): 4,
    }


def test_histograms_are_added_bucket_by_bucket() -> None:
    texts = {}
    for number, values in {"0": (0.5, 3.0), "1": (0.7,)}.items():
        spread = Spread("kindcache_seconds", "Time.", ("stage",), (1.0, 2.0))
        for value in values:
            spread.observe(value, "lookup")
        texts[number] = exposed(spread)
    name = "kindcache_seconds"
    assert samples(merged(texts)) == {
        (f"{name}_bucket", "le=1.0", "stage=lookup"): 2,
        (f"{name}_bucket", "le=2.0", "stage=lookup"): 2,
        (f"{name}_bucket", "le=+Inf", "stage=lookup"): 3,
        (f"{name}_count", "stage=lookup"): 3,
        (f"{name}_sum", "stage=lookup"): pytest.approx(4.2),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kindcache_writes_waiting", 5.0),
        ("kindcache_entries", 3.0),
        ("kindcache_store_reached", 2.0),
    ],
)
def test_a_gauge_is_added_the_greatest_or_the_least_by_what_it_means(
    name: str, expected: float
) -> None:
    found = merged({"0": gauge(name, 2, category="code"), "1": gauge(name, 3, category="code")})
    assert samples(found) == {(name, "category=code"): expected}


def test_what_is_of_one_process_keeps_its_worker() -> None:
    cpu = CounterMetricFamily("process_cpu_seconds", "Time.", value=7.0)
    texts = {
        "0": gauge("kindcache_tasks", 2) + exposed(of(cpu)),
        "1": gauge("kindcache_tasks", 3),
    }
    assert samples(merged(texts)) == {
        ("kindcache_tasks", "worker=0"): 2,
        ("kindcache_tasks", "worker=1"): 3,
        ("process_cpu_seconds_total", "worker=0"): 7,
    }


def test_of_a_silent_worker_the_last_known_sums_count_and_nothing_else() -> None:
    silent = counted(hit=10) + gauge("kindcache_entries", 99)
    found = samples(merged({"0": counted(hit=1) + gauge("kindcache_entries", 4)}, [silent]))
    assert found == {("kindcache_requests_total", "result=hit"): 11, ("kindcache_entries",): 4}


def test_a_successor_goes_on_from_what_its_predecessor_counted() -> None:
    before = counted(hit=10, miss=2) + gauge("kindcache_entries", 99)
    now = counted(hit=1) + gauge("kindcache_entries", 4)
    assert samples(continued(before, now.encode())) == {
        ("kindcache_requests_total", "result=hit"): 11,
        ("kindcache_requests_total", "result=miss"): 2,
        ("kindcache_entries",): 4,
    }


async def _no_app(_scope: object, _receive: object, _send: object) -> None:
    return


def test_it_was_decided_of_every_gauge_what_becomes_of_it() -> None:
    service = build(
        loads(CONFIG, "test.yaml"), _no_app, upstream="m", environ=SECRET, clock=time.time
    )
    families = text_string_to_metric_families(service.metrics.exposition().decode())
    gauges = {one.name for one in families if one.type == "gauge" and one.name[:3] == "kin"}
    assert gauges - APART - ADDED - GREATEST - LEAST == set()
    assert len(ADDED | GREATEST | LEAST | APART) == sum(map(len, (ADDED, GREATEST, LEAST, APART)))
    text = service.metrics.exposition().decode()
    assert samples(merged({"0": text})).keys() >= {("kindcache_store_reached",)}
