"""The gauges and counters of replication, as a scraper reads them."""

from __future__ import annotations

from kindcache.adapters.observers.prometheus import PrometheusObserver
from kindcache.cache.events import Followed, Rebuilt
from kindcache.cache.replication.following import Behind


def test_how_far_behind_a_process_is() -> None:
    metrics = PrometheusObserver()
    metrics.watch_replication(lambda: Behind(1.5, 3, rebuilding=True))
    lines = metrics.exposition().decode().splitlines()
    assert "kindcache_replication_behind_seconds 1.5" in lines
    assert "kindcache_replication_behind_changes 3.0" in lines
    assert "kindcache_replication_rebuilding 1.0" in lines


def test_changes_of_others_and_rebuilds_by_cause_are_counted() -> None:
    metrics = PrometheusObserver()
    for event in (Followed(2), Followed(3), Rebuilt("behind"), Rebuilt("trimmed")):
        metrics.notify(event)
    lines = metrics.exposition().decode().splitlines()
    assert "kindcache_replication_changes_total 5.0" in lines
    assert 'kindcache_replication_rebuilds_total{cause="behind"} 1.0' in lines
    assert 'kindcache_replication_rebuilds_total{cause="trimmed"} 1.0' in lines
