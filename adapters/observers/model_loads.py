"""How loaded the models are, as gauges. Labels are names of models that have answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...cache.loads import ModelFigures


class ModelLoads(Collector):
    """The load factor, the pressure behind it, and the calls under way."""

    def __init__(self, figures: Callable[[], Mapping[str, ModelFigures]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of this moment."""
        load = _gauge("load", "Load factor that policies go by: 0 at rest, 1 fully loaded.")
        pressure = _gauge("load_pressure", "What the load factor follows, smoothed.")
        calls = _gauge("model_calls_in_flight", "Calls to the model under way.")
        for model, known in self._figures().items():
            load.add_metric([model], known.factor)
            pressure.add_metric([model], known.pressure)
            calls.add_metric([model], known.in_flight)
        return (load, pressure, calls)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kindcache_{name}", text, labels=["model"])
