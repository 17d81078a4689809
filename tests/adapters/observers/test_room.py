"""The gauges of room, as a scraper reads them."""

from __future__ import annotations

from kindcache.adapters.observers.prometheus import PrometheusObserver
from kindcache.cache.events import GaveWay
from kindcache.policies.room import Cause, Used


def test_room_is_shown_as_used_guaranteed_and_borrowed() -> None:
    metrics = PrometheusObserver()
    metrics.watch_room(
        lambda: {"code": (Used(7, 900), Used(5, 1000)), "news": (Used(), Used(2, 0))}
    )
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'kindcache_room_entries{category="code",part="used"} 7.0',
        'kindcache_room_entries{category="code",part="guaranteed"} 5.0',
        'kindcache_room_entries{category="code",part="borrowed"} 2.0',
        'kindcache_room_entries{category="news",part="borrowed"} 0.0',
        'kindcache_room_bytes{category="code",part="used"} 900.0',
        'kindcache_room_bytes{category="code",part="borrowed"} 0.0',
    ):
        assert line in lines


def test_evictions_are_counted_by_category_and_cause() -> None:
    metrics = PrometheusObserver()
    for cause in (Cause.EVICTED, Cause.EVICTED, Cause.RECLAIMED, Cause.SCOPE):
        metrics.notify(GaveWay("code", cause))
    lines = metrics.exposition().decode().splitlines()
    assert 'kindcache_evicted_total{category="code",cause="evicted"} 2.0' in lines
    assert 'kindcache_evicted_total{category="code",cause="reclaimed"} 1.0' in lines
    assert 'kindcache_evicted_total{category="code",cause="scope"} 1.0' in lines
