"""Parameters of graphs."""

from __future__ import annotations

from kindcache.cache.index.coding import DEFAULT_SHAPE


def test_a_search_looks_wider_among_more() -> None:
    widths = [DEFAULT_SHAPE.ef_among(count) for count in (0, 320_000, 640_000, 1_000_000)]
    assert widths == [32, 32, 64, 100]
