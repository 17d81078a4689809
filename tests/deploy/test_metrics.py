"""What dashboards and alerts ask for exists, in the metrics of a cache that has had traffic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from tests.deploy.conftest import DEPLOY, documents
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio

GIVEN = {"instance", "job", "le"}  # labels that the scraper adds, and that of buckets
OF_PROMETHEUS = {"up"}
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$instance": ".*"}


@dataclass(slots=True)
class Asked:
    """Metrics and labels of a query."""

    metrics: set[str] = field(default_factory=set)
    labels: dict[str, set[str]] = field(default_factory=dict)


def queries() -> Iterator[tuple[str, str]]:
    """Each query with where it stands, Grafana's variables replaced."""
    for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json")):
        for panel in documents(path)[0]["panels"]:
            for target in panel.get("targets", ()):
                text = target["expr"]
                for name, value in VARIABLES.items():
                    text = text.replace(name, value)
                yield panel["title"], text
    for group in documents(DEPLOY / "prometheus/alerts.yaml")[0]["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def read(expression: Any, asked: Asked, by: frozenset[str] = frozenset()) -> Asked:
    """Collect what ``expression`` asks for; ``by`` are labels that it must have."""
    match expression:
        case promql.VectorSelector(name=str(name)):
            asked.metrics.add(name)
            matched = {matcher.name for matcher in expression.matchers.matchers}
            asked.labels.setdefault(name, set()).update(matched | by)
        case promql.MatrixSelector():
            read(expression.vector_selector, asked, by)
        case promql.Call():
            for argument in expression.args:
                read(argument, asked, by)
        case promql.AggregateExpr():
            modifier = expression.modifier
            read(expression.expr, asked, frozenset(modifier.labels) if modifier else frozenset())
        case promql.BinaryExpr():
            read(expression.lhs, asked, by)
            read(expression.rhs, asked, by)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            read(expression.expr, asked, by)
        case promql.NumberLiteral() | promql.StringLiteral():
            pass
        case _:
            pytest.fail(f"cannot read {type(expression).__name__}")
    return asked


def samples_of(app: Any) -> dict[str, set[str]]:
    """The labels by sample: from the text that is scraped, and where none is there yet from what
    the collectors say."""
    metrics = app.service.metrics
    text = metrics.exposition().decode()
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    for family in metrics.registry.collect():
        for suffix in suffixes.get(family.type, ("",)):
            names = getattr(family, "_labelnames", ())
            found.setdefault(family.name + suffix, set()).update(names)
    return found


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


async def test_every_query_asks_for_metrics_and_labels_that_there_are(
    upstream: ScriptedUpstream,
) -> None:
    app = proxied(upstream.base_url, {"evidence": {"feedback": True}})
    async with AsgiDriver(app) as driver:
        for text in ("How do I cancel my order?", "How do I cancel my order?", "Hello"):
            await driver.chat(text, headers=KEY)
        there = samples_of(app)
    wrong = []
    for place, query in queries():
        asked = read(promql.parse(query), Asked())
        for name in asked.metrics - OF_PROMETHEUS:
            if name not in there:
                wrong.append(f"{place}: no metric {name}")
            elif left := asked.labels[name] - there[name] - GIVEN:
                wrong.append(f"{place}: {name} has no label {', '.join(sorted(left))}")
    assert wrong == []


def test_the_template_asks_for_a_metric_that_each_replica_has() -> None:
    (board,) = documents(DEPLOY / "grafana/dashboards/kindcache.json")
    (variable,) = board["templating"]["list"]
    assert variable["query"]["query"] == "label_values(kindcache_capacity_entries, instance)"


def test_panels_do_not_lie_on_each_other() -> None:
    (board,) = documents(DEPLOY / "grafana/dashboards/kindcache.json")
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_alarm_on_memory_knows_the_limit(manifests: dict[str, Any]) -> None:
    (container,) = manifests["Deployment/kindcache"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    text = (DEPLOY / "prometheus/alerts.yaml").read_text(encoding="utf-8")
    assert f"> 0.9 * {1 << 30}\n" in text


def test_each_alert_is_explained() -> None:
    page = (Path(DEPLOY).parent / "docs/operations.md").read_text(encoding="utf-8")
    for group in documents(DEPLOY / "prometheus/alerts.yaml")[0]["groups"]:
        for rule in group["rules"]:
            assert f"`{rule['alert']}`" in page
