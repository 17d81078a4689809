"""Which categories pay, and what lookups cost and save, as gauges and counters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Summary = Mapping[str, Any]

_KINDS = {"in_time": "time", "in_money": "money"}
_VERDICTS = ("yes", "no", "unknown")
_MEANS = {
    "lookup_s": ("lookup_mean_seconds", "Mean time of embedding, search and judging."),
    "answer_s": ("answer_mean_seconds", "Mean time of the model's answers."),
    "fetch_s": ("fetch_mean_seconds", "Mean time of all the rest of a hit by meaning."),
}
_RATES = {
    "value": ("semantic_hit_rate", "Hits by meaning among lookups by meaning, the past fading."),
    "lower": ("semantic_hit_rate_lower", "Lower end of its 95 % interval."),
    "upper": ("semantic_hit_rate_upper", "Upper end of its 95 % interval."),
}


class EconomicsGauges(Collector):
    """Break-even and hit rates, verdicts, and what was spent and saved, by category.

    What is not known is absent. Saved seconds and tokens are counted where events are.
    """

    def __init__(self, summary: Callable[[], Summary]) -> None:
        self._summary = summary

    def collect(self) -> Iterable[Metric]:
        """Return the figures of this moment."""
        summary = self._summary()
        categories: Summary = summary["categories"]
        yield from _verdicts(categories)
        for table, place in ((_RATES, "hit_rate"), (_MEANS, None)):
            for field, (name, text) in table.items():
                gauge = _gauge(name, text)
                for category, known in categories.items():
                    value = (known if place is None else known[place])[field]
                    if value is not None:
                        gauge.add_metric([category], value)
                yield gauge
        spent = _counter("lookup_seconds", "Time spent on lookups by meaning.")
        saved = _counter("saved_money", "Price of what hits saved.", "currency")
        for category, known in categories.items():
            spent.add_metric([category], known["spent_s"])
            if known["saved_money"] is not None:
                saved.add_metric([category, summary["currency"]], known["saved_money"])
        yield from (spent, saved)


def _verdicts(categories: Summary) -> Iterable[Metric]:
    needed = _gauge(
        "break_even_hit_rate", "Hit rate at which lookups by meaning pay; +Inf: none is.", "by"
    )
    pays = _gauge("pays", "1 for what is true of the category's lookups by meaning.", "by", "pays")
    probed = _gauge("probed", "1 while only a sample is looked up by meaning.")
    for category, known in categories.items():
        for field, by in _KINDS.items():
            figure = known[field]
            rate = math.inf if figure["never"] else figure["break_even"]
            if rate is not None:
                needed.add_metric([category, by], rate)
            for verdict in _VERDICTS:
                pays.add_metric([category, by, verdict], float(figure["pays"] == verdict))
        probed.add_metric([category], float(known["probed"]))
    return needed, pays, probed


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kindcache_{name}", text, labels=["category", *labels])


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"kindcache_{name}", text, labels=["category", *labels])
