"""Counters and gauges that one thread counts: a look-up and an addition, without a lock.

`prometheus_client` takes a lock for every increment; with a dozen increments per upload
that was a tenth of what an event cost. Everything here is counted by the thread of the
event loop and read by the same one when Prometheus asks.
"""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Kind = type[CounterMetricFamily] | type[GaugeMetricFamily]


class UnlockedCounter:
    """One number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Count up."""
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        """Count down; only a gauge may."""
        self.value -= amount

    def set(self, value: float) -> None:
        """Start anew from a number; only a gauge may."""
        self.value = value


class UnlockedCounters(Collector):
    """The numbers of one metric, by the values of its labels."""

    def __init__(
        self, kind: Kind, name: str, text: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._kind, self._name, self._text = kind, name, text
        self._labelnames = labels
        self._counters: dict[tuple[str, ...], UnlockedCounter] = {}
        registry.register(self)

    def labels(self, *values: str) -> UnlockedCounter:
        """The number with these labels."""
        try:
            return self._counters[values]
        except KeyError:
            counter = self._counters[values] = UnlockedCounter()
            return counter

    def describe(self) -> Iterable[Metric]:
        """The metric without its numbers."""
        return [self._kind(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterable[Metric]:
        """The metric as it is now."""
        family = self._kind(self._name, self._text, labels=self._labelnames)
        for values, counter in self._counters.items():
            family.add_metric(values, counter.value)
        return [family]
