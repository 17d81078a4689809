"""What real traffic makes of the books: gauges, the admin surface, the stats table, and probing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kindcache.adapters.commands.stats import table
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"KINDCACHE_ADMIN_TOKEN": "root-token"}
PRICES = {
    "currency": "EUR",
    "prices": {"test-*": {"input": 1000.0, "output": 2000.0}},
    "per_lookup": 0.0001,
}
# Rare words far apart for the hashing embedder: no question is near another one.
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "xqzjv" for c in "wyphm"]


class Ticking:
    """A clock on which every look takes its time."""

    def __init__(self, tick_s: float) -> None:
        self.now_s, self.tick_s = 50.0, tick_s

    def __call__(self) -> float:
        self.now_s += self.tick_s
        return self.now_s


def built(
    upstream: ScriptedUpstream, tick_s: float, economics: dict[str, Any], bar: float = 0.8
) -> Any:
    return proxied(
        upstream.base_url,
        {
            "categories": {"code": {"match": {"model": "test-*"}, "similarity_threshold": bar}},
            "economics": economics,
        },
        environ=SECRET | ADMIN,
        monotonic=Ticking(tick_s),
    )


async def ask(driver: AsgiDriver, prompt: str) -> Any:
    exchange = await driver.chat(prompt, headers=KEY)
    assert exchange.status == 200
    return exchange


async def figures(driver: AsgiDriver) -> Any:
    headers = {"authorization": "Bearer root-token"}
    exchange = await driver.request("GET", "/_cache/stats", headers=headers)
    return json.loads(exchange.body)


def scraped(app: Any) -> str:
    text: str = app.service.metrics.exposition().decode()
    return text


def gauge(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_traffic_shows_what_a_category_costs_and_saves(upstream: ScriptedUpstream) -> None:
    app = built(upstream, 1.0, PRICES)
    async with AsgiDriver(app) as driver:
        for number in range(12):
            question = f"How do I sort a {WORDS[number]} by its {WORDS[-number - 1]}"
            await ask(driver, question)
            assert (await ask(driver, f"{question}?")).header("x-cache-tier") == "semantic"
            assert (await ask(driver, question)).header("x-cache-tier") == "exact"
        found, text = await figures(driver), scraped(app)
    known = found["economics"]["categories"]["code"]
    assert (known["exact_hits"], known["semantic_hits"], known["misses"]) == (12, 12, 12)
    assert known["hit_rate"]["value"] == pytest.approx(0.5, abs=1e-3)
    assert 0.0 < known["lookup_s"] < 1.0
    assert known["answer_s"] >= 1.0
    assert gauge(text, 'kindcache_pays{by="time",category="code",pays="yes"}') == 1.0
    assert 0.0 < gauge(text, 'kindcache_break_even_hit_rate{by="time",category="code"}') < 0.3
    assert gauge(text, 'kindcache_semantic_hit_rate{category="code"}') == pytest.approx(0.5, 1e-3)
    assert gauge(text, 'kindcache_semantic_hit_rate_lower{category="code"}') > 0.3
    assert gauge(text, 'kindcache_pays{by="money",category="code",pays="yes"}') == 1.0
    money = gauge(text, 'kindcache_saved_money_total{category="code",currency="EUR"}')
    assert money == pytest.approx(known["saved_money"])
    assert money > 24 * 9 * 1000.0 / 1e6  # nine words and more were read for each hit
    assert gauge(text, 'kindcache_saved_seconds_total{category="code"}') >= 24.0
    assert gauge(text, 'kindcache_saved_tokens_total{category="code"}') == known["saved_tokens"]
    assert "In time, lookups by meaning pay: code" in table(found)


async def test_too_little_traffic_is_no_verdict(upstream: ScriptedUpstream) -> None:
    app = built(upstream, 1.0, {})
    async with AsgiDriver(app) as driver:
        await ask(driver, "How do I sort a list")
        found, text = await figures(driver), scraped(app)
    assert gauge(text, 'kindcache_pays{by="time",category="code",pays="unknown"}') == 1.0
    assert "cannot be told yet: code" in table(found)
    assert "EUR" not in table(found)


async def test_a_category_that_cannot_pay_is_probed_and_exact_hits_go_on(
    upstream: ScriptedUpstream,
) -> None:
    app = built(upstream, 0.0, {"probe": 0.2}, bar=0.999)  # the model takes no time at all
    async with AsgiDriver(app) as driver:
        for word in WORDS[:8]:
            assert (await ask(driver, f"What is {word}")).header("x-cache-reason") != "probed"
        early = [(await ask(driver, f"What is {w}")).header("x-cache-reason") for w in WORDS[8:10]]
        assert gauge(scraped(app), 'kindcache_pays{by="time",category="code",pays="no"}') == 1.0
        assert gauge(scraped(app), 'kindcache_probed{category="code"}') == 1.0
        reasons = [
            (await ask(driver, f"What is {w}")).header("x-cache-reason") for w in WORDS[10:70]
        ]
        again = [(await ask(driver, f"What is {w}")).header("x-cache-tier") for w in WORDS[10:70]]
        found, text = await figures(driver), scraped(app)
    assert 20 < reasons.count("probed") < len(reasons)  # four of five of 60
    assert set(again) == {"exact"}
    assert "NO, probed" in table(found)
    assert "do not pay: code" in table(found)
    count = gauge(text, 'kindcache_requests_total{category="code",reason="probed",result="miss"}')
    assert count == (early + reasons).count("probed")


async def test_nothing_is_probed_by_default(upstream: ScriptedUpstream) -> None:
    app = built(upstream, 0.0, {})
    async with AsgiDriver(app) as driver:
        for word in WORDS[:20]:
            assert (await ask(driver, f"What is {word}")).header("x-cache-reason") != "probed"
        assert gauge(scraped(app), 'kindcache_pays{by="time",category="code",pays="no"}') == 1.0
