"""What tokens and lookups cost."""

from __future__ import annotations

import pytest

from kindcache.config.load import loads
from kindcache.policies.prices import Price, Prices, read_prices

TEXT = """
economics:
  prices:
    "gpt-*-mini": {input: 0.5, output: 2}
    "gpt-*": {input: 5, output: 20}
  per_lookup: 0.001
"""


def test_the_first_glob_that_matches_names_the_price() -> None:
    prices = read_prices(loads(TEXT, "f"))
    assert prices.of("gpt-9-mini") == Price(0.5, 2.0)
    assert prices.of("gpt-9") == Price(5.0, 20.0)
    assert prices.of("GPT-9") is None
    assert prices.of("") is None


def test_a_price_is_for_a_million_tokens() -> None:
    assert Price(5.0, 20.0).of(2_000_000, 500_000) == pytest.approx(20.0)
    assert Price(5.0, 20.0).of(0, 0) == 0.0


def test_no_price_is_shipped() -> None:
    prices = read_prices(loads("", "f"))
    assert prices.of("gpt-4o") is None
    assert prices.lookup(0.003) is None


@pytest.mark.parametrize(
    ("prices", "taken_s", "cost"),
    [
        (Prices(), 0.1, None),
        (Prices(per_lookup=0.5), None, 0.5),
        (Prices(per_cpu_second=2.0), 0.1, 0.2),
        (Prices(per_lookup=0.5, per_cpu_second=2.0), 0.1, 0.7),
        (Prices(per_cpu_second=2.0), None, None),
        (Prices(per_cpu_second=2.0), float("nan"), None),
        (Prices(per_lookup=0.0), None, 0.0),
    ],
)
def test_a_lookup_costs_its_price_and_its_time(
    prices: Prices, taken_s: float | None, cost: float | None
) -> None:
    assert prices.lookup(taken_s) == (None if cost is None else pytest.approx(cost))
