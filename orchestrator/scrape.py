"""What is looked at when somebody scrapes: states, which nobody needs to count before.

Everything asked here answers within seconds or is left out; one scrape goes on at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

from orchestrator.engines.balanced import BalancedEngine
from orchestrator.engines.breaker import Circuit
from orchestrator.engines.managed import ProcessInfo
from orchestrator.observability import catalogue
from orchestrator.observability.catalogue import Metric
from orchestrator.observability.metrics import Metrics
from orchestrator.parts import Parts
from orchestrator.scheduling.workforce import Standing

DATABASE_TIMEOUT_S: Final = 2.0
_STATES: Final = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: 1, Circuit.OPEN: 2}

Values = Mapping[tuple[str, ...], float]
"""A gauge's values, by its labels."""


async def scraped(parts: Parts) -> bytes:
    """The metrics of the service, its states included, in Prometheus's text format."""
    metrics = parts.observer.metrics
    async with metrics.scraping:
        health, standing, database = await asyncio.gather(
            parts.fleet.health(), parts.workforce.look(), parts.database.ping(DATABASE_TIMEOUT_S)
        )
        up: Values = {(metrics.expert(n),): float(found.ok) for n, found in health.items()}
        _set(metrics, catalogue.EXPERT_UP, up)
        _engines(metrics, _balanced(parts))
        _processes(metrics, parts)
        _work(metrics, standing)
        metrics.gauge(catalogue.DATABASE_UP).set(database.ok)
        metrics.gauge(catalogue.RECORDS_WAITING).set(parts.traces.waiting)
        return await metrics.exposition()


def _balanced(parts: Parts) -> Mapping[str, BalancedEngine]:
    """The engines that were handed out; a fleet of another kind keeps none."""
    engines = getattr(parts.fleet, "engines", {})
    return {name: e for name, e in engines.items() if isinstance(e, BalancedEngine)}


def _engines(metrics: Metrics, engines: Mapping[str, BalancedEngine]) -> None:
    breakers: dict[tuple[str, ...], float] = {}
    calls: dict[tuple[str, ...], float] = {}
    queues: dict[tuple[str, ...], float] = {}
    for name, engine in engines.items():
        expert = metrics.expert(name)
        calls[expert,] = engine.admission.inside
        queues[expert,] = engine.admission.queued
        for replica in engine.replicas:
            breakers[expert, replica.target.server] = _STATES[replica.circuit]
    _set(metrics, catalogue.EXPERT_CALLS, calls)
    _set(metrics, catalogue.EXPERT_QUEUE, queues)
    _set(metrics, catalogue.BREAKER, breakers)


def _processes(metrics: Metrics, parts: Parts) -> None:
    found = [info for info in parts.fleet.describe() if isinstance(info, ProcessInfo)]
    restarts: Values = {(metrics.expert(i.name),): float(i.restarts) for i in found}
    _set(metrics, catalogue.ENGINE_RESTARTS, restarts)


def _work(metrics: Metrics, standing: Standing) -> None:
    work: Counter[tuple[str, ...]] = Counter()
    for name, depth in standing.depths.items():
        expert = metrics.expert(name)
        work[expert, "waiting"] += depth.waiting
        work[expert, "claimed"] += depth.claimed
    states: Counter[tuple[str, ...]] = Counter({("working",): 0, ("draining",): 0})
    tiers: Counter[tuple[str, ...]] = Counter()
    for worker in standing.workers:
        states["draining" if worker.draining else "working",] += 1
        for engine in worker.told.engines:
            if not engine.fixed:
                tiers["moving" if engine.moving else engine.tier.lower(),] += 1
    _set(metrics, catalogue.WORK, work)
    _set(metrics, catalogue.WORKERS, states)
    _set(metrics, catalogue.ENGINES_UP, tiers)
    metrics.gauge(catalogue.WORK_QUEUE_UP).set(not standing.away)


def _set(metrics: Metrics, metric: Metric, values: Values) -> None:
    """Makes these the gauge's only values: what is gone must not stay at what it was."""
    gauge = metrics.gauge(metric)
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
