"""The metrics of one service, in a registry of its own.

Counting takes microseconds and never waits; what can be looked at when somebody scrapes is not
counted before (:mod:`orchestrator.scrape`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from coterie import __version__
from orchestrator.observability import catalogue
from orchestrator.observability.catalogue import OTHER, Kind, Metric

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """Counts; ``known`` tells which experts may be named by a label."""

    def __init__(self, known: Callable[[], Container[str]] = frozenset) -> None:
        self.known = known
        # They would double what is scraped, and nobody asks for them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._made = {metric.name: self._make(metric) for metric in catalogue.CATALOGUE}
        self.scraping = asyncio.Lock()
        """Held by whoever sets gauges and reads them."""
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        ProcessCollector(registry=self.registry)
        self.gauge(catalogue.BUILD_INFO).labels(__version__).set(1)
        self.gauge(catalogue.START_TIME).set(time.time())

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """The counter of the catalogue's ``metric`` grows."""
        self._child(metric, labels).inc(by)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """The histogram of the catalogue's ``metric`` counts ``value``."""
        self._child(metric, labels).observe(value)

    def gauge(self, metric: Metric) -> Gauge:
        """The gauge of the catalogue's ``metric``."""
        found = self._made[metric.name]
        assert isinstance(found, Gauge)
        return found

    def expert(self, name: str) -> str:
        """``name`` as a label."""
        return name if name in self.known() else OTHER

    async def exposition(self) -> bytes:
        """Everything in Prometheus's text format, :data:`CONTENT_TYPE`.

        Written by another thread: with a hundred experts it takes tens of milliseconds, for which
        no request should wait.
        """
        return await asyncio.to_thread(generate_latest, self.registry)

    def value(self, name: str, **labels: str) -> float:
        """The sample called so now; 0 where there is none."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def _child(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        # Looked up here, as the library's own way takes as long as all the rest.
        key = metric.name, labels
        if (found := self._children.get(key)) is None:
            made = self._made[metric.name]
            found = self._children[key] = made.labels(*labels) if labels else made
        return found

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        if metric.kind is Kind.COUNTER:
            return Counter(metric.name, metric.help, metric.labels, registry=self.registry)
        if metric.kind is Kind.GAUGE:
            return Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
        return Histogram(
            metric.name,
            metric.help,
            metric.labels,
            registry=self.registry,
            buckets=metric.buckets,
        )
