"""The gauges of economics, as a scraper reads them."""

from __future__ import annotations

from typing import Any

from kindcache.adapters.observers.prometheus import PrometheusObserver

KNOWN: dict[str, Any] = {
    "exact_hits": 5,
    "semantic_hits": 3,
    "misses": 97,
    "hit_rate": {"value": 0.03, "lower": 0.01, "upper": 0.084, "lookups": 100.0},
    "lookup_s": 0.003,
    "answer_s": 1.5,
    "fetch_s": None,
    "answer_money": None,
    "in_time": {"break_even": 0.002, "never": False, "pays": "yes"},
    "in_money": {"break_even": None, "never": False, "pays": "unknown"},
    "probed": False,
    "spent_s": 0.3,
    "saved_s": 12.0,
    "saved_tokens": 900,
    "saved_money": None,
    "unpriced_hits": 8,
}
QUICK = KNOWN | {
    "hit_rate": {"value": None, "lower": 0.0, "upper": 1.0, "lookups": 0.0},
    "in_time": {"break_even": None, "never": True, "pays": "no"},
    "probed": True,
    "saved_money": 0.25,
}


def test_what_pays_is_shown_and_what_is_not_known_is_absent() -> None:
    metrics = PrometheusObserver()
    metrics.watch_economics(
        lambda: {"currency": "EUR", "categories": {"code": KNOWN, "chat": QUICK}}
    )
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'kindcache_break_even_hit_rate{by="time",category="code"} 0.002',
        'kindcache_break_even_hit_rate{by="time",category="chat"} +Inf',
        'kindcache_pays{by="time",category="code",pays="yes"} 1.0',
        'kindcache_pays{by="time",category="code",pays="no"} 0.0',
        'kindcache_pays{by="time",category="chat",pays="no"} 1.0',
        'kindcache_pays{by="money",category="code",pays="unknown"} 1.0',
        'kindcache_semantic_hit_rate{category="code"} 0.03',
        'kindcache_semantic_hit_rate_lower{category="code"} 0.01',
        'kindcache_semantic_hit_rate_upper{category="code"} 0.084',
        'kindcache_lookup_mean_seconds{category="code"} 0.003',
        'kindcache_answer_mean_seconds{category="code"} 1.5',
        'kindcache_probed{category="code"} 0.0',
        'kindcache_probed{category="chat"} 1.0',
        'kindcache_lookup_seconds_total{category="code"} 0.3',
        'kindcache_saved_money_total{category="chat",currency="EUR"} 0.25',
    ):
        assert line in lines
    for absent in (
        'kindcache_break_even_hit_rate{by="money"',
        'kindcache_semantic_hit_rate{category="chat"}',
        'kindcache_fetch_mean_seconds{category="code"}',
        'kindcache_saved_money_total{category="code"',
    ):
        assert not [line for line in lines if line.startswith(absent)]
