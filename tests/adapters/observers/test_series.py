"""Counters and histograms, as a scrape sees them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from kindcache.adapters.observers.series import Counts, Spread


def scraped(collector: Counts | Spread) -> list[str]:
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_amounts_add_up_by_label() -> None:
    counts = Counts("saved", "Saved.", ("category", "why"))
    counts.add("code", "new")
    counts.add("code", "new", amount=1.5)
    counts.add('a "quoted" one', "new")
    assert scraped(counts) == [
        'saved_total{category="code",why="new"} 2.5',
        'saved_total{category="a \\"quoted\\" one",why="new"} 1.0',
    ]


def test_a_value_on_a_bound_is_within_it_and_buckets_add_up() -> None:
    spread = Spread("took", "Took.", ("stage",), (0.1, 1))
    for value in (0.1, 0.5, 1.0, 7.0):
        spread.observe(value, "all")
    assert scraped(spread) == [
        'took_bucket{le="0.1",stage="all"} 1.0',
        'took_bucket{le="1.0",stage="all"} 3.0',
        'took_bucket{le="+Inf",stage="all"} 4.0',
        'took_count{stage="all"} 4.0',
        'took_sum{stage="all"} 8.6',
    ]


def test_what_was_never_seen_has_no_series() -> None:
    assert scraped(Counts("seen", "Seen.", ("kind",))) == []
    assert scraped(Spread("took", "Took.", ("kind",), (1.0,))) == []
