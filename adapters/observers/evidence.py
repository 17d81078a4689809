"""What is known about hits, as gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Figures = Mapping[str, Mapping[str, Any]]

_PRECISION = {
    "value": ("precision", "Share of right ones among checked hits by meaning."),
    "lower": ("precision_lower", "Lower end of its 95 % interval."),
    "upper": ("precision_upper", "Upper end of its 95 % interval."),
}


class Evidence(Collector):
    """Precision where something was observed, the bar and the alarm of every category."""

    def __init__(self, summary: Callable[[], Figures]) -> None:
        self._summary = summary

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of this moment."""
        figures = self._summary()
        bar = _gauge("bar", "Probability that a hit must reach; above 1 nothing is served.")
        alarm = _gauge("alarm", "1 while the latest hits break max_error_rate.")
        for category, known in figures.items():
            bar.add_metric([category], known["bar"])
            alarm.add_metric([category], float(known["alarm"]))
        yield from (bar, alarm)
        for field, (name, text) in _PRECISION.items():
            precision = _gauge(name, text)
            for category, known in figures.items():
                if known["precision"] is not None:
                    precision.add_metric([category], known["precision"][field])
            yield precision


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kindcache_{name}", text, labels=["category"])
